//! A body on its way to the client.

use std::{future::poll_fn, io, task::Poll, time::Duration};

use super::{
    answer::{Broken, body_error, client_error},
    conn::Conn,
    io::write_both,
};
use crate::proxy::{Body, BodyError, Frame, Head, chunked, splice::Moved, upstream::UpstreamBody};

/// How a body is framed towards the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    /// There is none.
    None,
    /// So many bytes.
    Length(u64),
    /// In chunks.
    Chunked,
    /// Until the connection ends.
    Close,
}

/// What stands behind a head is copied there up to so many bytes: one piece goes out faster than two.
const WORTH_A_COPY: usize = 4096;

/// Bodies of at least so many bytes go by splice where both sides are plain TCP.
const WORTH_SPLICING: u64 = 32 * 1024;

/// Sends `out` (the head) and the body behind it. How many bytes the body had.
///
/// # Errors
/// It broke off.
pub(super) async fn body(
    conn: &mut Conn,
    out: &mut Vec<u8>,
    body: &mut Body,
    coding: Coding,
    patience: Duration,
) -> Result<u64, Broken> {
    let mut relay = Relay { conn, out, coding, bytes: 0, patience };
    let done = match body {
        Body::Empty => relay.end(None).await,
        Body::Full(bytes) => {
            let bytes = std::mem::take(bytes);
            relay.whole(&bytes).await
        }
        Body::Stream(source) => match source.upstream() {
            Some(upstream) => relay.upstream(upstream).await,
            None => Box::pin(relay.frames(body)).await,
        },
    };
    let bytes = relay.bytes;
    done.map(|()| bytes).map_err(|reason| Broken { bytes, reason })
}

struct Relay<'a> {
    conn: &'a mut Conn,
    /// What goes out with the next bytes: head or framing.
    out: &'a mut Vec<u8>,
    coding: Coding,
    bytes: u64,
    patience: Duration,
}

impl Relay<'_> {
    async fn whole(&mut self, bytes: &[u8]) -> Result<(), &'static str> {
        self.write(bytes, |_| {}).await?;
        self.bytes = bytes.len() as u64;
        Ok(())
    }

    /// From a server, without a copy but the one out of its connection.
    async fn upstream(&mut self, body: &mut UpstreamBody) -> Result<(), &'static str> {
        loop {
            if let Some(left) = self.may_splice(body) {
                self.splice(body, left).await?;
                return Ok(());
            }
            let count = self.ready(body).await?;
            if count == 0 {
                let trailers = body.take_trailers();
                return self.end(trailers.as_ref()).await;
            }
            let lent = body.lend();
            if self.coding == Coding::Chunked {
                chunked::begin(self.out, count);
            }
            let mut bytes = &lent.bytes()[..count];
            if !self.out.is_empty() && count <= WORTH_A_COPY {
                self.out.extend_from_slice(bytes);
                bytes = &[];
            }
            let written = self.write(bytes, |cx| body.poll_upload(cx)).await;
            body.restore(lent, count);
            written?;
            self.bytes += count as u64;
            if self.coding == Coding::Chunked {
                self.out.extend_from_slice(b"\r\n");
            } else if body.is_over() {
                return Ok(());
            }
        }
    }

    /// Waits for bytes; what is ready to go out doesn't wait with us.
    async fn ready(&mut self, body: &mut UpstreamBody) -> Result<usize, &'static str> {
        let mut waited = false;
        let first = poll_fn(|cx| {
            let polled = body.poll_ready(cx);
            waited = polled.is_pending();
            Poll::Ready(polled)
        })
        .await;
        let count = match first {
            Poll::Ready(count) => count,
            Poll::Pending => {
                self.write(&[], |cx| body.poll_upload(cx)).await?;
                self.conn.alarm.clear();
                poll_fn(|cx| body.poll_ready(cx)).await
            }
        };
        self.conn.alarm.set(self.patience);
        count.map_err(|error| body_error(&error))
    }

    fn may_splice(&self, body: &mut UpstreamBody) -> Option<u64> {
        if !matches!(self.coding, Coding::Length(_)) {
            return None;
        }
        let (server, left) = body.spliceable()?;
        let plain = server.stream.tcp().is_some() && self.conn.io.borrow().stream.tcp().is_some();
        (plain && left >= WORTH_SPLICING).then_some(left)
    }

    async fn splice(&mut self, body: &mut UpstreamBody, left: u64) -> Result<(), &'static str> {
        self.write(&[], |_| {}).await?;
        let conn = &*self.conn;
        let mut pipe = conn.worker.pipes.take().map_err(|_| "no_pipe")?;
        let mut left = left;
        while left > 0 {
            let moving = poll_fn(|cx| {
                let client = conn.io.borrow();
                let server = body.spliceable().and_then(|(server, _)| server.stream.tcp());
                let (Some(from), Some(to)) = (server, client.stream.tcp()) else {
                    return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
                };
                match pipe.poll_move(cx, from, to, left) {
                    Poll::Pending => {
                        conn.alarm.poll(cx).map(|_| Err(io::ErrorKind::TimedOut.into()))
                    }
                    moved => moved,
                }
            });
            match moving.await {
                Ok(Moved::Bytes(count)) => {
                    self.bytes += count as u64;
                    left -= count as u64;
                    conn.alarm.set(self.patience);
                    body.spliced(count as u64);
                }
                Ok(Moved::End) => return Err(body_error(&BodyError::Truncated)),
                Err(error) => return Err(client_error(&error)),
            }
        }
        conn.worker.pipes.give_back(pipe);
        Ok(())
    }

    /// From whatever makes frames.
    async fn frames(&mut self, body: &mut Body) -> Result<(), &'static str> {
        loop {
            let mut first = Poll::Pending;
            poll_fn(|cx| {
                first = body.poll_frame(cx);
                Poll::Ready(())
            })
            .await;
            let frame = match first {
                Poll::Ready(frame) => frame,
                Poll::Pending => {
                    self.write(&[], |_| {}).await?;
                    self.conn.alarm.clear();
                    body.frame().await
                }
            };
            self.conn.alarm.set(self.patience);
            match frame {
                None => return self.end(None).await,
                Some(Err(error)) => return Err(body_error(&error)),
                Some(Ok(Frame::Trailers(head))) => return self.end(Some(&head)).await,
                Some(Ok(Frame::Data(bytes))) => {
                    if self.coding == Coding::Chunked {
                        chunked::begin(self.out, bytes.len());
                    }
                    self.write(&bytes, |_| {}).await?;
                    self.bytes += bytes.len() as u64;
                    if self.coding == Coding::Chunked {
                        self.out.extend_from_slice(b"\r\n");
                    }
                }
            }
        }
    }

    /// The end of the body; an answer that is shorter than it said is broken.
    async fn end(&mut self, trailers: Option<&Head>) -> Result<(), &'static str> {
        match self.coding {
            Coding::Chunked => chunked::end(self.out, trailers),
            Coding::Length(length) if length != self.bytes => {
                return Err(body_error(&BodyError::Truncated));
            }
            _ => {}
        }
        self.write(&[], |_| {}).await
    }

    async fn write(
        &mut self,
        bytes: &[u8],
        meanwhile: impl FnMut(&mut std::task::Context<'_>),
    ) -> Result<(), &'static str> {
        if self.out.is_empty() && bytes.is_empty() {
            return Ok(());
        }
        let written = write_both(&self.conn.io, self.out, bytes, &self.conn.alarm, meanwhile).await;
        self.out.clear();
        self.conn.alarm.set(self.patience);
        written.map_err(|error| client_error(&error))
    }
}
