//! A request's body, read from the client's connection as it is asked for.

use std::{
    cell::Cell,
    io::IoSlice,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use tokio::io::AsyncWrite;

use super::io::SharedIo;
use crate::proxy::{
    alarm::{Alarm, Elapsed},
    body::{BodyError, Frame, Source},
    chunked::{Decoder, Part},
    framing::Framing,
    worker::Worker,
};

/// What the connection has to know of a body when the answer is through.
#[derive(Debug, Default)]
pub(super) struct State {
    /// The last byte was read.
    pub(super) is_done: Cell<bool>,
    /// `100 Continue` was not sent yet: the client waits for it, and may never send the body.
    pub(super) awaits_continue: Cell<bool>,
    /// Bytes of data read.
    pub(super) bytes: Cell<u64>,
}

/// A body on its way from the client.
pub(super) struct ClientBody {
    io: SharedIo,
    worker: Rc<Worker>,
    state: Rc<State>,
    left: Left,
    /// Goes off when the whole body ought to have come.
    alarm: Alarm,
}

enum Left {
    Length(u64),
    Chunked(Decoder),
}

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
/// Bytes handed on at a time at the most.
const PIECE: usize = 64 * 1024;

impl ClientBody {
    /// The body framed so, which may take `patience` (0: for ever); `None` where there is none.
    pub(super) fn new(
        framing: Framing,
        expects: bool,
        io: &SharedIo,
        worker: &Rc<Worker>,
        patience: Duration,
    ) -> Option<(Self, Rc<State>)> {
        let left = match framing {
            Framing::None | Framing::Close | Framing::Length(0) => return None,
            Framing::Length(length) => Left::Length(length),
            Framing::Chunked => Left::Chunked(Decoder::default()),
        };
        let state = Rc::<State>::default();
        state.awaits_continue.set(expects);
        let alarm = worker.alarms.alarm();
        alarm.set(patience);
        let (io, worker) = (Rc::clone(io), Rc::clone(worker));
        Some((Self { io, worker, state: Rc::clone(&state), left, alarm }, state))
    }

    /// Tells the client to go on, the first time that its body is asked for.
    fn invite(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BodyError>> {
        if self.state.awaits_continue.get() {
            let stream = &mut self.io.borrow_mut().stream;
            // The first bytes of an answer: they fit the socket's buffer or nothing ever does.
            let sent =
                ready!(Pin::new(&mut *stream).poll_write_vectored(cx, &[IoSlice::new(CONTINUE)]));
            self.state.awaits_continue.set(false);
            if sent? != CONTINUE.len() {
                return Poll::Ready(Err(BodyError::Io("the client takes no bytes".into())));
            }
            let _on_its_way = Pin::new(stream).poll_flush(cx)?;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_length(
        &mut self,
        cx: &mut Context<'_>,
        left: u64,
    ) -> Poll<Option<Result<Frame, BodyError>>> {
        let mut io = self.io.borrow_mut();
        if io.unused().is_empty() && ready!(io.poll_fill(cx, &self.worker))? == 0 {
            return Poll::Ready(Some(Err(BodyError::Truncated)));
        }
        let count = io.unused().len().min(PIECE).min(usize::try_from(left).unwrap_or(PIECE));
        let bytes = Bytes::copy_from_slice(&io.unused()[..count]);
        io.consume(count);
        self.left = Left::Length(left - count as u64);
        self.state.bytes.set(self.state.bytes.get() + count as u64);
        self.state.is_done.set(left == count as u64);
        Poll::Ready(Some(Ok(Frame::Data(bytes))))
    }

    fn poll_chunked(
        &mut self,
        cx: &mut Context<'_>,
        mut decoder: Decoder,
    ) -> Poll<Option<Result<Frame, BodyError>>> {
        let mut io = self.io.borrow_mut();
        loop {
            let part = decoder.next(io.unused());
            self.left = Left::Chunked(decoder);
            match part {
                Err(why) => return Poll::Ready(Some(Err(BodyError::Malformed(why)))),
                Ok(Part::Skip(count)) => io.consume(count),
                Ok(Part::Data(count)) => {
                    let bytes = Bytes::copy_from_slice(&io.unused()[..count]);
                    io.consume(count);
                    self.state.bytes.set(self.state.bytes.get() + count as u64);
                    return Poll::Ready(Some(Ok(Frame::Data(bytes))));
                }
                Ok(Part::End(count, trailers)) => {
                    io.consume(count);
                    self.state.is_done.set(true);
                    return Poll::Ready(trailers.map(|head| Ok(Frame::Trailers(head))));
                }
                Ok(Part::More) => {
                    if ready!(io.poll_fill(cx, &self.worker))? == 0 {
                        return Poll::Ready(Some(Err(BodyError::Truncated)));
                    }
                }
            }
        }
    }
}

impl Source for ClientBody {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, BodyError>>> {
        if self.state.is_done.get() {
            return Poll::Ready(None);
        }
        ready!(self.invite(cx))?;
        let polled = match self.left {
            Left::Length(left) => self.poll_length(cx, left),
            Left::Chunked(decoder) => self.poll_chunked(cx, decoder),
        };
        match polled {
            Poll::Pending => self.alarm.poll(cx).map(|Elapsed| Some(Err(BodyError::Timeout))),
            ready => ready,
        }
    }

    fn length(&self) -> Option<u64> {
        match self.left {
            Left::Length(left) => Some(left),
            Left::Chunked(_) => None,
        }
    }
}
