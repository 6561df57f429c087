//! The chunked transfer coding (RFC 9112 §7.1): what comes in is taken apart and checked byte by
//! byte; what goes out is framed anew, so that extensions and odd spellings reach nobody.

use super::head::{Head, parse};

/// Longest line of a chunk's size with its extensions.
const LONGEST_LINE: usize = 4096;
/// Most bytes of trailers.
const MOST_TRAILERS: usize = 16 * 1024;

/// What stands next in the bytes of a chunked body.
#[derive(Debug)]
pub(crate) enum Part {
    /// So many bytes of framing, to be skipped.
    Skip(usize),
    /// So many bytes of data stand at the start.
    Data(usize),
    /// So many bytes of trailers stand at the start, and the body ends with them.
    End(usize, Option<Head>),
    /// More bytes are needed.
    More,
}

/// Reads a chunked body.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Decoder {
    state: State,
}

#[derive(Clone, Copy, Debug, Default)]
enum State {
    /// A line with a chunk's size.
    #[default]
    Size,
    /// So many bytes of data.
    Data(u64),
    /// The line end behind a chunk's data.
    DataEnd,
    /// Trailers up to the empty line.
    Trailers,
    /// Over.
    End,
}

impl Decoder {
    /// What stands at the start of `bytes`. Data is to be taken from there before the next call.
    ///
    /// # Errors
    /// The coding is malformed.
    pub(crate) fn next(&mut self, bytes: &[u8]) -> Result<Part, &'static str> {
        match self.state {
            State::Size => self.size(bytes),
            State::Data(left) => {
                let here = (bytes.len() as u64).min(left) as usize;
                if here == 0 {
                    return Ok(Part::More);
                }
                let left = left - here as u64;
                self.state = if left == 0 { State::DataEnd } else { State::Data(left) };
                Ok(Part::Data(here))
            }
            State::DataEnd => match bytes {
                [b'\r', b'\n', ..] => {
                    self.state = State::Size;
                    Ok(Part::Skip(2))
                }
                [] | [b'\r'] => Ok(Part::More),
                _ => Err("a chunk is longer than its size says"),
            },
            State::Trailers => self.trailers(bytes),
            State::End => Ok(Part::End(0, None)),
        }
    }

    /// Whether the last byte was read.
    #[cfg(test)]
    fn is_done(&self) -> bool {
        matches!(self.state, State::End)
    }

    fn size(&mut self, bytes: &[u8]) -> Result<Part, &'static str> {
        let Some(end) = memchr::memchr(b'\n', &bytes[..bytes.len().min(LONGEST_LINE)]) else {
            return match bytes.len() < LONGEST_LINE {
                true => Ok(Part::More),
                false => Err("a chunk's size line is too long"),
            };
        };
        let line =
            bytes[..end].strip_suffix(b"\r").ok_or("a line ends without a carriage return")?;
        let digits = line.iter().take_while(|b| b.is_ascii_hexdigit()).count();
        if digits == 0 || digits > 15 {
            return Err("a chunk's size is malformed");
        }
        extensions(&line[digits..])?;
        let size = std::str::from_utf8(&line[..digits]).ok();
        let size = size.and_then(|text| u64::from_str_radix(text, 16).ok());
        let size = size.ok_or("a chunk's size is malformed")?;
        self.state = if size == 0 { State::Trailers } else { State::Data(size) };
        Ok(Part::Skip(end + 1))
    }

    fn trailers(&mut self, bytes: &[u8]) -> Result<Part, &'static str> {
        if bytes.starts_with(b"\r\n") {
            self.state = State::End;
            return Ok(Part::End(2, None));
        }
        let mut head = Head::default();
        match parse::trailers(bytes, &mut head)? {
            Some(length) => {
                self.state = State::End;
                Ok(Part::End(length, Some(head)))
            }
            None if bytes.len() > MOST_TRAILERS => Err("the trailers are too large"),
            None => Ok(Part::More),
        }
    }
}

/// Extensions are read over, but not whatever stands there.
fn extensions(text: &[u8]) -> Result<(), &'static str> {
    let start = text.iter().position(|b| !matches!(b, b' ' | b'\t')).unwrap_or(text.len());
    match text.get(start) {
        None if start == 0 => Ok(()),
        Some(b';') if !text.iter().any(|&b| b < 0x20 && b != b'\t' || b == 0x7f) => Ok(()),
        _ => Err("a chunk's size is malformed"),
    }
}

/// Writes the line in front of a chunk of `size` bytes, not 0.
pub(crate) fn begin(out: &mut Vec<u8>, size: usize) {
    let mut digits = [0u8; 16];
    let mut at = digits.len();
    let mut left = size;
    while left > 0 || at == digits.len() {
        at -= 1;
        digits[at] = b"0123456789abcdef"[left & 15];
        left >>= 4;
    }
    out.extend_from_slice(&digits[at..]);
    out.extend_from_slice(b"\r\n");
}

/// Writes the end of a chunked body, with its trailers.
pub(crate) fn end(out: &mut Vec<u8>, trailers: Option<&Head>) {
    out.extend_from_slice(b"0\r\n");
    for (name, value) in trailers.into_iter().flat_map(Head::iter) {
        if may_trail(name) {
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b": ");
            out.extend_from_slice(value);
            out.extend_from_slice(b"\r\n");
        }
    }
    out.extend_from_slice(b"\r\n");
}

