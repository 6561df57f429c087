//! Message bodies, pulled chunk by chunk.

use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};

use super::{Head, upstream::UpstreamBody};

/// A part of a body.
#[derive(Clone, Debug)]
pub enum Frame {
    /// Bytes, never none.
    Data(Bytes),
    /// Trailer fields (RFC 9110 §6.5); the last frame.
    Trailers(Head),
}

/// Why a body broke off.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// The sender closed in the middle.
    #[error("the body ended before its length was reached")]
    Truncated,
    /// The chunked coding is wrong.
    #[error("the body's chunks are malformed: {0}")]
    Malformed(&'static str),
    /// Longer than allowed.
    #[error("the body is longer than {0} bytes")]
    TooLarge(u64),
    /// It made no progress for too long.
    #[error("the body stalled")]
    Timeout,
    /// The connection failed.
    #[error("the connection failed: {0}")]
    Io(String),
}

impl From<std::io::Error> for BodyError {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error.to_string())
    }
}

/// Where the bytes of a body come from.
pub trait Source {
    /// The next part; `None` at the end.
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, BodyError>>>;

    /// How many bytes are still to come, where that is known.
    fn length(&self) -> Option<u64> {
        None
    }

    /// Whether nothing follows, trailers included; asking is no more than a look.
    fn is_over(&self) -> bool {
        false
    }

    /// What comes straight from a server, to be relayed without a copy.
    #[doc(hidden)]
    #[allow(private_interfaces, reason = "a shortcut of the engine's own")]
    fn upstream(&mut self) -> Option<&mut UpstreamBody> {
        None
    }
}

/// A body.
#[derive(Default)]
pub enum Body {
    /// Nothing.
    #[default]
    Empty,
    /// All of it is there.
    Full(Bytes),
    /// It comes bit by bit.
    Stream(Box<dyn Source>),
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Empty => f.write_str("Empty"),
            Self::Full(bytes) => write!(f, "Full({})", bytes.len()),
            Self::Stream(source) => write!(f, "Stream({:?})", source.length()),
        }
    }
}

impl Body {
    /// How many bytes are still to come, where that is known.
    pub fn length(&self) -> Option<u64> {
        match self {
            Self::Empty => Some(0),
            Self::Full(bytes) => Some(bytes.len() as u64),
            Self::Stream(source) => source.length(),
        }
    }

    /// Whether nothing follows, as far as that can be told without waiting.
    pub(crate) fn is_over(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Full(bytes) => bytes.is_empty(),
            Self::Stream(source) => source.is_over(),
        }
    }

    /// The next part; `None` at the end.
    pub fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, BodyError>>> {
        match self {
            Self::Empty => Poll::Ready(None),
            Self::Full(bytes) => {
                let bytes = std::mem::take(bytes);
                *self = Self::Empty;
                Poll::Ready((!bytes.is_empty()).then_some(Ok(Frame::Data(bytes))))
            }
            Self::Stream(source) => source.poll_frame(cx),
        }
    }

    /// As [`Self::poll_frame`], to be awaited.
    pub async fn frame(&mut self) -> Option<Result<Frame, BodyError>> {
        std::future::poll_fn(|cx| self.poll_frame(cx)).await
    }

    /// All of it, and the trailers. What was read is lost when it is longer than `most`.
    ///
    /// # Errors
    /// It broke off, or is longer than `most` bytes.
    pub async fn collect(&mut self, most: u64) -> Result<(Bytes, Option<Head>), BodyError> {
        if self.length().is_some_and(|length| length > most) {
            return Err(BodyError::TooLarge(most));
        }
        if let Self::Full(bytes) = self {
            let bytes = std::mem::take(bytes);
            *self = Self::Empty;
            return Ok((bytes, None));
        }
        let mut all = BytesMut::new();
        let mut trailers = None;
        while let Some(frame) = self.frame().await {
            match frame? {
                Frame::Data(bytes) if (all.len() + bytes.len()) as u64 > most => {
                    return Err(BodyError::TooLarge(most));
                }
                Frame::Data(bytes) => all.extend_from_slice(&bytes),
                Frame::Trailers(head) => trailers = Some(head),
            }
        }
        Ok((all.freeze(), trailers))
    }
}
