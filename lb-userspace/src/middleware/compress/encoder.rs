//! Compressing as the bytes come.

use std::{
    io::{self, Write},
    task::{Context, Poll},
};

use brotli::CompressorWriter;
use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use zstd::stream::write::Encoder as ZstdEncoder;

use super::Encoding;
use crate::proxy::{Body, BodyError, Frame, body::Source};

/// Output is handed on in parts of about this size.
const PART: usize = 16 * 1024;
/// Fast enough for answers made on the fly, where gzip's and zstd's defaults are already.
const BROTLI_QUALITY: u32 = 4;
/// A window of 512 KiB: brotli's default takes 8 MiB a stream.
const BROTLI_WINDOW: u32 = 19;

enum Encoder {
    Gzip(GzEncoder<Vec<u8>>),
    Brotli(Box<CompressorWriter<Vec<u8>>>),
    Zstd(ZstdEncoder<'static, Vec<u8>>),
}

impl Encoder {
    fn new(encoding: Encoding) -> io::Result<Self> {
        Ok(match encoding {
            Encoding::Gzip => Self::Gzip(GzEncoder::new(Vec::new(), Compression::default())),
            Encoding::Brotli => {
                let writer = CompressorWriter::new(Vec::new(), PART, BROTLI_QUALITY, BROTLI_WINDOW);
                Self::Brotli(Box::new(writer))
            }
            Encoding::Zstd => Self::Zstd(ZstdEncoder::new(Vec::new(), 0)?),
        })
    }

    fn writer(&mut self) -> &mut dyn Write {
        match self {
            Self::Gzip(encoder) => encoder,
            Self::Brotli(encoder) => encoder,
            Self::Zstd(encoder) => encoder,
        }
    }

    fn output(&mut self) -> &mut Vec<u8> {
        match self {
            Self::Gzip(encoder) => encoder.get_mut(),
            Self::Brotli(encoder) => encoder.get_mut(),
            Self::Zstd(encoder) => encoder.get_mut(),
        }
    }

    fn finish(self) -> io::Result<Vec<u8>> {
        match self {
            Self::Gzip(encoder) => encoder.finish(),
            Self::Brotli(encoder) => Ok(encoder.into_inner()),
            Self::Zstd(encoder) => encoder.finish(),
        }
    }
}

/// All of it at once.
pub(super) fn whole(encoding: Encoding, bytes: &Bytes) -> Body {
    let encoded = Encoder::new(encoding).and_then(|mut encoder| {
        encoder.writer().write_all(bytes)?;
        encoder.finish()
    });
    match encoded {
        Ok(bytes) => Body::Full(bytes.into()),
        Err(error) => Body::Stream(Box::new(Compressed::broken(&error))),
    }
}

/// A body that is compressed while it is read.
pub(super) struct Compressed {
    body: Body,
    /// `None` once its end was handed on.
    encoder: Option<Encoder>,
    /// Whether there is input whose output isn't to be had yet.
    holds_back: bool,
    trailers: Option<Frame>,
    error: Option<BodyError>,
}

impl Compressed {
    pub(super) fn new(encoding: Encoding, body: Body) -> Self {
        match Encoder::new(encoding) {
            Ok(encoder) => {
                let encoder = Some(encoder);
                Self { body, encoder, holds_back: false, trailers: None, error: None }
            }
            Err(error) => Self::broken(&error),
        }
    }

    /// Memory is all that can be missing.
    fn broken(error: &io::Error) -> Self {
        let error = Some(BodyError::Io(error.to_string()));
        Self { body: Body::Empty, encoder: None, holds_back: false, trailers: None, error }
    }

    fn part(&mut self) -> Option<Frame> {
        let output = self.encoder.as_mut()?.output();
        (!output.is_empty()).then(|| Frame::Data(std::mem::take(output).into()))
    }

    /// The last part.
    fn end(&mut self) -> Result<Option<Frame>, BodyError> {
        let Some(encoder) = self.encoder.take() else { return Ok(None) };
        let rest = encoder.finish()?;
        Ok((!rest.is_empty()).then(|| Frame::Data(rest.into())))
    }

    /// What may be read of the input now; `None` to read on.
    fn step(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Option<Frame>, BodyError>>> {
        let Some(encoder) = &mut self.encoder else { return Poll::Ready(Some(Ok(None))) };
        match self.body.poll_frame(cx) {
            Poll::Ready(Some(Ok(Frame::Data(bytes)))) => {
                encoder.writer().write_all(&bytes)?;
                self.holds_back = true;
                let is_much = encoder.output().len() >= PART;
                Poll::Ready(is_much.then(|| Ok(self.part())))
            }
            Poll::Ready(Some(Ok(trailers))) => {
                self.trailers = Some(trailers);
                Poll::Ready(None)
            }
            Poll::Ready(Some(Err(error))) => {
                self.encoder = None;
                Poll::Ready(Some(Err(error)))
            }
            Poll::Ready(None) => Poll::Ready(Some(self.end())),
            Poll::Pending if self.holds_back => {
                // Nothing that was sent waits for what may be long in coming.
                encoder.writer().flush()?;
                self.holds_back = false;
                self.part().map_or(Poll::Pending, |part| Poll::Ready(Some(Ok(Some(part)))))
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

impl Source for Compressed {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, BodyError>>> {
        if let Some(error) = self.error.take() {
            return Poll::Ready(Some(Err(error)));
        }
        loop {
            let step = match self.step(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(step) => step,
            };
            match step {
                None => {}
                Some(Ok(Some(frame))) => return Poll::Ready(Some(Ok(frame))),
                Some(Ok(None)) if self.encoder.is_some() => {}
                Some(Ok(None)) => return Poll::Ready(self.trailers.take().map(Ok)),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
            }
        }
    }
}
