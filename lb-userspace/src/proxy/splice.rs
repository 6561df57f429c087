//! Bytes from one TCP connection to another without passing through this process (splice(2)).

use std::{
    cell::RefCell,
    io,
    os::fd::OwnedFd,
    task::{Context, Poll, ready},
};

use nix::{
    fcntl::{FcntlArg, OFlag, SpliceFFlags, fcntl, splice},
    unistd::pipe2,
};
use tokio::{io::Interest, net::TcpStream};

/// Bytes that a pipe holds.
const PIPE: usize = 256 * 1024;
/// Pipes that a worker keeps.
const KEPT: usize = 64;

/// A pipe, and how many bytes are in it.
#[derive(Debug)]
pub(crate) struct Pipe {
    out: OwnedFd,
    into: OwnedFd,
    held: usize,
}

/// A worker's pipes.
#[derive(Debug, Default)]
pub(crate) struct Pipes(RefCell<Vec<Pipe>>);

impl Pipes {
    /// An empty one.
    ///
    /// # Errors
    /// There are no descriptors left.
    pub(crate) fn take(&self) -> io::Result<Pipe> {
        if let Some(pipe) = self.0.borrow_mut().pop() {
            return Ok(pipe);
        }
        let (out, into) = pipe2(OFlag::O_NONBLOCK | OFlag::O_CLOEXEC)?;
        // A smaller one does as well, in more steps.
        let _larger = fcntl(&into, FcntlArg::F_SETPIPE_SZ(PIPE as i32));
        Ok(Pipe { out, into, held: 0 })
    }

    /// Takes one back; one with bytes in it is closed.
    pub(crate) fn give_back(&self, pipe: Pipe) {
        let mut kept = self.0.borrow_mut();
        if pipe.held == 0 && kept.len() < KEPT {
            kept.push(pipe);
        }
    }
}

/// How far a step came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moved {
    /// So many bytes reached the other side.
    Bytes(usize),
    /// The first side has ended, and all of it is through.
    End,
}

impl Pipe {
    /// Whether nothing is on its way.
    pub(crate) fn is_empty(&self) -> bool {
        self.held == 0
    }

    /// Moves some of at most `most` bytes, one step.
    ///
    /// # Errors
    /// Those of either socket.
    pub(crate) fn poll_move(
        &mut self,
        cx: &mut Context<'_>,
        from: &TcpStream,
        to: &TcpStream,
        most: u64,
    ) -> Poll<io::Result<Moved>> {
        if self.held == 0 {
            let most = usize::try_from(most).unwrap_or(PIPE).min(PIPE);
            let count = ready!(self.poll_take(cx, from, most))?;
            if count == 0 {
                return Poll::Ready(Ok(Moved::End));
            }
            self.held = count;
        }
        let count = ready!(self.poll_give(cx, to))?;
        self.held -= count;
        Poll::Ready(Ok(Moved::Bytes(count)))
    }

    fn poll_take(
        &self,
        cx: &mut Context<'_>,
        from: &TcpStream,
        most: usize,
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(from.poll_read_ready(cx))?;
            let moved = from.try_io(Interest::READABLE, || {
                Ok(splice(from, None, &self.into, None, most, flags())?)
            });
            match moved {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return Poll::Ready(done),
            }
        }
    }

    fn poll_give(&self, cx: &mut Context<'_>, to: &TcpStream) -> Poll<io::Result<usize>> {
        loop {
            ready!(to.poll_write_ready(cx))?;
            let moved = to.try_io(Interest::WRITABLE, || {
                Ok(splice(&self.out, None, to, None, self.held, flags())?)
            });
            match moved {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return Poll::Ready(done),
            }
        }
    }
}

fn flags() -> SpliceFFlags {
    SpliceFFlags::SPLICE_F_NONBLOCK | SpliceFFlags::SPLICE_F_MOVE
}
