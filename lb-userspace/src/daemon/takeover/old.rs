//! The daemon that is asked.

use std::{
    fs, io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::fs::PermissionsExt,
    },
    path::Path,
};

use socket2::{Domain, SockAddr, Socket, Type};
use tokio::sync::mpsc;

use super::{
    Listening, Verdict,
    wire::{AT_ONCE, Message, PROTOCOL, TO_SERVE, VERDICTS, receive, send},
};
use crate::kernel::rights::MOST;

/// A new daemon that asks.
#[derive(Debug)]
pub(crate) struct Asked {
    socket: Socket,
    /// Its process.
    pub(crate) pid: u32,
}

/// Listens for a new daemon, for root alone; whoever asks is told by the channel.
pub(crate) fn listen(path: &Path) -> io::Result<mpsc::Receiver<Asked>> {
    let named = |e: io::Error| io::Error::new(e.kind(), format!("{}: {e}", path.display()));
    let socket = Socket::new(Domain::UNIX, Type::SEQPACKET, None).map_err(named)?;
    // Under another name first, so that nobody connects before the mode is set.
    let new = path.with_extension("takeover.new");
    let _absent = fs::remove_file(&new);
    socket.bind(&SockAddr::unix(&new)?).map_err(named)?;
    fs::set_permissions(&new, fs::Permissions::from_mode(0o600)).map_err(named)?;
    socket.listen(1).map_err(named)?;
    fs::rename(&new, path).map_err(named)?;
    let (asked, asking) = mpsc::channel(1);
    let thread = std::thread::Builder::new().name("takeover".to_owned());
    thread.spawn(move || {
        while let Ok((socket, _)) = socket.accept() {
            match question(socket) {
                Ok(one) => {
                    if asked.blocking_send(one).is_err() {
                        return;
                    }
                }
                Err(error) => tracing::warn!("a takeover was asked for and can't be: {error}"),
            }
        }
    })?;
    Ok(asking)
}

fn question(socket: Socket) -> io::Result<Asked> {
    match receive(&socket, AT_ONCE)? {
        (Message::Ask { protocol: PROTOCOL, pid }, _) => Ok(Asked { socket, pid }),
        (other, _) => {
            let why = format!("this daemon hands over by protocol {PROTOCOL}, not by {other:?}");
            send(&socket, &Message::Refused { why: why.clone() }, &[])?;
            Err(io::Error::new(io::ErrorKind::InvalidData, why))
        }
    }
}

impl Asked {
    /// Hands everything over and waits until the new daemon serves.
    ///
    /// # Errors
    /// It doesn't: whatever was handed over is this daemon's alone again.
    pub(crate) fn hand_over(
        &self,
        lock: BorrowedFd<'_>,
        sockets: &[(Listening, OwnedFd)],
        verdicts: &[Verdict],
    ) -> io::Result<()> {
        self.socket.set_write_timeout(Some(AT_ONCE))?;
        send(&self.socket, &Message::Lock, &[lock])?;
        for some in sockets.chunks(MOST) {
            let listening = some.iter().map(|(listening, _)| *listening).collect();
            let descriptors: Vec<_> = some.iter().map(|(_, socket)| socket.as_fd()).collect();
            send(&self.socket, &Message::Sockets { listening }, &descriptors)?;
        }
        for some in verdicts.chunks(VERDICTS) {
            send(&self.socket, &Message::Verdicts { verdicts: some.to_vec() }, &[])?;
        }
        send(&self.socket, &Message::Whole, &[])?;
        match receive(&self.socket, TO_SERVE)? {
            (Message::Serving, _) => Ok(()),
            (other, _) => Err(io::Error::new(io::ErrorKind::InvalidData, format!("{other:?}"))),
        }
    }
}
