//! Bodies from gRPC-Web and back.

use std::task::{Context, Poll, ready};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::{BufMut, Bytes, BytesMut};

use crate::proxy::{Body, BodyError, Frame, Head, body::Source};

/// A body in base64, decoded as it comes. Clients may encode each of its parts for itself, so that
/// padding may stand in the middle.
pub(super) struct Decoded {
    body: Body,
    /// Fewer than four letters, which say nothing yet.
    rest: Vec<u8>,
}

impl Decoded {
    pub(super) fn new(body: Body) -> Self {
        Self { body, rest: Vec::new() }
    }

    /// What so many more letters say.
    fn decode(&mut self, letters: &[u8]) -> Result<Vec<u8>, BodyError> {
        self.rest.extend(letters.iter().filter(|letter| !letter.is_ascii_whitespace()));
        let whole = self.rest.len() / 4 * 4;
        let letters: Vec<u8> = self.rest.drain(..whole).collect();
        let mut plain = Vec::with_capacity(whole / 4 * 3);
        let mut from = 0;
        for (i, group) in letters.chunks(4).enumerate() {
            if group[3] == b'=' {
                decode_into(&mut plain, &letters[from..i * 4 + 4])?;
                from = i * 4 + 4;
            }
        }
        decode_into(&mut plain, &letters[from..])?;
        Ok(plain)
    }
}

fn decode_into(plain: &mut Vec<u8>, letters: &[u8]) -> Result<(), BodyError> {
    STANDARD.decode_vec(letters, plain).map_err(|_| BodyError::Malformed("it is no base64"))
}

impl Source for Decoded {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, BodyError>>> {
        loop {
            let frame = match ready!(self.body.poll_frame(cx)) {
                None if self.rest.is_empty() => return Poll::Ready(None),
                None => {
                    self.rest.clear();
                    return Poll::Ready(Some(Err(BodyError::Malformed("its base64 is cut off"))));
                }
                Some(Ok(Frame::Data(letters))) => self.decode(&letters),
                Some(other) => return Poll::Ready(Some(other)),
            };
            match frame {
                Ok(plain) if plain.is_empty() => {}
                Ok(plain) => return Poll::Ready(Some(Ok(Frame::Data(plain.into())))),
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
        }
    }
}

/// A body whose trailers are its last message, in base64 or not.
pub(super) struct Framed {
    body: Body,
    is_text: bool,
}

/// Marks a message as trailers.
const TRAILERS: u8 = 0x80;

impl Framed {
    pub(super) fn new(body: Body, is_text: bool) -> Self {
        Self { body, is_text }
    }
}

impl Source for Framed {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, BodyError>>> {
        let bytes = match ready!(self.body.poll_frame(cx)) {
            Some(Ok(Frame::Data(bytes))) => bytes,
            Some(Ok(Frame::Trailers(head))) => message(&head),
            other => return Poll::Ready(other),
        };
        let bytes = if self.is_text { STANDARD.encode(&bytes).into() } else { bytes };
        Poll::Ready(Some(Ok(Frame::Data(bytes))))
    }
}

fn message(trailers: &Head) -> Bytes {
    let mut lines = Vec::new();
    for (name, value) in trailers.iter() {
        lines.extend_from_slice(name.to_ascii_lowercase().as_bytes());
        lines.extend_from_slice(b": ");
        lines.extend_from_slice(value);
        lines.extend_from_slice(b"\r\n");
    }
    let mut message = BytesMut::with_capacity(5 + lines.len());
    message.put_u8(TRAILERS);
    message.put_u32(u32::try_from(lines.len()).unwrap_or(u32::MAX));
    message.put_slice(&lines);
    message.freeze()
}
