//! A body read to its end: in memory, or on disk where it is long.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use tokio::{
    fs::{File, OpenOptions},
    io::{AsyncRead, AsyncSeekExt, AsyncWriteExt, ReadBuf},
};

use super::Bounds;
use crate::{
    middleware::streams::whole,
    proxy::{Body, BodyError, Frame, Head, body::Source},
};

/// Why there is no whole body.
pub(super) enum Failure {
    /// Longer than allowed.
    TooLarge,
    /// It broke off.
    BrokeOff,
    /// The disk failed.
    Disk(io::Error),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Disk(error)
    }
}

/// Reads a body to its end; what comes back is there as a whole.
pub(super) async fn spool(body: &mut Body, bounds: Bounds) -> Result<Body, Failure> {
    let mut memory = BytesMut::new();
    let mut file = None;
    let mut length = 0;
    let mut trailers = None;
    while let Some(frame) = body.frame().await {
        let bytes = match frame.map_err(|_| Failure::BrokeOff)? {
            Frame::Data(bytes) => bytes,
            Frame::Trailers(head) => {
                trailers = Some(head);
                continue;
            }
        };
        length += bytes.len() as u64;
        if bounds.excludes(Some(length)) {
            return Err(Failure::TooLarge);
        }
        memory.extend_from_slice(&bytes);
        if memory.len() > bounds.in_memory {
            let file = match &mut file {
                Some(file) => file,
                None => file.insert(nameless_file().await?),
            };
            file.write_all(&memory).await?;
            memory.clear();
        }
    }
    let Some(mut file) = file else { return Ok(whole(memory.freeze(), trailers)) };
    file.write_all(&memory).await?;
    file.flush().await?;
    file.rewind().await?;
    let buffer = vec![0; PART];
    Ok(Body::Stream(Box::new(Spooled { file, left: length, buffer, trailers })))
}

/// A file that goes away with the last who has it open.
async fn nameless_file() -> io::Result<File> {
    let folder = std::env::temp_dir();
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    let nameless = options.clone().custom_flags(libc::O_TMPFILE).open(&folder).await;
    match nameless {
        Ok(file) => Ok(file),
        // Some file systems can't: there it has a name for a moment.
        Err(_) => {
            let path = folder.join(format!("lb-body-{:016x}", fastrand::u64(..)));
            let file = options.create_new(true).open(&path).await?;
            tokio::fs::remove_file(&path).await?;
            Ok(file)
        }
    }
}

const PART: usize = 32 * 1024;

/// A file's bytes, and trailers.
struct Spooled {
    file: File,
    left: u64,
    buffer: Vec<u8>,
    trailers: Option<Head>,
}

impl Source for Spooled {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, BodyError>>> {
        if self.left == 0 {
            return Poll::Ready(self.trailers.take().map(|head| Ok(Frame::Trailers(head))));
        }
        let mut buffer = ReadBuf::new(&mut self.buffer);
        if let Err(error) = ready!(Pin::new(&mut self.file).poll_read(cx, &mut buffer)) {
            return Poll::Ready(Some(Err(error.into())));
        }
        let bytes = Bytes::copy_from_slice(buffer.filled());
        self.left = self.left.saturating_sub(bytes.len() as u64);
        Poll::Ready(Some(if bytes.is_empty() {
            Err(BodyError::Truncated)
        } else {
            Ok(Frame::Data(bytes))
        }))
    }

    fn length(&self) -> Option<u64> {
        Some(self.left)
    }
}
