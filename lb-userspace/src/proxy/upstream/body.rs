//! An answer's body on its way from a server that speaks HTTP/1.1.

use std::{
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;

use super::{Conn, Sent, upload::Upload};
use crate::{
    balance::Ticket,
    proxy::{
        body::{BodyError, Frame, Source},
        chunked::{Decoder, Part},
        framing::Framing,
        head::Head,
        worker::Worker,
    },
};

/// The connection with what is still to be read from it; goes back to the pool at the end.
pub(crate) struct UpstreamBody {
    conn: Option<Conn>,
    left: Left,
    upload: Option<Upload>,
    keeps: bool,
    trailers: Option<Head>,
    worker: Rc<Worker>,
    /// The server is busy with us until this is dropped.
    ticket: Option<Ticket>,
    /// Kept connections at most, and for how long.
    keeping: (u32, Duration),
}

#[derive(Clone, Copy, Debug)]
enum Left {
    Length(u64),
    Chunked(Decoder),
    Close,
    Nothing,
}

impl UpstreamBody {
    pub(crate) fn new(
        sent: Sent,
        worker: &Rc<Worker>,
        ticket: Option<Ticket>,
        keeping: (u32, Duration),
    ) -> Self {
        let left = match sent.framing {
            Framing::None => Left::Nothing,
            Framing::Length(length) => Left::Length(length),
            Framing::Chunked => Left::Chunked(Decoder::default()),
            Framing::Close => Left::Close,
        };
        let mut body = Self {
            conn: Some(sent.conn),
            left,
            upload: sent.upload,
            keeps: sent.keeps,
            trailers: None,
            worker: Rc::clone(worker),
            ticket,
            keeping,
        };
        if matches!(left, Left::Nothing) {
            body.finish();
        }
        body
    }

    /// Whether the last byte was read.
    pub(crate) fn is_over(&self) -> bool {
        matches!(self.left, Left::Nothing)
    }

    /// The trailers, at the end.
    pub(crate) fn take_trailers(&mut self) -> Option<Head> {
        self.trailers.take()
    }

    /// Goes on sending the request.
    pub(crate) fn poll_upload(&mut self, cx: &mut Context<'_>) {
        if let (Some(upload), Some(conn)) = (&mut self.upload, &mut self.conn)
            && let Poll::Ready(done) = upload.poll(cx, conn)
        {
            self.keeps &= done.is_ok();
            self.upload = None;
        }
    }

    /// How many bytes of the body stand at the start of the connection's buffer; 0 at the end.
    pub(crate) fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize, BodyError>> {
        self.poll_upload(cx);
        loop {
            let Some(conn) = &mut self.conn else { return Poll::Ready(Ok(0)) };
            let here = conn.unused();
            match &mut self.left {
                Left::Nothing => return Poll::Ready(Ok(0)),
                Left::Length(left) if !here.is_empty() => {
                    return Poll::Ready(Ok((here.len() as u64).min(*left) as usize));
                }
                Left::Close if !here.is_empty() => return Poll::Ready(Ok(here.len())),
                Left::Chunked(decoder) => match decoder.next(here) {
                    Err(why) => return Poll::Ready(Err(BodyError::Malformed(why))),
                    Ok(Part::Skip(count)) => {
                        conn.consume(count);
                        continue;
                    }
                    Ok(Part::Data(count)) => return Poll::Ready(Ok(count)),
                    Ok(Part::End(count, trailers)) => {
                        conn.consume(count);
                        self.trailers = trailers;
                        self.finish();
                        return Poll::Ready(Ok(0));
                    }
                    Ok(Part::More) => {}
                },
                Left::Length(_) | Left::Close => {}
            }
            match ready!(conn.poll_fill(cx, &self.worker.buffers)) {
                Ok(0) if matches!(self.left, Left::Close) => {
                    self.finish();
                    return Poll::Ready(Ok(0));
                }
                Ok(0) => return Poll::Ready(Err(BodyError::Truncated)),
                Ok(_) => {}
                Err(error) => return Poll::Ready(Err(error.into())),
            }
        }
    }

    /// The bytes that [`Self::poll_ready`] told of; to be given back by [`Self::restore`].
    pub(crate) fn lend(&mut self) -> Lent {
        self.conn.as_mut().map(Conn::lend).unwrap_or_default()
    }

    /// `count` bytes of what was lent are used.
    pub(crate) fn restore(&mut self, lent: Lent, count: usize) {
        let Some(conn) = &mut self.conn else { return };
        conn.restore(lent);
        conn.consume(count);
        if let Left::Length(left) = &mut self.left {
            *left -= count as u64;
            if *left == 0 {
                self.finish();
            }
        }
    }

    /// The connection where a body of known length may be spliced from it, and how much of it
    /// has not been read yet.
    pub(crate) fn spliceable(&mut self) -> Option<(&mut Conn, u64)> {
        match (self.left, &mut self.conn, &self.upload) {
            (Left::Length(left), Some(conn), None) if conn.unused().is_empty() => {
                Some((conn, left))
            }
            _ => None,
        }
    }

    /// So many bytes went by splice.
    pub(crate) fn spliced(&mut self, count: u64) {
        if let Left::Length(left) = &mut self.left {
            *left -= count;
            if *left == 0 {
                self.finish();
            }
        }
    }

    /// The whole connection, for a tunnel, and the ticket that counts it.
    pub(crate) fn take_tunnel(&mut self) -> Option<(Conn, Option<Ticket>)> {
        Some((self.conn.take()?, self.ticket.take()))
    }

    /// The end was reached: the connection may serve again.
    fn finish(&mut self) {
        self.left = Left::Nothing;
        let Some(mut conn) = self.conn.take() else { return };
        let is_sent = self.upload.is_none();
        if let Some(ticket) = self.ticket.take()
            && self.keeps
            && is_sent
            && conn.rest(&self.worker.buffers)
        {
            let (most, idle) = self.keeping;
            let until = self.worker.clock.now() + idle;
            self.worker.pool.keep(ticket.server().id(), conn, most, until);
        }
    }
}

/// A connection's buffer while its bytes are being written elsewhere.
#[derive(Debug, Default)]
pub(crate) struct Lent {
    pub(super) buffer: Vec<u8>,
    pub(super) used: usize,
}

impl Lent {
    /// The bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.buffer[self.used..]
    }
}

impl Source for UpstreamBody {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, BodyError>>> {
        let count = match ready!(self.poll_ready(cx)) {
            Ok(count) => count,
            Err(error) => return Poll::Ready(Some(Err(error))),
        };
        if count == 0 {
            return Poll::Ready(self.trailers.take().map(|head| Ok(Frame::Trailers(head))));
        }
        let lent = self.lend();
        let bytes = Bytes::copy_from_slice(&lent.bytes()[..count]);
        self.restore(lent, count);
        Poll::Ready(Some(Ok(Frame::Data(bytes))))
    }

    fn length(&self) -> Option<u64> {
        match self.left {
            Left::Length(left) => Some(left),
            Left::Nothing => Some(0),
            Left::Chunked(_) | Left::Close => None,
        }
    }

    fn is_over(&self) -> bool {
        matches!(self.left, Left::Nothing) && self.trailers.is_none()
    }

    fn upstream(&mut self) -> Option<&mut UpstreamBody> {
        Some(self)
    }
}
