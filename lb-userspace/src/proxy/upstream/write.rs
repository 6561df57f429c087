//! A request's head as a server gets it.

use crate::{
    model::Scheme,
    proxy::{
        Exchange,
        framing::Framing,
        head::{Class, Field, Head},
    },
};

/// What a server's URL and service say of the head.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Towards<'a> {
    /// `Host` for the server, where the client's isn't passed.
    pub(crate) host: Option<&'a str>,
    /// The URL's path, in front of the request's.
    pub(crate) path: &'a str,
    /// Whether an `Upgrade` is asked for.
    pub(crate) upgrade: bool,
}

/// Appends the head to `out`.
pub(crate) fn head(out: &mut Vec<u8>, exchange: &Exchange, towards: Towards<'_>, framing: Framing) {
    let request = &exchange.request;
    let (method, target) = (request.slice(request.method), request.slice(request.target));
    for part in [method, b" ", towards.path.as_bytes(), target, b" HTTP/1.1\r\n"] {
        out.extend_from_slice(part);
    }
    let mut host = towards.host;
    if host.is_none() && !request.has_class(Class::Host) {
        host = Some("");
    }
    if let Some(host) = host {
        line(out, "Host", host.as_bytes());
    }
    let named = Named::of(request);
    for field in &request.fields {
        let keep = match field.class {
            Class::Host => host.is_none(),
            Class::Plain | Class::Trailer => !named.has(request, request.slice(field.name)),
            Class::Te => request.slice(field.value).eq_ignore_ascii_case(b"trailers"),
            Class::Forwarded => !is_ours(request.slice(field.name)),
            Class::Expect | Class::Hop | Class::Connection | Class::Upgrade => false,
            Class::ContentLength | Class::TransferEncoding => false,
        };
        if keep {
            line(out, request.slice(field.name), request.slice(field.value));
        }
    }
    forwarded(out, exchange);
    match framing {
        Framing::Length(length) => {
            out.extend_from_slice(b"Content-Length: ");
            decimal(out, length);
            out.extend_from_slice(b"\r\n");
        }
        Framing::Chunked => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
        Framing::None | Framing::Close => {}
    }
    if towards.upgrade {
        let protocol = request.get("upgrade").unwrap_or_default();
        line(out, "Connection", b"Upgrade");
        line(out, "Upgrade", protocol);
    }
    out.extend_from_slice(b"\r\n");
}

/// Those of the `X-Forwarded-*` that lb writes itself.
pub(crate) const OURS: &[&str] =
    &["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-port", "x-real-ip"];

fn is_ours(name: &[u8]) -> bool {
    OURS.iter().any(|ours| name.eq_ignore_ascii_case(ours.as_bytes()))
}

fn forwarded(out: &mut Vec<u8>, exchange: &Exchange) {
    for_each_forwarded(exchange, |name, value| line(out, name, value));
}

/// Who asked, and how: what was believed of it stands in the head, the sender is added.
pub(crate) fn for_each_forwarded(exchange: &Exchange, mut each: impl FnMut(&str, &[u8])) {
    let (request, client) = (&exchange.request, &exchange.client);
    // Most requests have none of them, and need not be looked through for each.
    let said = request.has_class(Class::Forwarded);
    let said = |name| if said { request.get(name) } else { None };
    let ip = client.address.as_bytes();
    let mut list = Small::new();
    if said("x-forwarded-for").is_some() {
        for value in request.values("x-forwarded-for") {
            list.put(value);
            list.put(b", ");
        }
    }
    match list.is_empty() {
        true => each("X-Forwarded-For", ip),
        false => {
            list.put(ip);
            each("X-Forwarded-For", list.bytes());
        }
    }
    let proto: &[u8] = match (exchange.wants_upgrade(), exchange.is_tls()) {
        (false, false) => b"http",
        (false, true) => b"https",
        (true, false) => b"ws",
        (true, true) => b"wss",
    };
    each("X-Forwarded-Proto", said("x-forwarded-proto").unwrap_or(proto));
    let host = said("x-forwarded-host").or_else(|| request.get("host"));
    each("X-Forwarded-Host", host.unwrap_or_default());
    match said("x-forwarded-port") {
        Some(port) => each("X-Forwarded-Port", port),
        None => each("X-Forwarded-Port", Small::number(u64::from(client.local.port())).bytes()),
    }
    each("X-Real-Ip", said("x-real-ip").unwrap_or(ip));
}

/// A short text that takes no memory of its own until it is long.
struct Small {
    inline: [u8; 46],
    length: usize,
    spilt: Vec<u8>,
}

impl Small {
    fn new() -> Self {
        Self { inline: [0; 46], length: 0, spilt: Vec::new() }
    }

    fn put(&mut self, bytes: &[u8]) {
        let end = self.length + bytes.len();
        if self.spilt.is_empty() && end <= self.inline.len() {
            self.inline[self.length..end].copy_from_slice(bytes);
            self.length = end;
            return;
        }
        if self.spilt.is_empty() {
            self.spilt.extend_from_slice(&self.inline[..self.length]);
        }
        self.spilt.extend_from_slice(bytes);
    }

    fn bytes(&self) -> &[u8] {
        if self.spilt.is_empty() { &self.inline[..self.length] } else { &self.spilt }
    }

