//! Bodies made of bodies.

use std::task::{Context, Poll};

use bytes::Bytes;

use crate::proxy::{Body, BodyError, Frame, Head, body::Source};

/// A body that is all there.
pub(super) fn whole(bytes: Bytes, trailers: Option<Head>) -> Body {
    match trailers {
        None if bytes.is_empty() => Body::Empty,
        None => Body::Full(bytes),
        Some(trailers) => Body::Stream(Box::new(Whole { bytes, trailers: Some(trailers) })),
    }
}

/// Bytes with trailers.
struct Whole {
    bytes: Bytes,
    trailers: Option<Head>,
}

impl Source for Whole {
    fn poll_frame(&mut self, _: &mut Context<'_>) -> Poll<Option<Result<Frame, BodyError>>> {
        if !self.bytes.is_empty() {
            return Poll::Ready(Some(Ok(Frame::Data(std::mem::take(&mut self.bytes)))));
        }
        Poll::Ready(self.trailers.take().map(|head| Ok(Frame::Trailers(head))))
    }

    fn length(&self) -> Option<u64> {
        Some(self.bytes.len() as u64)
    }
}

/// Frames that were looked at, in front of the rest.
pub(super) struct Prepended {
    first: std::collections::VecDeque<Result<Frame, BodyError>>,
    rest: Body,
    /// Whether `rest` has ended already.
    ended: bool,
}

impl Source for Prepended {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, BodyError>>> {
        match self.first.pop_front() {
            Some(frame) => Poll::Ready(Some(frame)),
            None if self.ended => Poll::Ready(None),
            None => self.rest.poll_frame(cx),
        }
    }

    fn length(&self) -> Option<u64> {
        let mut length = if self.ended { 0 } else { self.rest.length()? };
        for frame in &self.first {
            if let Ok(Frame::Data(bytes)) = frame {
                length += bytes.len() as u64;
            }
        }
        Some(length)
    }
}

/// A body's first frames, put in front of it again; what was seen of them is returned.
pub(super) struct Peek {
    frames: std::collections::VecDeque<Result<Frame, BodyError>>,
    /// Bytes so far.
    pub(super) length: usize,
    /// Whether the body has ended.
    pub(super) ended: bool,
}

impl Peek {
    pub(super) fn new() -> Self {
        Self { frames: std::collections::VecDeque::new(), length: 0, ended: false }
    }

    /// Takes frames as long as they are there, until `enough` bytes are.
    pub(super) fn poll(
        &mut self,
        body: &mut Body,
        enough: usize,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        while !self.ended && self.length < enough {
            match body.poll_frame(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => self.ended = true,
                Poll::Ready(Some(frame)) => {
                    match &frame {
                        Ok(Frame::Data(bytes)) => self.length += bytes.len(),
                        Ok(Frame::Trailers(_)) => {}
                        Err(_) => self.ended = true,
                    }
                    self.frames.push_back(frame);
                }
            }
        }
        Poll::Ready(())
    }

    /// The first bytes, up to `most`.
    pub(super) fn bytes(&self, most: usize) -> Bytes {
        let mut data = self.frames.iter().filter_map(|frame| match frame {
            Ok(Frame::Data(bytes)) => Some(bytes),
            _ => None,
        });
        let first = data.next().cloned().unwrap_or_default();
        if first.len() >= most {
            return first.slice(..most);
        }
        let mut all = first.to_vec();
        data.for_each(|bytes| all.extend_from_slice(&bytes[..bytes.len().min(most - all.len())]));
        all.into()
    }

    /// The body as it was.
    pub(super) fn put_back(self, body: &mut Body) {
        let rest = std::mem::take(body);
        *body = match (self.frames.is_empty(), self.ended) {
            (true, true) => Body::Empty,
            (true, false) => rest,
            _ => Body::Stream(Box::new(Prepended { first: self.frames, rest, ended: self.ended })),
        };
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::middleware::testing::block_on;

    /// Parts that come one by one; `None` for a while in which nothing comes.
    pub(crate) struct Parts(pub(crate) std::collections::VecDeque<Option<&'static [u8]>>);

    impl Source for Parts {
        fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, BodyError>>> {
            match self.0.pop_front() {
                None => Poll::Ready(None),
                Some(Some(part)) => Poll::Ready(Some(Ok(Frame::Data(Bytes::from_static(part))))),
                Some(None) => {
                    cx.waker().wake_by_ref();
                    Poll::Pending
                }
            }
        }
    }

    /// A body of parts.
    pub(crate) fn parts<const N: usize>(parts: [Option<&'static [u8]>; N]) -> Body {
        Body::Stream(Box::new(Parts(parts.into())))
    }

    #[test]
    fn what_was_peeked_at_is_read_again() {
        let mut body = parts([Some(b"ab"), None, Some(b"cd"), Some(b"ef")]);
        let mut peek = Peek::new();
        block_on(std::future::poll_fn(|cx| peek.poll(&mut body, 3, cx)));
        assert_eq!((&peek.bytes(3)[..], peek.length, peek.ended), (&b"abc"[..], 4, false));
        peek.put_back(&mut body);
        assert_eq!(&block_on(body.collect(100)).unwrap().0[..], b"abcdef");
    }

    #[test]
    fn a_body_that_ended_has_a_length() {
        let mut body = parts([Some(b"ab")]);
        let mut peek = Peek::new();
        block_on(std::future::poll_fn(|cx| peek.poll(&mut body, 3, cx)));
        assert!(peek.ended);
        peek.put_back(&mut body);
        assert_eq!(body.length(), Some(2));
        assert_eq!(&block_on(body.collect(100)).unwrap().0[..], b"ab");
        assert_eq!(block_on(body.frame()).map(|frame| frame.is_ok()), None);
    }
}
