//! Reads a ClientHello (RFC 8446 §4.1.2, RFC 5246 §7.4.1.2) without answering it: what a
//! connection is for is known before it is decided who decrypts it.

/// How much of a handshake is looked at: post-quantum key shares, many extensions and a session
/// ticket fit several times.
pub const MAX_HELLO: usize = 32 << 10;

const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const SERVER_NAME: u16 = 0;
const ALPN: u16 = 16;
/// The longest record of plaintext (RFC 8446 §5.1).
const MAX_RECORD: usize = 1 << 14;

/// What the first bytes of a connection are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peeked {
    /// The beginning of a ClientHello: the rest is to come.
    More,
    /// No TLS.
    Other,
    /// TLS, and wrong: why.
    Malformed(&'static str),
    /// All of it.
    Hello(Hello),
}

/// What a client asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hello {
    /// SNI (RFC 6066 §3), lower case, without a last dot; `None` where it names nothing.
    pub server_name: Option<String>,
    /// ALPN (RFC 7301), in the client's order.
    pub alpn: Vec<Vec<u8>>,
}

/// Reads the first bytes of a connection.
///
/// ```
/// use lb_userspace::proxy::tls::hello::{Peeked, peek};
/// assert_eq!(peek(b"GET / HTTP/1.1\r\n"), Peeked::Other);
/// assert_eq!(peek(&[22, 3, 1]), Peeked::More);
/// ```
pub fn peek(bytes: &[u8]) -> Peeked {
    match message(bytes) {
        Ok(Message::Whole(body)) => match hello(&body) {
            Some(hello) => Peeked::Hello(hello),
            None => Peeked::Malformed("a length in the ClientHello is wrong"),
        },
        Ok(Message::More) => Peeked::More,
        Ok(Message::Other) => Peeked::Other,
        Err(why) => Peeked::Malformed(why),
    }
}

enum Message<'a> {
    Whole(std::borrow::Cow<'a, [u8]>),
    More,
    Other,
}

/// The first handshake message, without its header, put together from as many records as it takes.
fn message(bytes: &[u8]) -> Result<Message<'_>, &'static str> {
    let mut rest = bytes;
    let mut joined = Vec::new();
    loop {
        let Some((&kind, versions)) = rest.split_first() else { return Ok(Message::More) };
        let is_first = joined.is_empty();
        if kind != HANDSHAKE || versions.first().is_some_and(|&major| major != 3) {
            let other = if is_first { Ok(Message::Other) } else { Err("a record of another kind") };
            return other;
        }
        let [_, _, high, low, fragment @ ..] = versions else { return Ok(Message::More) };
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        if length == 0 || length > MAX_RECORD {
            return Err("a record's length is out of bounds");
        }
        let part = &fragment[..length.min(fragment.len())];
        if is_first {
            match whole(part)? {
                Some(body) => return Ok(Message::Whole(body.into())),
                None if part.len() < length => return Ok(Message::More),
                None => {}
            }
        }
        joined.extend_from_slice(part);
        match whole(&joined)? {
            Some(body) => return Ok(Message::Whole(body.to_vec().into())),
            None if part.len() < length => return Ok(Message::More),
            None => rest = &fragment[length..],
        }
    }
}

/// The message's body, once all of it is there.
fn whole(bytes: &[u8]) -> Result<Option<&[u8]>, &'static str> {
    if bytes.first().is_some_and(|&kind| kind != CLIENT_HELLO) {
        return Err("the first message is no ClientHello");
    }
    let [_, a, b, c, body @ ..] = bytes else { return Ok(None) };
    let length = usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c);
    if length > MAX_HELLO {
        return Err("the ClientHello is too long");
    }
    Ok(body.get(..length))
}

/// `None` where a length reaches beyond its end.
fn hello(body: &[u8]) -> Option<Hello> {
    let mut reader = Reader(body);
    reader.take(2 + 32)?;
    reader.short_list()?;
    reader.list()?;
    reader.short_list()?;
    let mut hello = Hello::default();
    if reader.0.is_empty() {
        return Some(hello);
    }
    let mut extensions = Reader(reader.list()?);
    while !extensions.0.is_empty() {
        let kind = extensions.number()?;
        let body = extensions.list()?;
        match kind {
            SERVER_NAME => hello.server_name = server_name(body)?,
            ALPN => hello.alpn = protocols(body)?,
            _ => {}
        }
    }
    Some(hello)
}

fn server_name(body: &[u8]) -> Option<Option<String>> {
    let mut names = Reader(Reader(body).list()?);
    while !names.0.is_empty() {
        let kind = names.take(1)?;
        let name = names.list()?;
        if kind == [0] {
            return Some(normal(name));
        }
    }
    Some(None)
}

/// As it is compared; `None` where it can be no host name.
fn normal(name: &[u8]) -> Option<String> {
    let name = name.strip_suffix(b".").unwrap_or(name);
    let sound = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(byte);
    if name.is_empty() || name.len() > 253 || !name.iter().all(sound) {
        return None;
    }
    Some(std::str::from_utf8(name).ok()?.to_ascii_lowercase())
}

fn protocols(body: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut list = Reader(Reader(body).list()?);
    let mut found = Vec::new();
    while !list.0.is_empty() {
        found.push(list.short_list()?.to_vec());
    }
    Some(found)
}

/// Takes from the front; `None` where there is less.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<u16> {
        let bytes = self.take(2)?;
        Some(u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    /// Behind a length of 16 bits.
    fn list(&mut self) -> Option<&'a [u8]> {
        let length = self.number()?;
        self.take(usize::from(length))
    }

    /// Behind a length of 8 bits.
    fn short_list(&mut self) -> Option<&'a [u8]> {
        let length = self.take(1)?[0];
        self.take(usize::from(length))
    }
}
