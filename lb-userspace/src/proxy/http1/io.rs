//! The client's side of a connection: its stream, and what was read of it and not yet used.

use std::{
    cell::RefCell,
    future::{Future, poll_fn},
    io::{self, IoSlice},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::proxy::{alarm::Alarm, buffers::SMALL, io::Stream, worker::Worker};

/// A connection's stream with its buffer, which is lent while it holds something.
#[derive(Debug)]
pub(crate) struct ClientIo {
    pub(crate) stream: Stream,
    /// Bytes read; those before `used` are used.
    buffer: Vec<u8>,
    used: usize,
}

/// As connection and body share it; a worker is one thread, and nobody holds it over an await.
pub(crate) type SharedIo = Rc<RefCell<ClientIo>>;

impl ClientIo {
    pub(crate) fn new(stream: Stream) -> Self {
        Self { stream, buffer: Vec::new(), used: 0 }
    }

    /// What was read and not used.
    pub(crate) fn unused(&self) -> &[u8] {
        &self.buffer[self.used..]
    }

    /// Uses so many of them.
    pub(crate) fn consume(&mut self, count: usize) {
        self.used += count;
        if self.used >= self.buffer.len() {
            self.buffer.clear();
            self.used = 0;
        }
    }

    /// Gives the buffer back if it holds nothing.
    pub(crate) fn rest(&mut self, worker: &Worker) {
        if self.unused().is_empty() && self.buffer.capacity() > 0 {
            self.used = 0;
            worker.buffers.give_back(std::mem::take(&mut self.buffer));
        }
    }

    /// As [`Self::rest`]; a few bytes that the rest of may be long in coming move to a place of
    /// their size.
    pub(crate) fn park(&mut self, worker: &Worker) {
        let few = 1..=SMALL / 16;
        if few.contains(&self.unused().len()) && self.buffer.capacity() >= SMALL {
            let parked = self.unused().to_vec();
            self.used = 0;
            worker.buffers.give_back(std::mem::replace(&mut self.buffer, parked));
        } else {
            self.rest(worker);
        }
    }

    /// Reads more behind what is there; 0 at the end.
    pub(crate) fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        worker: &Worker,
    ) -> Poll<io::Result<usize>> {
        if self.buffer.capacity() < SMALL {
            let mut roomy = worker.buffers.small();
            roomy.extend_from_slice(self.unused());
            self.used = 0;
            self.buffer = roomy;
        }
        if self.used > 0 {
            self.buffer.drain(..self.used);
            self.used = 0;
        }
        if self.buffer.capacity() - self.buffer.len() < SMALL / 4 {
            self.buffer.reserve(SMALL);
        }
        let read = poll_read_into(&mut self.stream, cx, &mut self.buffer);
        if read.is_pending() {
            // Who waits holds none: the few buffers that are in use stay in the CPU's caches.
            self.rest(worker);
        }
        read
    }
}

/// Reads into the room behind what `buffer` holds; 0 at the end.
pub(crate) fn poll_read_into(
    stream: &mut Stream,
    cx: &mut Context<'_>,
    buffer: &mut Vec<u8>,
) -> Poll<io::Result<usize>> {
    let read = tokio::io::AsyncReadExt::read_buf(stream, buffer);
    std::pin::pin!(read).poll(cx)
}

/// Writes all of `first` and `second`, and flushes. While it waits, `meanwhile` is polled.
///
/// # Errors
/// Those of the stream; `TimedOut` when the alarm goes off.
pub(crate) async fn write_both(
    io: &SharedIo,
    first: &[u8],
    second: &[u8],
    alarm: &Alarm,
    mut meanwhile: impl FnMut(&mut Context<'_>),
) -> io::Result<()> {
    let (mut done, all) = (0, first.len() + second.len());
    poll_fn(|cx| {
        let mut io = io.borrow_mut();
        while done < all {
            let head = first.get(done..).unwrap_or_default();
            let body = &second[done.saturating_sub(first.len())..];
            let slices = [IoSlice::new(head), IoSlice::new(body)];
            let written = match (head.is_empty(), body.is_empty()) {
                (true, _) => Pin::new(&mut io.stream).poll_write(cx, body),
                (_, true) => Pin::new(&mut io.stream).poll_write(cx, head),
                _ => Pin::new(&mut io.stream).poll_write_vectored(cx, &slices),
            };
            match written {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(count)) => done += count,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    drop(io);
                    return waits(cx, alarm, &mut meanwhile);
                }
            }
        }
        match Pin::new(&mut io.stream).poll_flush(cx) {
            Poll::Pending => {
                drop(io);
                waits(cx, alarm, &mut meanwhile)
            }
            ready => ready,
        }
    })
    .await
}

fn waits(
    cx: &mut Context<'_>,
    alarm: &Alarm,
    meanwhile: &mut impl FnMut(&mut Context<'_>),
) -> Poll<io::Result<()>> {
    meanwhile(cx);
    ready!(alarm.poll(cx));
    Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
}

/// Ends the connection so that the other side gets all that was written: what it still sends is
/// read for a while, for unread bytes would turn the end into a reset.
pub(crate) async fn linger(io: &SharedIo, alarm: &Alarm) {
    const MOST: usize = 256 * 1024;
    const LONGEST: std::time::Duration = std::time::Duration::from_secs(2);
    alarm.set(LONGEST);
    let shut = poll_fn(|cx| Pin::new(&mut io.borrow_mut().stream).poll_shutdown(cx));
    if !matches!(alarm.guard(shut).await, Ok(Ok(()))) {
        return;
    }
    let (mut left, mut room) = (MOST, [0u8; 2048]);
    let drained = poll_fn(|cx| {
        loop {
            let mut buffer = ReadBuf::new(&mut room);
            let read = Pin::new(&mut io.borrow_mut().stream).poll_read(cx, &mut buffer);
            match (read, buffer.filled().len()) {
                (Poll::Pending, _) => return Poll::Pending,
                (Poll::Ready(Ok(())), count) if count > 0 && left >= count => left -= count,
                _ => return Poll::Ready(()),
            }
        }
    });
    // What hasn't come by then is nobody's.
    let _over = alarm.guard(drained).await;
}
