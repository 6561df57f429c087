//! HTTP/2 written by hand, frame by frame (RFC 9113), so that anything can be said in it. Of
//! answers it understands what a test asks for: statuses, resets, the end.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// How a client begins, its settings aside.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Types of frames (RFC 9113 §6).
pub mod kind {
    #![allow(missing_docs, reason = "the names of the RFC")]
    pub const DATA: u8 = 0;
    pub const HEADERS: u8 = 1;
    pub const PRIORITY: u8 = 2;
    pub const RST_STREAM: u8 = 3;
    pub const SETTINGS: u8 = 4;
    pub const PUSH_PROMISE: u8 = 5;
    pub const PING: u8 = 6;
    pub const GOAWAY: u8 = 7;
    pub const WINDOW_UPDATE: u8 = 8;
    pub const CONTINUATION: u8 = 9;
}

/// `END_STREAM`, and `ACK` of settings and pings.
pub const END: u8 = 1;
/// `END_HEADERS`.
pub const HEAD: u8 = 4;

/// One frame.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// One of [`kind`], or none.
    pub kind: u8,
    /// Its flags.
    pub flags: u8,
    /// Its stream.
    pub stream: u32,
    /// What it holds.
    pub payload: Vec<u8>,
}

impl Frame {
    /// A frame.
    pub fn new(kind: u8, flags: u8, stream: u32, payload: impl Into<Vec<u8>>) -> Self {
        Self { kind, flags, stream, payload: payload.into() }
    }

    /// A whole block of fields, none of them compressed.
    pub fn headers(flags: u8, stream: u32, fields: &[(&[u8], &[u8])]) -> Self {
        Self::new(kind::HEADERS, flags | HEAD, stream, block(fields))
    }

    /// Bytes of a body.
    pub fn data(flags: u8, stream: u32, bytes: &[u8]) -> Self {
        Self::new(kind::DATA, flags, stream, bytes)
    }

    /// As it goes over the wire.
    pub fn bytes(&self) -> Vec<u8> {
        let length = (self.payload.len() as u32).to_be_bytes();
        let mut out = length[1..].to_vec();
        out.extend([self.kind, self.flags]);
        out.extend(self.stream.to_be_bytes());
        out.extend(&self.payload);
        out
    }
}

/// Fields as literals that aren't indexed (RFC 7541 §6.2.2), names and values as they are.
pub fn block(fields: &[(&[u8], &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in fields {
        out.push(0);
        for text in [name, value] {
            integer(&mut out, 0, 7, text.len());
            out.extend(*text);
        }
    }
    out
}

/// An integer behind the first bits of a byte (RFC 7541 §5.1).
pub fn integer(out: &mut Vec<u8>, first: u8, bits: u32, value: usize) {
    let most = (1usize << bits) - 1;
    if value < most {
        return out.push(first | value as u8);
    }
    out.push(first | most as u8);
    let mut rest = value - most;
    while rest >= 128 {
        out.push((rest % 128) as u8 | 128);
        rest /= 128;
    }
    out.push(rest as u8);
}

/// What became of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// An answer's status.
    Status(u16),
    /// The stream was reset, for this reason.
    Reset(u32),
    /// The connection was given up, for this reason.
    Goaway(u32),
    /// The connection was closed without a word.
    Closed,
}

/// A connection.
pub struct Wire {
    stream: TcpStream,
}

impl Wire {
    /// Connects, and begins as it ought to be begun.
    pub fn open(address: SocketAddr) -> io::Result<Self> {
        let mut wire = Self::silent(address)?;
        wire.write(PREFACE)?;
        wire.send(&Frame::new(kind::SETTINGS, 0, 0, []))?;
        Ok(wire)
    }

    /// Connects and says nothing.
    pub fn silent(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        stream.set_write_timeout(Some(Duration::from_secs(60)))?;
        Ok(Self { stream })
    }

    /// The socket below.
    pub fn socket(&self) -> &TcpStream {
        &self.stream
    }

    /// Writes bytes as they are.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Sends a frame.
    pub fn send(&mut self, frame: &Frame) -> io::Result<()> {
        self.write(&frame.bytes())
    }

    /// The next frame; `None` where the connection has ended, by whatever means.
    pub fn frame(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.stream.read_exact(&mut head).ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        let mut payload = vec![0; length as usize];
        self.stream.read_exact(&mut payload).ok()?;
        Some(Frame { kind: head[3], flags: head[4], stream, payload })
    }

    /// Waits until a stream is answered, or will never be. Settings are acknowledged.
    pub fn outcome(&mut self, stream: u32) -> Outcome {
        let code = |payload: &[u8]| {
            let code = payload.get(..4).and_then(|bytes| bytes.try_into().ok());
            code.map_or(u32::MAX, u32::from_be_bytes)
        };
        while let Some(frame) = self.frame() {
            match frame.kind {
                kind::SETTINGS if frame.flags & END == 0 => {
                    let _gone = self.send(&Frame::new(kind::SETTINGS, END, 0, []));
                }
                kind::HEADERS if frame.stream == stream => {
                    return Outcome::Status(status(&frame.payload));
                }
                kind::RST_STREAM if frame.stream == stream => {
                    return Outcome::Reset(code(&frame.payload));
                }
                kind::GOAWAY => match code(frame.payload.get(4..).unwrap_or_default()) {
                    0 => {}
                    error => return Outcome::Goaway(error),
                },
                _ => {}
            }
        }
        Outcome::Closed
    }
}

/// The status that an answer's fields begin with; 0 where it isn't understood.
fn status(block: &[u8]) -> u16 {
    // Of the static table (RFC 7541 appendix A).
    let indexed = [200, 204, 206, 304, 400, 404, 500];
    match *block {
        [first @ 0x88..=0x8e, ..] => indexed[usize::from(first - 0x88)],
        // A literal with the name of entry 8, as digits or as Huffman's code of them.
        [first, length, ref text @ ..] if matches!(first & 0x3f, 0..=14) && first & 0x80 == 0 => {
            let text = text.get(..usize::from(length & 0x7f)).unwrap_or_default();
            let digits = if length & 0x80 == 0 { text.to_vec() } else { huffman(text) };
            String::from_utf8_lossy(&digits).parse().unwrap_or(0)
        }
        // The table's size may be told first.
        [first, ref rest @ ..] if first & 0xe0 == 0x20 => status(rest),
        _ => 0,
    }
}

/// Digits (RFC 7541 appendix B): `0` to `2` have five bits, the others six.
fn huffman(bytes: &[u8]) -> Vec<u8> {
    let bits: Vec<u8> =
        bytes.iter().flat_map(|byte| (0..8).rev().map(move |at| byte >> at & 1)).collect();
    let number = |bits: &[u8]| bits.iter().fold(0, |sum, bit| sum * 2 + bit);
    let mut digits = Vec::new();
    let mut rest = &bits[..];
    while rest.len() >= 5 {
        let (digit, used) = match number(&rest[..5]) {
            short @ 0..=2 => (short, 5),
            _ if rest.len() < 6 => break,
            _ => match number(&rest[..6]) {
                long @ 25..=31 => (long - 25 + 3, 6),
                _ => break,
            },
        };
        digits.push(b'0' + digit);
        rest = &rest[used..];
    }
    digits
}
