//! What the two daemons say to each other.

use std::{
    io,
    net::SocketAddr,
    os::fd::{BorrowedFd, OwnedFd},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use socket2::Socket;

use crate::{
    kernel::rights,
    model::{BackendId, Id, Protocol},
};

/// Another number is another language.
pub(super) const PROTOCOL: u32 = 1;
/// How long either side waits for the other where nothing has to be done.
pub(super) const AT_ONCE: Duration = Duration::from_secs(5);
/// How long a new daemon may take to serve.
pub(super) const TO_SERVE: Duration = Duration::from_secs(120);
/// The longest message, by far: [`VERDICTS`] of them.
const LONGEST: usize = 192 * 1024;
/// Verdicts in a message.
pub(super) const VERDICTS: usize = 256;

/// One message.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Message {
    /// A new daemon wants to take over.
    Ask { protocol: u32, pid: u32 },
    /// The instance's lock, as the one descriptor.
    Lock,
    /// Listening sockets, as so many descriptors.
    Sockets { listening: Vec<Listening> },
    /// What checks have found out.
    Verdicts { verdicts: Vec<Verdict> },
    /// That was all.
    Whole,
    /// It will not be handed over.
    Refused { why: String },
    /// The new daemon serves.
    Serving,
}

/// What listens on a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Listening {
    /// The proxy, TCP.
    Tcp(SocketAddr),
    /// The proxy, UDP.
    Udp(SocketAddr),
    /// The API or the metrics.
    Api(SocketAddr),
}

/// What checks have found out about a server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Verdict {
    protocol: String,
    name: String,
    provider: String,
    address: SocketAddr,
    /// Whether it passes.
    pub(crate) up: bool,
}

impl Verdict {
    pub(crate) fn new(service: &Id, address: SocketAddr, up: bool) -> Self {
        let protocol = service.protocol.name().to_owned();
        let (name, provider) = (service.name.to_string(), service.provider.to_string());
        Self { protocol, name, provider, address, up }
    }

    /// Whom it is about; `None` where this version knows no such protocol.
    pub(crate) fn backend(&self) -> Option<BackendId> {
        let protocol = Protocol::from_name(&self.protocol)?;
        let service = Id::new(protocol, self.name.as_str(), self.provider.as_str());
        Some(BackendId { service, address: self.address })
    }
}

/// Sends a message.
pub(super) fn send(
    socket: &Socket,
    message: &Message,
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<()> {
    rights::send(socket, &serde_json::to_vec(message)?, descriptors)
}

/// Waits for a message, for so long.
pub(super) fn receive(socket: &Socket, patience: Duration) -> io::Result<(Message, Vec<OwnedFd>)> {
    socket.set_read_timeout(Some(patience))?;
    let mut buffer = vec![0; LONGEST];
    let (count, descriptors) = rights::receive(socket, &mut buffer).map_err(|error| {
        let is_late = error.kind() == io::ErrorKind::WouldBlock;
        if is_late { io::Error::new(io::ErrorKind::TimedOut, "no answer") } else { error }
    })?;
    if count == 0 {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the other side has closed"));
    }
    Ok((serde_json::from_slice(&buffer[..count])?, descriptors))
}

#[cfg(test)]
mod tests {
    use socket2::{Domain, Type};

    use super::*;

    #[test]
    fn a_full_message_fits() {
        let (one, other) = Socket::pair(Domain::UNIX, Type::SEQPACKET, None).unwrap();
        let service = Id::new(Protocol::Http, "x".repeat(300), "consulcatalog");
        let address = "[2001:db8:1111:2222:3333:4444:5555:6666]:65535".parse().unwrap();
        let verdicts = vec![Verdict::new(&service, address, true); VERDICTS];
        send(&one, &Message::Verdicts { verdicts: verdicts.clone() }, &[]).unwrap();
        let (message, _) = receive(&other, AT_ONCE).unwrap();
        assert!(matches!(message, Message::Verdicts { verdicts: got } if got == verdicts));
        assert_eq!(verdicts[0].backend(), Some(BackendId { service, address }));
    }
}