    fn is_empty(&self) -> bool {
        self.bytes().is_empty()
    }

    fn number(number: u64) -> Self {
        let mut text = Self::new();
        let (digits, at) = digits(number);
        text.put(&digits[at..]);
        text
    }
}

/// Fields that `Connection` names are of this hop alone (RFC 9110 §7.6.1).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Named {
    any: bool,
}

impl Named {
    pub(crate) fn of(head: &Head) -> Self {
        // What is said most names no field: `Keep-Alive` is one hop's anyway, and `Close` is reserved
        // (RFC 9110 §18.4): no field has that name.
        let names_none = |value: &[u8]| {
            value.eq_ignore_ascii_case(b"keep-alive") || value.eq_ignore_ascii_case(b"close")
        };
        let names = |field: &Field| {
            field.class == Class::Connection && !names_none(head.slice(field.value))
        };
        Self { any: head.fields.iter().any(names) }
    }

    pub(crate) fn has(self, head: &Head, name: &[u8]) -> bool {
        let lists = |name| head.lists("connection", name);
        self.any && std::str::from_utf8(name).is_ok_and(lists)
    }
}

/// Appends a field line.
pub(crate) fn line(out: &mut Vec<u8>, name: impl AsRef<[u8]>, value: &[u8]) {
    let name = name.as_ref();
    out.reserve(name.len() + value.len() + 4);
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Appends a number.
pub(crate) fn decimal(out: &mut Vec<u8>, number: u64) {
    let (digits, at) = digits(number);
    out.extend_from_slice(&digits[at..]);
}

/// The digits of a number, from the given place on.
fn digits(mut number: u64) -> ([u8; 20], usize) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return (digits, at);
        }
    }
}

/// `Host` for a server: its host, and its port where that isn't the scheme's.
pub(crate) fn host_of(server: &str, scheme: Scheme) -> &str {
    let default = if scheme == Scheme::Https { ":443" } else { ":80" };
    server.strip_suffix(default).unwrap_or(server)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(lines: &str, towards: Towards<'_>, framing: Framing) -> String {
        let mut out = Vec::new();
        head(&mut out, &Exchange::made_up(lines), towards, framing);
        String::from_utf8(out).unwrap()
    }

    const PLAIN: Towards<'_> = Towards { host: None, path: "", upgrade: false };

    #[test]
    fn a_request_is_made_anew_with_who_asked() {
        let text = written("GET /a?b\nHost: e.com\nAccept: */*", PLAIN, Framing::None);
        assert_eq!(
            text,
            "GET /a?b HTTP/1.1\r\nHost: e.com\r\nAccept: */*\r\nX-Forwarded-For: 192.0.2.1\r\n\
             X-Forwarded-Proto: http\r\nX-Forwarded-Host: e.com\r\nX-Forwarded-Port: 80\r\n\
             X-Real-Ip: 192.0.2.1\r\n\r\n"
        );
    }

    #[test]
    fn what_is_of_one_hop_stays_behind() {
        let text = written(
            "GET /\nHost: e\nConnection: close, X-Secret\nX-Secret: 1\nKeep-Alive: 5\nTE: gzip\n\
             Proxy-Connection: x\nUpgrade: h2c\nTransfer-Encoding: chunked\nExpect: 100-continue",
            PLAIN,
            Framing::Chunked,
        );
        for name in ["X-Secret", "Keep-Alive", "TE:", "Proxy-Connection", "\r\nUpgrade", "Expect"] {
            assert!(!text.contains(name), "{name} in {text}");
        }
        assert_eq!(text.matches("Transfer-Encoding: chunked\r\n").count(), 1);
    }

    #[test]
    fn a_server_may_get_its_own_host_and_a_path_in_front() {
        let towards = Towards { host: Some("10.0.0.1:8080"), path: "/base", upgrade: false };
        let text = written("POST /x\nHost: e.com", towards, Framing::Length(5));
        assert!(text.starts_with("POST /base/x HTTP/1.1\r\nHost: 10.0.0.1:8080\r\n"), "{text}");
        assert!(
            text.contains("Content-Length: 5\r\n") && !text.contains("\r\nHost: e.com"),
            "{text}"
        );
    }

    #[test]
    fn senders_are_listed_one_behind_the_other() {
        let text = written("GET /\nHost: e\nX-Forwarded-For: 1.2.3.4", PLAIN, Framing::None);
        assert!(text.contains("X-Forwarded-For: 1.2.3.4, 192.0.2.1\r\n"), "{text}");
        assert_eq!(text.matches("X-Forwarded-For").count(), 1);
    }

    #[test]
    fn an_upgrade_is_asked_for_by_both_fields() {
        let towards = Towards { upgrade: true, ..PLAIN };
        let text = written(
            "GET /\nHost: e\nConnection: Upgrade\nUpgrade: websocket\nSec-WebSocket-Key: k",
            towards,
            Framing::None,
        );
        assert!(text.ends_with("Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"), "{text}");
        assert!(text.contains("X-Forwarded-Proto: ws\r\n"));
    }

    #[test]
    fn ports_of_the_scheme_are_left_out() {
        assert_eq!(host_of("a:80", Scheme::Http), "a");
        assert_eq!(host_of("a:443", Scheme::Https), "a");
        assert_eq!(host_of("a:443", Scheme::Http), "a:443");
    }
}
