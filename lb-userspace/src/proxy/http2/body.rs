//! Bodies of hyper's and of the engine.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame as HttpFrame, SizeHint};
use hyper::body::Incoming;

use super::convert;
use crate::{
    balance::Ticket,
    proxy::{
        Body, BodyError, Frame,
        alarm::{Alarm, Elapsed},
        body::Source,
        worker::Worker,
    },
};

/// A body that comes by HTTP/2.
pub(super) struct Arriving {
    body: Incoming,
    /// Goes off when the whole body ought to have come.
    alarm: Option<Alarm>,
    /// Dropped at the end: the server is busy with us until then.
    _guard: Option<Ticket>,
}

impl Arriving {
    /// A request's, which may take `patience` (0: for ever).
    pub(super) fn request(body: Incoming, worker: &Worker, patience: Duration) -> Body {
        if body.is_end_stream() {
            return Body::Empty;
        }
        let alarm = worker.alarms.alarm();
        alarm.set(patience);
        Body::Stream(Box::new(Self { body, alarm: Some(alarm), _guard: None }))
    }

    /// An answer's.
    pub(super) fn answer(body: Incoming, guard: Ticket) -> Body {
        match body.is_end_stream() {
            true => Body::Empty,
            false => Body::Stream(Box::new(Self { body, alarm: None, _guard: Some(guard) })),
        }
    }
}

impl Source for Arriving {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, BodyError>>> {
        loop {
            let Poll::Ready(polled) = Pin::new(&mut self.body).poll_frame(cx) else {
                let Some(alarm) = &self.alarm else { return Poll::Pending };
                return alarm.poll(cx).map(|Elapsed| Some(Err(BodyError::Timeout)));
            };
            let frame = match polled {
                None => return Poll::Ready(None),
                Some(Err(error)) => {
                    return Poll::Ready(Some(Err(BodyError::Io(error.to_string()))));
                }
                Some(Ok(frame)) => frame,
            };
            let frame = match frame.into_data() {
                Ok(bytes) if bytes.is_empty() => continue,
                Ok(bytes) => Frame::Data(bytes),
                Err(frame) => match frame.into_trailers() {
                    Ok(map) => Frame::Trailers(convert::trailers(&map)),
                    Err(_) => continue,
                },
            };
            return Poll::Ready(Some(Ok(frame)));
        }
    }

    fn length(&self) -> Option<u64> {
        self.body.size_hint().exact()
    }
}

/// A body that goes by HTTP/2. `at_end` is called once, with the bytes sent and whether all were,
/// when it is over or given up.
pub(crate) struct Leaving<F: FnMut(u64, bool)> {
    body: Body,
    bytes: u64,
    is_over: bool,
    at_end: F,
}

impl<F: FnMut(u64, bool)> Leaving<F> {
    pub(super) fn new(body: Body, at_end: F) -> Self {
        let is_over = matches!(body, Body::Empty);
        Self { body, bytes: 0, is_over, at_end }
    }
}

impl<F: FnMut(u64, bool)> Drop for Leaving<F> {
    fn drop(&mut self) {
        (self.at_end)(self.bytes, self.is_over);
    }
}

impl<F: FnMut(u64, bool) + Unpin> HttpBody for Leaving<F> {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<HttpFrame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let frame = match ready!(this.body.poll_frame(cx)) {
            Some(Ok(frame)) => frame,
            Some(Err(error)) => return Poll::Ready(Some(Err(error))),
            None => {
                this.is_over = true;
                return Poll::Ready(None);
            }
        };
        Poll::Ready(Some(Ok(match frame {
            Frame::Data(bytes) => {
                this.bytes += bytes.len() as u64;
                // Whoever sees that this was the last one asks no more.
                this.is_over = this.body.is_over();
                HttpFrame::data(bytes)
            }
            Frame::Trailers(head) => {
                this.is_over = true;
                HttpFrame::trailers(convert::trailing(&head))
            }
        })))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_over()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.length().map(SizeHint::with_exact).unwrap_or_default()
    }
}
