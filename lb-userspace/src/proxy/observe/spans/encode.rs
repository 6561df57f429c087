//! Protocol Buffers, as far as OTLP's spans need them: the bytes of a span are made once, and only
//! ever appended to others.

/// Bytes of a text at most; what is longer is cut.
pub(super) const LONGEST: usize = 4096;

/// How a value is written: the lowest three bits of a tag.
const VARINT: u32 = 0;
const FIXED64: u32 = 1;
const BYTES: u32 = 2;
const FIXED32: u32 = 5;

fn varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn tag(out: &mut Vec<u8>, field: u32, kind: u32) {
    varint(out, u64::from(field << 3 | kind));
}

/// A whole number or an enum's.
pub(super) fn number(out: &mut Vec<u8>, field: u32, number: u64) {
    tag(out, field, VARINT);
    varint(out, number);
}

/// As `fixed64` says.
pub(super) fn fixed64(out: &mut Vec<u8>, field: u32, number: u64) {
    tag(out, field, FIXED64);
    out.extend_from_slice(&number.to_le_bytes());
}

/// As `fixed32` says.
pub(super) fn fixed32(out: &mut Vec<u8>, field: u32, number: u32) {
    tag(out, field, FIXED32);
    out.extend_from_slice(&number.to_le_bytes());
}

/// Bytes as they are: ids, messages that are made already.
pub(super) fn bytes(out: &mut Vec<u8>, field: u32, bytes: &[u8]) {
    tag(out, field, BYTES);
    varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// A text, which is UTF-8 and not too long whatever it was.
pub(super) fn text(out: &mut Vec<u8>, field: u32, text: &[u8]) {
    let text = &text[..text.len().min(LONGEST)];
    match std::str::from_utf8(text) {
        Ok(text) => bytes(out, field, text.as_bytes()),
        // Cut within a letter.
        Err(error) if error.error_len().is_none() => {
            bytes(out, field, &text[..error.valid_up_to()]);
        }
        Err(_) => bytes(out, field, String::from_utf8_lossy(text).as_bytes()),
    }
}

/// A message of what `write` puts into it.
pub(super) fn message(out: &mut Vec<u8>, field: u32, write: impl FnOnce(&mut Vec<u8>)) {
    tag(out, field, BYTES);
    let begin = out.len();
    out.push(0);
    write(out);
    let length = out.len() - begin - 1;
    match u8::try_from(length) {
        Ok(short @ 0..0x80) => out[begin] = short,
        _ => {
            let mut prefix = Vec::with_capacity(5);
            varint(&mut prefix, length as u64);
            out.splice(begin..=begin, prefix);
        }
    }
}

/// Fields of `KeyValue`, `AnyValue` and `ArrayValue` (opentelemetry/proto/common/v1).
const KEY: u32 = 1;
const VALUE: u32 = 2;
const VALUE_TEXT: u32 = 1;
const VALUE_NUMBER: u32 = 3;
const VALUE_LIST: u32 = 5;
const LIST_VALUES: u32 = 1;

/// Attributes, each under the same field of what they are of.
pub(super) struct Attributes<'a> {
    pub(super) out: &'a mut Vec<u8>,
    pub(super) field: u32,
}

impl Attributes<'_> {
    fn put(&mut self, key: &str, value: impl FnOnce(&mut Vec<u8>)) {
        message(self.out, self.field, |out| {
            text(out, KEY, key.as_bytes());
            message(out, VALUE, value);
        });
    }

    pub(super) fn text(&mut self, key: &str, value: impl AsRef<[u8]>) {
        self.put(key, |out| text(out, VALUE_TEXT, value.as_ref()));
    }

    pub(super) fn number(&mut self, key: &str, value: u64) {
        self.put(key, |out| number(out, VALUE_NUMBER, value));
    }

    /// Several texts; nothing where there is none.
    pub(super) fn list<'v>(&mut self, key: &str, values: impl Iterator<Item = &'v [u8]>) {
        let mut values = values.peekable();
        if values.peek().is_none() {
            return;
        }
        self.put(key, |out| {
            message(out, VALUE_LIST, |out| {
                for value in values {
                    message(out, LIST_VALUES, |out| text(out, VALUE_TEXT, value));
                }
            });
        });
    }
}

