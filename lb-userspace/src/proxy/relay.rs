//! Bytes both ways between two connections, until both have ended.
//!
//! What comes bit by bit is copied; a direction that fills a buffer is spliced from then on, where
//! neither side has TLS, until it becomes slow again. A silent direction holds neither buffer nor pipe.

use std::{
    future::{Future, poll_fn},
    io,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWrite},
    time::{Instant, Sleep},
};

use super::{
    Stream,
    buffers::{Buffers, SMALL},
    cuts::{Cut, Cuts},
    splice::{Moved, Pipe, Pipes},
};

/// What a worker lends.
#[derive(Clone, Copy)]
pub(crate) struct Tools<'a> {
    pub(crate) buffers: &'a Buffers,
    pub(crate) pipes: &'a Pipes,
    pub(crate) cuts: &'a Cuts,
}

/// Hears of bytes as they pass: from the client, and to it.
pub(crate) trait Meter {
    fn passed(&self, from_client: u64, to_client: u64);
}

/// Who broke off.
#[derive(Debug)]
pub(crate) enum Broken {
    Client(io::Error),
    Server(io::Error),
}

/// Relays until both directions have ended. When one has, the other one has `delay` at a time
/// to go on ([`Duration::MAX`]: for ever). Who is left after an error is reset: what it got
/// isn't the whole. So are both when `cut` says that the server is gone.
///
/// # Errors
/// Who broke off.
pub(crate) async fn relay(
    client: &mut Stream,
    server: &mut Stream,
    delay: Duration,
    tools: Tools<'_>,
    cut: Option<&Cut>,
    meter: &dyn Meter,
) -> Result<(), Broken> {
    let mut relay = Relay::new(Vec::new(), delay, tools, cut, meter);
    poll_fn(|cx| relay.poll(cx, client, server)).await
}

/// As [`relay`], for whoever has the client's connection only while it polls.
pub(crate) struct Relay<'a> {
    up: Way,
    down: Way,
    delay: Duration,
    /// Since one direction has ended: when it has been silent for too long, and how far it was.
    patience: Option<(Pin<Box<Sleep>>, u64)>,
    tools: Tools<'a>,
    cut: Option<&'a Cut>,
    meter: &'a dyn Meter,
    /// What the meter has heard of.
    told: (u64, u64),
}

impl Drop for Relay<'_> {
    fn drop(&mut self) {
        self.up.release(self.tools);
        self.down.release(self.tools);
    }
}

impl<'a> Relay<'a> {
    /// `ahead` was read of the client already.
    pub(crate) fn new(
        ahead: Vec<u8>,
        delay: Duration,
        tools: Tools<'a>,
        cut: Option<&'a Cut>,
        meter: &'a dyn Meter,
    ) -> Self {
        let up = Way { buffer: ahead, ..Way::default() };
        Self { up, down: Way::default(), delay, patience: None, tools, cut, meter, told: (0, 0) }
    }

    /// Ready when it is over.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut Stream,
        server: &mut Stream,
    ) -> Poll<Result<(), Broken>> {
        let mut ended = self.poll_ways(cx, client, server);
        self.tell();
        if ended.is_pending() && self.cut.is_some_and(|cut| cut.poll(cx).is_ready()) {
            let error = io::Error::new(io::ErrorKind::ConnectionReset, "it is no longer there");
            ended = Poll::Ready(Err(Broken::Server(error)));
        }
        if let Poll::Ready(Err(_)) = &ended {
            client.reset_on_drop();
            server.reset_on_drop();
        }
        ended
    }

    fn poll_ways(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut Stream,
        server: &mut Stream,
    ) -> Poll<Result<(), Broken>> {
        let up = self.up.poll(cx, client, server, self.tools);
        let up = up.map_err(|side| side.named(Broken::Client, Broken::Server))?;
        let down = self.down.poll(cx, server, client, self.tools);
        let down = down.map_err(|side| side.named(Broken::Server, Broken::Client))?;
        match (up, down) {
            (Poll::Ready(()), Poll::Ready(())) => Poll::Ready(Ok(())),
            (Poll::Pending, Poll::Pending) => Poll::Pending,
            _ if self.delay == Duration::MAX => Poll::Pending,
            _ => self.poll_patience(cx).map(Ok),
        }
    }

    /// Ready when the other direction has been silent for too long.
    fn poll_patience(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let bytes = self.up.bytes + self.down.bytes;
        let later = || Instant::now() + self.delay;
        let (sleep, seen) = self
            .patience
            .get_or_insert_with(|| (Box::pin(tokio::time::sleep_until(later())), bytes));
        if *seen != bytes {
            *seen = bytes;
            sleep.as_mut().reset(later());
        }
        sleep.as_mut().poll(cx)
    }

    fn tell(&mut self) {
        let now = (self.up.bytes, self.down.bytes);
        if now != self.told {
            self.meter.passed(now.0 - self.told.0, now.1 - self.told.1);
            self.told = now;
        }
    }
}

