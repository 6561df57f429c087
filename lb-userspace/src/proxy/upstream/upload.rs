//! A request's body on its way to the server, bit by bit.

use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};

use super::Conn;
use crate::proxy::{
    body::{Body, BodyError, Frame},
    chunked,
};

/// What is still to be sent of a request.
#[derive(Debug)]
pub(crate) struct Upload {
    body: Body,
    chunked: bool,
    /// Framing and data that are next.
    pending: [Bytes; 3],
    /// Whether the body has ended.
    is_over: bool,
}

/// Why an upload ended early.
#[derive(Debug)]
pub(crate) enum UploadError {
    /// The client broke off.
    Client(BodyError),
    /// The server takes no more.
    Server,
}

impl Upload {
    pub(crate) fn new(body: Body, chunked: bool) -> Self {
        Self { body, chunked, pending: Default::default(), is_over: false }
    }

    /// Goes on as far as it can. Ready when all was written.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        conn: &mut Conn,
    ) -> Poll<Result<(), UploadError>> {
        loop {
            for piece in &mut self.pending {
                while !piece.is_empty() {
                    match ready!(conn.poll_write(cx, piece)) {
                        Ok(count) if count > 0 => piece.advance(count),
                        _ => return Poll::Ready(Err(UploadError::Server)),
                    }
                }
            }
            if self.is_over {
                return flush(cx, conn);
            }
            match self.body.poll_frame(cx) {
                Poll::Pending => {
                    // What was written is not to wait for what may come.
                    return match flush(cx, conn) {
                        Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
                        _ => Poll::Pending,
                    };
                }
                Poll::Ready(Some(Err(error))) => {
                    return Poll::Ready(Err(UploadError::Client(error)));
                }
                Poll::Ready(frame) => self.take(frame.and_then(Result::ok)),
            }
        }
    }

    fn take(&mut self, frame: Option<Frame>) {
        let mut framing = Vec::new();
        match frame {
            Some(Frame::Data(bytes)) if self.chunked => {
                chunked::begin(&mut framing, bytes.len());
                self.pending = [framing.into(), bytes, Bytes::from_static(b"\r\n")];
            }
            Some(Frame::Data(bytes)) => self.pending[0] = bytes,
            end => {
                self.is_over = true;
                if self.chunked {
                    let trailers = match &end {
                        Some(Frame::Trailers(head)) => Some(head),
                        _ => None,
                    };
                    chunked::end(&mut framing, trailers);
                    self.pending[0] = framing.into();
                }
            }
        }
    }
}

fn flush(cx: &mut Context<'_>, conn: &mut Conn) -> Poll<Result<(), UploadError>> {
    conn.poll_write(cx, &[]).map(|flushed| flushed.map(drop).map_err(|_| UploadError::Server))
}
