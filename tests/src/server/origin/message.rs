//! Requests as an origin reads them.

use std::io::{BufRead, ErrorKind, Result};

/// A request up to its body.
pub(super) struct Request {
    pub(super) method: String,
    pub(super) path: String,
    /// The head as it came.
    pub(super) head: Vec<u8>,
    pub(super) close: bool,
    pub(super) expects: bool,
    pub(super) upgrade: Option<String>,
    pub(super) body: Body,
}

/// A body that is read piece by piece.
pub(super) enum Body {
    Length(u64),
    Chunked,
    Over(Vec<String>),
}

impl Body {
    /// The next piece, `None` at the end.
    pub(super) fn piece(&mut self, reader: &mut impl BufRead) -> Result<Option<Vec<u8>>> {
        match self {
            Self::Over(_) => Ok(None),
            Self::Length(0) => {
                *self = Self::Over(Vec::new());
                Ok(None)
            }
            Self::Length(left) => {
                let there = reader.fill_buf()?;
                if there.is_empty() {
                    return Err(ErrorKind::UnexpectedEof.into());
                }
                let count = there.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                let piece = there[..count].to_vec();
                reader.consume(count);
                *left -= count as u64;
                Ok(Some(piece))
            }
            Self::Chunked => {
                let size = line(reader)?;
                let size = usize::from_str_radix(&size, 16)
                    .map_err(|_| std::io::Error::other(format!("no chunk size: {size:?}")))?;
                let mut piece = vec![0; size];
                reader.read_exact(&mut piece)?;
                if size > 0 {
                    line(reader)?;
                    return Ok(Some(piece));
                }
                let mut trailers = Vec::new();
                loop {
                    match line(reader)? {
                        end if end.is_empty() => break,
                        trailer => trailers.push(trailer),
                    }
                }
                *self = Self::Over(trailers);
                Ok(None)
            }
        }
    }

    /// What came behind a body that is over.
    pub(super) fn trailers(&self) -> &[String] {
        match self {
            Self::Over(trailers) => trailers,
            _ => &[],
        }
    }
}

/// The next request; `None` at the end of the connection.
pub(super) fn read(reader: &mut impl BufRead) -> Result<Option<Request>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if reader.read_until(b'\n', &mut head)? == 0 {
            return Ok(None);
        }
    }
    let text = String::from_utf8_lossy(&head).into_owned();
    let mut lines = text.lines();
    let mut words = lines.next().unwrap_or_default().split_whitespace().map(str::to_owned);
    let mut request = Request {
        method: words.next().unwrap_or_default(),
        path: words.next().unwrap_or_default(),
        close: words.next().as_deref() == Some("HTTP/1.0"),
        head,
        expects: false,
        upgrade: None,
        body: Body::Length(0),
    };
    for line in lines {
        let Some((name, value)) = line.split_once(':') else { continue };
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "content-length" => request.body = Body::Length(value.parse().unwrap_or(0)),
            "transfer-encoding" => request.body = Body::Chunked,
            "connection" => request.close |= value.eq_ignore_ascii_case("close"),
            "expect" => request.expects = true,
            "upgrade" => request.upgrade = Some(value.to_owned()),
            _ => {}
        }
    }
    Ok(Some(request))
}

fn line(reader: &mut impl BufRead) -> Result<String> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    Ok(line.trim_end().to_owned())
}
