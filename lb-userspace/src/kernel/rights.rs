//! Descriptors on their way from one process to another (SCM_RIGHTS, unix(7)).

use std::{
    io::{self, IoSlice, IoSliceMut},
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
};

use nix::{
    cmsg_space,
    sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg},
};

/// Descriptors that one message may carry (SCM_MAX_FD is 253).
pub const MOST: usize = 128;

/// Sends one message of a socket that keeps their bounds, with descriptors.
///
/// # Errors
/// Those of sendmsg(2).
pub fn send(socket: impl AsFd, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    let raw: Vec<RawFd> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&raw)];
    let control = if raw.is_empty() { &[] } else { &rights[..] };
    let fd = socket.as_fd().as_raw_fd();
    sendmsg::<()>(fd, &[IoSlice::new(bytes)], control, MsgFlags::MSG_NOSIGNAL, None)?;
    Ok(())
}

/// Receives one message with its descriptors; no bytes where the other side has closed.
///
/// # Errors
/// Those of recvmsg(2), and a message that is longer than `buffer`.
pub fn receive(socket: impl AsFd, buffer: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
    let mut control = cmsg_space!([RawFd; MOST]);
    let mut into = [IoSliceMut::new(buffer)];
    let fd = socket.as_fd().as_raw_fd();
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let message = recvmsg::<()>(fd, &mut into, Some(&mut control), flags)?;
    let mut descriptors = Vec::new();
    for control in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(raw) = control {
            // SAFETY: the kernel has just made these for this process, and nobody else has them.
            descriptors.extend(raw.into_iter().map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }));
        }
    }
    if message.flags.intersects(MsgFlags::MSG_TRUNC | MsgFlags::MSG_CTRUNC) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the message was cut short"));
    }
    Ok((message.bytes, descriptors))
}

#[cfg(test)]
mod tests {
    use std::{fs::File, io::Read, net::TcpListener};

    use socket2::{Domain, Socket, Type};

    use super::*;

    #[test]
    fn a_listener_comes_over_with_its_message() {
        let (one, other) = Socket::pair(Domain::UNIX, Type::SEQPACKET, None).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let file = File::open("/dev/zero").unwrap();
        send(&one, b"two", &[listener.as_fd(), file.as_fd()]).unwrap();
        send(&one, b"none", &[]).unwrap();
        let mut buffer = [0; 16];
        let (count, mut got) = receive(&other, &mut buffer).unwrap();
        assert_eq!((&buffer[..count], got.len()), (&b"two"[..], 2));
        let mut zero = [1; 4];
        File::from(got.pop().unwrap()).read_exact(&mut zero).unwrap();
        assert_eq!(zero, [0; 4]);
        let same = TcpListener::from(got.pop().unwrap()).local_addr().unwrap();
        assert_eq!(same, listener.local_addr().unwrap());
        assert_eq!(receive(&other, &mut buffer).unwrap().0, 4);
        send(&one, &[0; 17], &[]).unwrap();
        assert!(receive(&other, &mut buffer).is_err());
        drop(one);
        assert_eq!(receive(&other, &mut buffer).unwrap().0, 0);
    }
}