/// Fields that say where a message ends or who it is for have no place behind it (RFC 9110 §6.5.1).
pub(crate) fn may_trail(name: &str) -> bool {
    use super::head::Class;
    let never =
        ["authorization", "set-cookie", "cookie", "content-encoding", "content-type", "range"];
    Class::of(name.as_bytes()) == Class::Plain
        && !never.iter().any(|other| name.eq_ignore_ascii_case(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Data, trailers, and how much was consumed.
    fn decode(mut bytes: &[u8]) -> Result<(Vec<u8>, usize, usize), &'static str> {
        let (whole, mut decoder, mut data) = (bytes.len(), Decoder::default(), Vec::new());
        loop {
            match decoder.next(bytes)? {
                Part::Skip(n) => bytes = &bytes[n..],
                Part::Data(n) => {
                    data.extend_from_slice(&bytes[..n]);
                    bytes = &bytes[n..];
                }
                Part::End(n, trailers) => {
                    let fields = trailers.map_or(0, |head| head.iter().count());
                    return Ok((data, fields, whole - bytes.len() + n));
                }
                Part::More => return Err("more"),
            }
        }
    }

    macro_rules! sound {
        ($($test:ident: $bytes:literal => $data:literal, $trailers:literal;)+) => {
            $(#[test]
            fn $test() {
                let (data, trailers, _) = decode($bytes).unwrap();
                assert_eq!((&data[..], trailers), (&$data[..], $trailers));
            })+
        };
    }

    sound! {
        one_chunk: b"3\r\nabc\r\n0\r\n\r\n" => b"abc", 0;
        two_chunks: b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n" => b"abcde", 0;
        upper_case_and_zeros: b"00A\r\n0123456789\r\n000\r\n\r\n" => b"0123456789", 0;
        an_extension: b"1;a=b;c=\"d\"\r\nx\r\n0;e\r\n\r\n" => b"x", 0;
        space_before_an_extension: b"1 ;a\r\nx\r\n0\r\n\r\n" => b"x", 0;
        a_trailer: b"0\r\nX-Sum: 7\r\n\r\n" => b"", 1;
        nothing: b"0\r\n\r\n" => b"", 0;
    }

    macro_rules! refused {
        ($($test:ident: $bytes:literal => $why:literal;)+) => {
            $(#[test]
            fn $test() {
                assert_eq!(decode($bytes), Err($why));
            })+
        };
    }

    refused! {
        no_size: b"\r\nabc" => "a chunk's size is malformed";
        a_sign: b"+3\r\nabc\r\n" => "a chunk's size is malformed";
        a_prefix: b"0x3\r\nabc\r\n" => "a chunk's size is malformed";
        space_in_front: b" 3\r\nabc\r\n" => "a chunk's size is malformed";
        space_behind: b"3 \r\nabc\r\n" => "a chunk's size is malformed";
        sixteen_digits: b"fffffffffffffffff\r\n" => "a chunk's size is malformed";
        a_bare_lf: b"3\nabc\r\n" => "a line ends without a carriage return";
        longer_than_its_size: b"3\r\nabcd\r\n0\r\n\r\n" => "a chunk is longer than its size says";
        a_bare_lf_behind_data: b"3\r\nabc\n0\r\n\r\n" => "a chunk is longer than its size says";
        a_control_in_an_extension: b"3;a\x01\r\nabc\r\n" => "a chunk's size is malformed";
        a_malformed_trailer: b"0\r\nX Sum: 7\r\n\r\n" => "a trailer field is malformed";
        cut_short: b"3\r\nab" => "more";
        without_its_end: b"0\r\n" => "more";
    }

    #[test]
    fn bytes_behind_the_end_are_left() {
        let (_, _, consumed) = decode(b"1\r\nx\r\n0\r\n\r\nGET").unwrap();
        assert_eq!(consumed, 11);
    }

    #[test]
    fn byte_by_byte_comes_to_the_same() {
        let whole = b"3\r\nabc\r\n10;x=y\r\n0123456789abcdef\r\n0\r\nA: b\r\n\r\n";
        let (mut decoder, mut held, mut data) = (Decoder::default(), Vec::new(), Vec::new());
        for &byte in whole {
            held.push(byte);
            loop {
                match decoder.next(&held).unwrap() {
                    Part::Skip(n) => drop(held.drain(..n)),
                    Part::Data(n) => data.extend(held.drain(..n)),
                    Part::End(n, _) => {
                        held.drain(..n);
                        break;
                    }
                    Part::More => break,
                }
            }
        }
        assert!(decoder.is_done() && held.is_empty());
        assert_eq!(data, b"abc0123456789abcdef");
    }

    #[test]
    fn what_is_written_is_read_again() {
        let mut out = Vec::new();
        for size in [1usize, 15, 16, 255, 4096] {
            begin(&mut out, size);
            out.resize(out.len() + size, b'x');
            out.extend_from_slice(b"\r\n");
        }
        let mut trailers = Head::default();
        trailers.add("X-Sum", "7");
        trailers.add("Content-Length", "9");
        end(&mut out, Some(&trailers));
        let (data, fields, consumed) = decode(&out).unwrap();
        assert_eq!((data.len(), fields, consumed), (1 + 15 + 16 + 255 + 4096, 1, out.len()));
    }
}
