//! The daemon that asks.

use std::{io, os::fd::OwnedFd};

use socket2::{Domain, SockAddr, Socket, Type};

use super::{
    Listening, Verdict,
    wire::{AT_ONCE, Message, PROTOCOL, receive, send},
};
use crate::kernel::{InstanceLock, Paths};

/// What a new daemon has from the old one.
#[derive(Debug)]
pub(crate) struct Inherited {
    socket: Socket,
    /// Of the instance.
    pub(crate) lock: InstanceLock,
    /// What it listened on.
    pub(crate) sockets: Vec<(Listening, OwnedFd)>,
    /// What its checks have found out.
    pub(crate) verdicts: Vec<Verdict>,
}

/// Asks the daemon that runs the instance.
///
/// # Errors
/// It can't be asked, or won't hand over; it goes on.
pub(crate) fn ask(paths: &Paths) -> io::Result<Inherited> {
    let path = paths.takeover();
    ask_at(&path).map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", path.display())))
}

fn ask_at(path: &std::path::Path) -> io::Result<Inherited> {
    let socket = Socket::new(Domain::UNIX, Type::SEQPACKET, None)?;
    socket.connect(&SockAddr::unix(path)?)?;
    send(&socket, &Message::Ask { protocol: PROTOCOL, pid: std::process::id() }, &[])?;
    let (mut lock, mut sockets, mut verdicts) = (None, Vec::new(), Vec::new());
    let wrong = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what);
    loop {
        match receive(&socket, AT_ONCE)? {
            (Message::Lock, mut descriptors) => lock = descriptors.pop(),
            (Message::Sockets { listening }, descriptors) => {
                if listening.len() != descriptors.len() {
                    return Err(wrong("sockets are missing"));
                }
                sockets.extend(listening.into_iter().zip(descriptors));
            }
            (Message::Verdicts { verdicts: more }, _) => verdicts.extend(more),
            (Message::Whole, _) => break,
            (Message::Refused { why }, _) => return Err(io::Error::other(why)),
            (other, _) => return Err(wrong(&format!("{other:?} is no answer"))),
        }
    }
    let lock = InstanceLock::inherit(lock.ok_or_else(|| wrong("the lock is missing"))?);
    Ok(Inherited { socket, lock, sockets, verdicts })
}

/// The old daemon's end of it.
#[derive(Debug)]
pub(crate) struct Predecessor(Socket);

impl Predecessor {
    /// Tells it that this one serves.
    ///
    /// # Errors
    /// It is gone already.
    pub(crate) fn release(&self) -> io::Result<()> {
        send(&self.0, &Message::Serving, &[])
    }
}

impl Inherited {
    /// What it consists of.
    pub(crate) fn into_parts(
        self,
    ) -> (InstanceLock, Vec<(Listening, OwnedFd)>, Vec<Verdict>, Predecessor) {
        (self.lock, self.sockets, self.verdicts, Predecessor(self.socket))
    }
}
