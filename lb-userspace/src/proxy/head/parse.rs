//! Bytes → [`Head`], strictly (RFC 9112 §§2–6): whatever two recipients could read in two ways is
//! refused, so that nothing can be smuggled past a router or a middleware.

use std::mem::MaybeUninit;

use super::{Class, Field, Head, Span, Version};
use crate::proxy::framing::{self, Framing};

/// Fields that a head may have at the most, whatever the settings say.
pub(crate) const MOST_FIELDS: usize = 256;

/// Bounds on a head.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Bytes, the empty line included.
    pub(crate) bytes: usize,
    /// Field lines.
    pub(crate) fields: usize,
}

/// Why a message is refused: status, label of the counter, and one line for the sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) reason: &'static str,
    pub(crate) text: &'static str,
}

pub(crate) const fn refusal(status: u16, reason: &'static str, text: &'static str) -> Refusal {
    Refusal { status, reason, text }
}

pub(super) const BAD_REQUEST_LINE: Refusal =
    refusal(400, "bad_request_line", "the request line is malformed");
const BAD_FIELD: Refusal = refusal(400, "bad_field", "a header field is malformed");
const BARE_LF: Refusal = refusal(400, "bare_lf", "a line ends without a carriage return");
const BAD_VERSION: Refusal = refusal(505, "bad_version", "only HTTP/1.0 and HTTP/1.1 are spoken");
const TOO_LONG: Refusal = refusal(431, "head_too_large", "the head is too large");
const URI_TOO_LONG: Refusal = refusal(414, "target_too_long", "the request target is too long");
const TOO_MANY: Refusal = refusal(431, "too_many_fields", "the head has too many fields");
const NO_HOST: Refusal = refusal(400, "no_host", "the Host field is missing");
const BAD_HOST: Refusal = refusal(400, "bad_host", "the Host field is malformed");
const BAD_TARGET: Refusal = refusal(400, "bad_target", "the request target is malformed");
const CONNECT: Refusal = refusal(405, "connect_refused", "CONNECT is not offered here");
const BAD_RESPONSE: Refusal = refusal(502, "bad_response", "the server's answer is malformed");

/// Reads a request's head. `None`: more bytes are needed. Otherwise its length in `bytes`, and how
/// its body is framed.
///
/// # Errors
/// It is refused; the connection can't be used any further.
pub(crate) fn request(
    bytes: &[u8],
    limits: Limits,
    head: &mut Head,
) -> Result<Option<(usize, Framing)>, Refusal> {
    let mut fields = [const { MaybeUninit::uninit() }; MOST_FIELDS];
    let room = fields.get_mut(..limits.fields.min(MOST_FIELDS)).unwrap_or_default();
    let mut parsed = httparse::Request::new(&mut []);
    let length = match parsed.parse_with_uninit_headers(bytes, room) {
        Ok(httparse::Status::Complete(length)) if length <= limits.bytes => length,
        Ok(httparse::Status::Partial) if bytes.len() < limits.bytes => return Ok(None),
        Ok(_) => return Err(too_long(bytes, limits.bytes)),
        Err(error) => return Err(refused(error, bytes)),
    };
    let (Some(method), Some(target), Some(version)) = (parsed.method, parsed.path, parsed.version)
    else {
        return Err(BAD_REQUEST_LINE);
    };
    let skipped = bytes.iter().take_while(|b| matches!(b, b'\r' | b'\n')).count();
    lines(&bytes[skipped..length])?;
    head.clear();
    head.version = if version == 0 { Version::Http10 } else { Version::Http11 };
    head.bytes.extend_from_slice(&bytes[..length]);
    head.method = span(bytes, method.as_bytes());
    head.target = span(bytes, target.as_bytes());
    take_fields(bytes, parsed.headers, head);
    check_target(head)?;
    check_host(head)?;
    let framing = framing::of_request(head)?;
    Ok(Some((length, framing)))
}

/// Reads a response's head. `None`: more bytes are needed.
///
/// # Errors
/// It is malformed: 502.
pub(crate) fn response(
    bytes: &[u8],
    limits: Limits,
    head: &mut Head,
) -> Result<Option<usize>, Refusal> {
    let mut fields = [const { MaybeUninit::uninit() }; MOST_FIELDS];
    let mut parsed = httparse::Response::new(&mut []);
    let config = httparse::ParserConfig::default();
    let length = match config.parse_response_with_uninit_headers(&mut parsed, bytes, &mut fields) {
        Ok(httparse::Status::Complete(length)) if length <= limits.bytes => length,
        Ok(httparse::Status::Partial) if bytes.len() < limits.bytes => return Ok(None),
        Ok(_) => {
            return Err(refusal(502, "response_head_too_large", "the server's head is too large"));
        }
        Err(_) => return Err(BAD_RESPONSE),
    };
    let (Some(status), Some(version)) = (parsed.code, parsed.version) else {
        return Err(BAD_RESPONSE);
    };
    if !(100..600).contains(&status) {
        return Err(BAD_RESPONSE);
    }
    lines(&bytes[..length]).map_err(|_| BAD_RESPONSE)?;
    head.clear();
    head.status = status;
    head.version = if version == 0 { Version::Http10 } else { Version::Http11 };
    head.bytes.extend_from_slice(&bytes[..length]);
    take_fields(bytes, parsed.headers, head);
    Ok(Some(length))
}

