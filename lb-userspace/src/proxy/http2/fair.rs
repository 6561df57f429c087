//! A connection that lets others have a turn: whoever sends frames faster than they can be dealt with
//! (pings, settings, window updates) would otherwise have a worker for itself as long as it does.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;

use crate::proxy::io::Stream;

/// Readings in a row: each brings thousands of the smallest frames at the most.
const TURN: u8 = 4;

/// The connection, and how much of its turn is used up.
pub(super) struct Fair {
    inner: TokioIo<Stream>,
    readings: u8,
}

impl Fair {
    pub(super) fn new(stream: Stream) -> Self {
        Self { inner: TokioIo::new(stream), readings: 0 }
    }
}

impl Read for Fair {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        // 0 again whenever nothing comes of it.
        let readings = std::mem::take(&mut self.readings);
        if readings >= TURN {
            // Behind those who wait for the worker already.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let read = ready!(Pin::new(&mut self.inner).poll_read(cx, buffer));
        self.readings = readings + 1;
        Poll::Ready(read)
    }
}

impl Write for Fair {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, pieces)
    }
}