/// What a collector did not take: count and words of `partial_success` in its answer
/// (opentelemetry/proto/collector/trace/v1). An answer that can't be read says nothing.
pub(super) fn rejected(answer: &[u8]) -> (u64, String) {
    const PARTIAL_SUCCESS: u64 = 1 << 3 | BYTES as u64;
    const REJECTED: u64 = 1 << 3 | VARINT as u64;
    const WORDS: u64 = 2 << 3 | BYTES as u64;
    let mut found = (0, String::new());
    let mut answer = Reader(answer);
    while let Some((tag, value)) = answer.field() {
        let (PARTIAL_SUCCESS, Value::Bytes(partial)) = (tag, value) else { continue };
        let mut partial = Reader(partial);
        while let Some((tag, value)) = partial.field() {
            match (tag, value) {
                (REJECTED, Value::Number(number)) => found.0 = number,
                (WORDS, Value::Bytes(words)) => found.1 = String::from_utf8_lossy(words).into(),
                _ => {}
            }
        }
    }
    found
}

/// Fields of a message, one after the other.
struct Reader<'a>(&'a [u8]);

enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    Other,
}

impl<'a> Reader<'a> {
    /// The next field's tag and value; `None` at the end, or where it makes no sense.
    fn field(&mut self) -> Option<(u64, Value<'a>)> {
        let tag = self.varint()?;
        let value = match (tag & 7) as u32 {
            VARINT => Value::Number(self.varint()?),
            FIXED64 => self.take(8).map(|_| Value::Other)?,
            FIXED32 => self.take(4).map(|_| Value::Other)?,
            BYTES => {
                let length = usize::try_from(self.varint()?).ok()?;
                Value::Bytes(self.take(length)?)
            }
            _ => return None,
        };
        Some((tag, value))
    }

    fn varint(&mut self) -> Option<u64> {
        let mut number = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_texts_are_as_the_specification_shows_them() {
        let mut out = Vec::new();
        number(&mut out, 1, 150);
        text(&mut out, 2, b"testing");
        assert_eq!(out, b"\x08\x96\x01\x12\x07testing");
        out.clear();
        fixed32(&mut out, 16, 1);
        fixed64(&mut out, 7, 2);
        assert_eq!(out, b"\x85\x01\x01\0\0\0\x39\x02\0\0\0\0\0\0\0");
    }

    #[test]
    fn a_message_says_its_length_however_long() {
        for length in [0, 1, 127, 128, 20_000] {
            let mut out = vec![7];
            message(&mut out, 1, |out| out.extend(std::iter::repeat_n(9, length)));
            let mut reader = Reader(&out[1..]);
            let Some((10, Value::Bytes(body))) = reader.field() else { panic!("{out:?}") };
            assert_eq!((body.len(), reader.0.len()), (length, 0));
            assert!(body.iter().all(|byte| *byte == 9));
        }
    }

    #[test]
    fn texts_stay_texts() {
        let read = |bytes: &[u8]| {
            let mut out = Vec::new();
            text(&mut out, 1, bytes);
            let Some((10, Value::Bytes(text))) = Reader(&out).field() else { panic!("{out:?}") };
            String::from_utf8(text.to_vec()).unwrap()
        };
        assert_eq!(read("grün".as_bytes()), "grün");
        assert_eq!(read(b"a\xffb"), "a\u{fffd}b");
        assert_eq!(read(&[b'a'; LONGEST + 5]).len(), LONGEST);
        let odd = format!("a{}", "ü".repeat(LONGEST));
        assert_eq!(read(odd.as_bytes()).len(), LONGEST - 1);
    }

    #[test]
    fn what_a_collector_rejects_is_read() {
        let mut answer = Vec::new();
        message(&mut answer, 1, |out| {
            number(out, 1, 300);
            text(out, 2, b"too old");
        });
        assert_eq!(rejected(&answer), (300, "too old".to_owned()));
        assert_eq!(rejected(b""), (0, String::new()));
        // Fields that are not known, and bytes that are no message.
        assert_eq!(rejected(b"\x10\x05\x39\0\0\0\0\0\0\0\0\x45\0\0\0\0"), (0, String::new()));
        assert_eq!(
            rejected(b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
            (0, String::new())
        );
        assert_eq!(rejected(b"not a message"), (0, String::new()));
    }
}