/// Reads trailer fields from `bytes` up to the empty line. `None`: more bytes are needed.
///
/// # Errors
/// They are malformed.
pub(crate) fn trailers(bytes: &[u8], head: &mut Head) -> Result<Option<usize>, &'static str> {
    let mut fields = [httparse::EMPTY_HEADER; 64];
    match httparse::parse_headers(bytes, &mut fields) {
        Ok(httparse::Status::Complete((length, fields))) => {
            lines(&bytes[..length]).map_err(|refusal| refusal.text)?;
            head.clear();
            head.bytes.extend_from_slice(&bytes[..length]);
            take_fields(bytes, fields, head);
            Ok(Some(length))
        }
        Ok(httparse::Status::Partial) => Ok(None),
        Err(_) => Err("a trailer field is malformed"),
    }
}

fn take_fields(bytes: &[u8], fields: &[httparse::Header<'_>], head: &mut Head) {
    head.fields.extend(fields.iter().map(|field| Field {
        name: span(bytes, field.name.as_bytes()),
        value: span(bytes, field.value),
        class: Class::of(field.name.as_bytes()),
    }));
}

/// Where a part that the parser found stands.
fn span(whole: &[u8], part: &[u8]) -> Span {
    let at = (part.as_ptr() as usize).wrapping_sub(whole.as_ptr() as usize);
    // An empty value may point anywhere.
    if part.is_empty() { Span::default() } else { Span::new(at, part.len()) }
}

/// Every line ends with CR LF: a bare LF would be a line to some and none to others.
fn lines(head: &[u8]) -> Result<(), Refusal> {
    let mut before = 0;
    for at in memchr::memchr_iter(b'\n', head) {
        if at == before || head[at - 1] != b'\r' {
            return Err(BARE_LF);
        }
        before = at + 1;
    }
    Ok(())
}

fn refused(error: httparse::Error, bytes: &[u8]) -> Refusal {
    match error {
        httparse::Error::Version if is_http(bytes) => BAD_VERSION,
        httparse::Error::HeaderName | httparse::Error::HeaderValue => BAD_FIELD,
        httparse::Error::NewLine if memchr::memchr(b'\n', bytes).is_some() => BAD_FIELD,
        httparse::Error::TooManyHeaders => TOO_MANY,
        _ => BAD_REQUEST_LINE,
    }
}

/// Whether the first line ends in `HTTP/…`, whatever the version.
fn is_http(bytes: &[u8]) -> bool {
    let line = bytes.split(|&b| b == b'\n').next().unwrap_or_default().trim_ascii_end();
    let mut words = line.split(|&b| b == b' ');
    let last = words.next_back().unwrap_or_default();
    words.count() == 2 && last.len() == 8 && last.starts_with(b"HTTP/") && last[6] == b'.'
}

/// A head without end: the target is to blame where its line hasn't ended either.
fn too_long(bytes: &[u8], most: usize) -> Refusal {
    match memchr::memchr(b'\n', &bytes[..bytes.len().min(most)]) {
        Some(_) => TOO_LONG,
        None => URI_TOO_LONG,
    }
}

/// Origin form, absolute form (which becomes origin form, RFC 9112 §3.2.2), or `*` for OPTIONS.
fn check_target(head: &mut Head) -> Result<(), Refusal> {
    if head.method() == "CONNECT" {
        return Err(CONNECT);
    }
    let target = head.slice(head.target);
    if target.iter().any(|&byte| !(0x21..0x7f).contains(&byte) || byte == b'#') {
        return Err(BAD_TARGET);
    }
    match target.first() {
        Some(b'/') => Ok(()),
        Some(b'*') if target.len() == 1 && head.method() == "OPTIONS" => Ok(()),
        _ => absolute(head),
    }
}

fn absolute(head: &mut Head) -> Result<(), Refusal> {
    let target = head.target();
    let rest = ["http://", "https://"].iter().find_map(|scheme| {
        let start = target.get(..scheme.len())?;
        start.eq_ignore_ascii_case(scheme).then(|| &target[scheme.len()..])
    });
    let rest = rest.ok_or(BAD_TARGET)?;
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, target) = rest.split_at(end);
    if authority.is_empty() || authority.contains('@') {
        return Err(BAD_TARGET);
    }
    let slash = if target.starts_with('/') { "" } else { "/" };
    let (authority, target) = (authority.to_owned(), format!("{slash}{target}"));
    if head.values("host").count() > 1 {
        return Err(BAD_HOST);
    }
    head.set_target(&target);
    head.set("Host", authority);
    Ok(())
}

/// Exactly one Host field, and nothing in it that is no host (RFC 9112 §3.2).
fn check_host(head: &Head) -> Result<(), Refusal> {
    let mut hosts = head.fields.iter().filter(|field| field.class == Class::Host);
    let Some(field) = hosts.next() else {
        return if head.version == Version::Http10 { Ok(()) } else { Err(NO_HOST) };
    };
    if hosts.next().is_some() || !is_host(head.slice(field.value)) {
        return Err(BAD_HOST);
    }
    Ok(())
}

/// `uri-host [ ":" port ]` (RFC 3986 §3.2.2), loosely: what can stand in a name or an address.
pub(crate) fn is_host(host: &[u8]) -> bool {
    let name = |b: &u8| b.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=%:[]".contains(b);
    let (host, port) = match host.iter().rposition(|&b| b == b':') {
        Some(at) if !host[at..].contains(&b']') => (&host[..at], &host[at + 1..]),
        _ => (host, &b""[..]),
    };
    let brackets = host.first() == Some(&b'[');
    let inner = host.strip_prefix(b"[").and_then(|h| h.strip_suffix(b"]")).unwrap_or(host);
    let sound = inner.iter().all(|b| name(b) && !b"[]".contains(b) && (brackets || *b != b':'));
    sound && port.len() <= 5 && port.iter().all(u8::is_ascii_digit)
}
