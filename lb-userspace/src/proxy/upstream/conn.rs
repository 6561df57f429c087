//! A connection to a server that speaks HTTP/1.1.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::AsyncWrite;

use super::body::Lent;
use crate::proxy::{buffers::Buffers, http1::poll_read_into, io::Stream};

/// A connection to a server.
#[derive(Debug)]
pub(crate) struct Conn {
    pub(crate) stream: Stream,
    /// Bytes read; those before `used` are used.
    buffer: Vec<u8>,
    used: usize,
    /// Whether it has served a request before: it may have been closed meanwhile.
    pub(crate) is_reused: bool,
}

impl Conn {
    pub(crate) fn new(stream: Stream) -> Self {
        Self { stream, buffer: Vec::new(), used: 0, is_reused: false }
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

    /// Reads more behind what is there; 0 at the end.
    pub(crate) fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        buffers: &Buffers,
    ) -> Poll<io::Result<usize>> {
        if self.buffer.capacity() == 0 {
            self.buffer = buffers.small();
        }
        if self.used > 0 {
            self.buffer.drain(..self.used);
            self.used = 0;
        }
        self.buffer.reserve(4096);
        let read = poll_read_into(&mut self.stream, cx, &mut self.buffer);
        if read.is_pending() && self.buffer.is_empty() {
            // Who waits holds none: the few buffers that are in use stay in the CPU's caches.
            buffers.give_back(std::mem::take(&mut self.buffer));
        }
        read
    }

    /// Writes some of `bytes`; flushes where there are none.
    pub(crate) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let stream = Pin::new(&mut self.stream);
        match bytes.is_empty() {
            true => stream.poll_flush(cx).map_ok(|()| 0),
            false => stream.poll_write(cx, bytes),
        }
    }

    /// Makes it ready to be kept: nothing may be left unread. Whether it is.
    pub(crate) fn rest(&mut self, buffers: &Buffers) -> bool {
        if !self.unused().is_empty() || self.stream.has_buffered() {
            return false;
        }
        self.used = 0;
        self.is_reused = true;
        if self.buffer.capacity() > 0 {
            buffers.give_back(std::mem::take(&mut self.buffer));
        }
        true
    }

    /// Whether a kept one can still be used: the server has neither closed it nor said anything.
    pub(crate) fn is_alive(&mut self) -> bool {
        let mut byte = [0];
        matches!(self.stream.try_read(&mut byte), Err(e) if e.kind() == io::ErrorKind::WouldBlock)
    }

    /// Its buffer, while bytes of it are written elsewhere.
    pub(super) fn lend(&mut self) -> Lent {
        Lent { buffer: std::mem::take(&mut self.buffer), used: std::mem::take(&mut self.used) }
    }

    /// The buffer is back.
    pub(super) fn restore(&mut self, lent: Lent) {
        (self.buffer, self.used) = (lent.buffer, lent.used);
    }

    /// Gives up its buffer, at the end.
    pub(crate) fn into_parts(mut self) -> (Stream, Vec<u8>) {
        self.buffer.drain(..self.used);
        (self.stream, self.buffer)
    }
}