/// One direction.
#[derive(Default)]
struct Way {
    /// What was read and not written yet.
    buffer: Vec<u8>,
    written: usize,
    pipe: Option<Pipe>,
    /// Whether it is spliced.
    is_bulk: bool,
    /// Bytes spliced since the last pause.
    burst: usize,
    state: State,
    bytes: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Open,
    /// The sender has ended; the receiver is to be told.
    Ending,
    Over,
}

/// An error of the side that is read from, or of the one that is written to.
enum Side {
    From(io::Error),
    To(io::Error),
}

impl Side {
    fn named(self, from: fn(io::Error) -> Broken, to: fn(io::Error) -> Broken) -> Broken {
        match self {
            Self::From(error) => from(error),
            Self::To(error) => to(error),
        }
    }
}

impl Way {
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut Stream,
        to: &mut Stream,
        tools: Tools<'_>,
    ) -> Poll<Result<(), Side>> {
        loop {
            ready!(self.poll_write(cx, to)).map_err(Side::To)?;
            match self.state {
                State::Over => return Poll::Ready(Ok(())),
                State::Ending => {
                    ready!(Pin::new(&mut *to).poll_shutdown(cx)).map_err(Side::To)?;
                    self.state = State::Over;
                    self.release(tools);
                    return Poll::Ready(Ok(()));
                }
                State::Open => {}
            }
            let moved = match (self.is_bulk, from.tcp(), to.tcp()) {
                (true, Some(from), Some(to)) => self.poll_splice(cx, from, to, tools),
                _ => self.poll_read(cx, from, tools).map_err(Side::From),
            };
            match moved {
                Poll::Ready(Ok(0)) => self.state = State::Ending,
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    self.pause(tools);
                    // With TLS, bytes may be left that only wait for room in the socket.
                    let _on_its_way = Pin::new(&mut *to).poll_flush(cx).map_err(Side::To)?;
                    return Poll::Pending;
                }
            }
        }
    }

    /// Writes what was read.
    fn poll_write(&mut self, cx: &mut Context<'_>, to: &mut Stream) -> Poll<io::Result<()>> {
        while self.written < self.buffer.len() {
            let rest = &self.buffer[self.written..];
            let count = ready!(Pin::new(&mut *to).poll_write(cx, rest))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written += count;
            self.bytes += count as u64;
        }
        self.buffer.clear();
        self.written = 0;
        Poll::Ready(Ok(()))
    }

    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut Stream,
        tools: Tools<'_>,
    ) -> Poll<io::Result<usize>> {
        if self.buffer.capacity() == 0 {
            self.buffer = tools.buffers.small();
        }
        let room = self.buffer.capacity();
        let count = match ready!(pin!(from.read_buf(&mut self.buffer)).poll(cx)) {
            // TLS without `close_notify`: common, and what is spoken here marks its own end.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => 0,
            done => done?,
        };
        self.is_bulk = count == room;
        Poll::Ready(Ok(count))
    }

    fn poll_splice(
        &mut self,
        cx: &mut Context<'_>,
        from: &tokio::net::TcpStream,
        to: &tokio::net::TcpStream,
        tools: Tools<'_>,
    ) -> Poll<Result<usize, Side>> {
        if self.pipe.is_none() {
            ready!(from.poll_read_ready(cx)).map_err(Side::From)?;
            match tools.pipes.take() {
                Ok(pipe) => self.pipe = Some(pipe),
                Err(_no_descriptors) => {
                    self.is_bulk = false;
                    // Copied, this once and until it fills a buffer again.
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
            }
        }
        let Some(pipe) = &mut self.pipe else { return Poll::Pending };
        // An empty pipe is filled from the sender: what fails then is its fault.
        let was_empty = pipe.is_empty();
        let moved = ready!(pipe.poll_move(cx, from, to, u64::MAX));
        let is_filled = !was_empty || !pipe.is_empty();
        match moved {
            Ok(Moved::Bytes(count)) => {
                self.bytes += count as u64;
                self.burst += count;
                Poll::Ready(Ok(count))
            }
            Ok(Moved::End) => Poll::Ready(Ok(0)),
            Err(error) if is_filled => Poll::Ready(Err(Side::To(error))),
            Err(error) => Poll::Ready(Err(Side::From(error))),
        }
    }

    /// Nothing is there for now: what is empty goes back.
    fn pause(&mut self, tools: Tools<'_>) {
        if self.is_bulk && self.pipe.as_ref().is_none_or(Pipe::is_empty) {
            self.is_bulk = self.burst >= SMALL;
            self.burst = 0;
        }
        if self.pipe.as_ref().is_some_and(Pipe::is_empty)
            && let Some(pipe) = self.pipe.take()
        {
            tools.pipes.give_back(pipe);
        }
        if self.buffer.is_empty() && self.buffer.capacity() > 0 {
            tools.buffers.give_back(std::mem::take(&mut self.buffer));
        }
    }

    fn release(&mut self, tools: Tools<'_>) {
        if let Some(pipe) = self.pipe.take() {
            tools.pipes.give_back(pipe);
        }
        if self.buffer.capacity() > 0 {
            tools.buffers.give_back(std::mem::take(&mut self.buffer));
        }
    }
}

#[cfg(test)]
mod tests;
