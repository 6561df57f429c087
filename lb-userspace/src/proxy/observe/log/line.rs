//! One line of the log: JSON with Traefik's field names, or the common format with what Traefik
//! puts behind it.

use std::time::{Duration, SystemTime};

use super::text::{self, Stamp};
use crate::{
    model::{AccessLog, HeaderMode, Id},
    proxy::{Exchange, Head, upstream::write::decimal},
};

/// What a line is about.
#[derive(Clone, Copy)]
pub(super) struct Facts<'a> {
    pub(super) exchange: &'a Exchange,
    pub(super) entry_point: &'a str,
    pub(super) router: Option<&'a Id>,
    pub(super) service: Option<&'a Id>,
    pub(super) took: Duration,
    /// The end of the exchange.
    pub(super) now: SystemTime,
    /// Lines until then.
    pub(super) count: u64,
}

/// Declares the fields that can be left out; the last one's name isn't its variant's.
macro_rules! fields {
    ($($name:ident,)+; $last:ident = $label:literal) => {
        #[derive(Clone, Copy)]
        enum Field { $($name,)+ $last }

        const NAMES: &[&str] = &[$(stringify!($name),)+ $label];
    };
}

fields! {
    ClientAddr, ClientHost, ClientPort, ClientUsername, DownstreamContentSize, DownstreamStatus,
    Duration, OriginDuration, OriginStatus, Overhead, Reason, RequestAddr, RequestContentSize,
    RequestCount, RequestHost, RequestMethod, RequestPath, RequestPort, RequestProtocol,
    RequestScheme, RetryAttempts, RouterName, ServiceAddr, ServiceName, ServiceURL, StartUTC,
    TLSCipher, TLSVersion,;
    EntryPointName = "entryPointName"
}

/// Which fields a log has, looked up once.
#[derive(Debug)]
pub(super) struct Kept {
    fields: Vec<bool>,
    /// Whether any header is logged.
    headers: bool,
}

impl Kept {
    pub(super) fn new(settings: &AccessLog) -> Self {
        let headers = &settings.headers;
        let is_logged = |mode: &HeaderMode| *mode != HeaderMode::Drop;
        Self {
            fields: NAMES.iter().map(|name| settings.fields.of(name)).collect(),
            headers: is_logged(&headers.default) || headers.names.values().any(is_logged),
        }
    }

    fn has(&self, field: Field) -> bool {
        self.fields[field as usize]
    }
}

/// Appends the line.
pub(super) fn write(
    out: &mut Vec<u8>,
    settings: &AccessLog,
    kept: &Kept,
    facts: &Facts<'_>,
    stamp: &mut Stamp,
) {
    if settings.json {
        Json { out, kept }.line(settings, facts, stamp);
    } else {
        Common { out, kept }.line(facts, stamp);
    }
    out.push(b'\n');
}

struct Json<'a> {
    out: &'a mut Vec<u8>,
    kept: &'a Kept,
}

impl Json<'_> {
    fn line(&mut self, settings: &AccessLog, facts: &Facts<'_>, stamp: &mut Stamp) {
        self.out.push(b'{');
        self.client(facts.exchange);
        self.request(facts);
        self.answer(facts);
        self.server(facts);
        if self.kept.has(Field::StartUTC) {
            let (second, nanos) = stamp.rfc3339(facts.now - facts.took);
            self.name(Field::StartUTC);
            self.out.push(b'"');
            self.out.extend_from_slice(second.as_bytes());
            self.out.push(b'.');
            text::nanos(self.out, nanos);
            self.out.extend_from_slice(b"Z\",");
        }
        if self.kept.headers {
            self.headers(settings, "downstream_", &facts.exchange.answer.head);
            self.headers(settings, "request_", &facts.exchange.request);
        }
        let (second, _) = stamp.rfc3339(facts.now);
        self.out.extend_from_slice(b"\"level\":\"info\",\"msg\":\"\",\"time\":\"");
        self.out.extend_from_slice(second.as_bytes());
        self.out.extend_from_slice(b"Z\"}");
    }

    fn client(&mut self, exchange: &Exchange) {
        let peer = exchange.client.peer;
        self.put(Field::ClientAddr, |out| text::address(out, peer));
        self.put(Field::ClientHost, |out| text::ip(out, peer.ip()));
        self.put(Field::ClientPort, |out| decimal(out, u64::from(peer.port())));
        let user = exchange.user.as_deref().unwrap_or("-");
        self.text(Field::ClientUsername, user.as_bytes());
        if let Some(tls) = &exchange.client.tls {
            self.text(Field::TLSVersion, tls_version(tls.version).as_bytes());
            self.text(Field::TLSCipher, tls.cipher.as_bytes());
        }
    }

    fn request(&mut self, facts: &Facts<'_>) {
        let Facts { exchange, .. } = facts;
        let request = &exchange.request;
        let address = request.get("host").unwrap_or_default();
        let host = request.host().unwrap_or_default();
        let port = address.get(host.len() + 1..).filter(|port| !port.is_empty());
        self.text(Field::RequestAddr, address);
        self.text(Field::RequestHost, host.as_bytes());
        self.text(Field::RequestPort, port.unwrap_or(b"-"));
        self.text(Field::RequestMethod, request.method().as_bytes());
        self.text(Field::RequestPath, exchange.asked().as_bytes());
        self.text(Field::RequestProtocol, request.version().name().as_bytes());
        let scheme = if exchange.is_tls() { "https" } else { "http" };
        self.text(Field::RequestScheme, scheme.as_bytes());
        self.number(Field::RequestContentSize, exchange.bytes_in);
        self.number(Field::RequestCount, facts.count);
        self.number(Field::RetryAttempts, u64::from(exchange.retries));
        self.text(Field::EntryPointName, facts.entry_point.as_bytes());
    }

    fn answer(&mut self, facts: &Facts<'_>) {
        let Facts { exchange, .. } = facts;
        let status = u64::from(exchange.answer.head.status());
        let origin = exchange.server_time.unwrap_or_default();
        self.number(Field::DownstreamStatus, status);
        self.number(Field::DownstreamContentSize, exchange.bytes_out);
        self.number(Field::Duration, facts.took.as_nanos() as u64);
        self.number(Field::OriginDuration, origin.as_nanos() as u64);
        self.number(Field::Overhead, facts.took.saturating_sub(origin).as_nanos() as u64);
        let is_servers = exchange.server_time.is_some() && exchange.answer.reason.is_none();
        self.number(Field::OriginStatus, if is_servers { status } else { 0 });
        if let Some(reason) = exchange.broke.or(exchange.answer.reason) {
            self.text(Field::Reason, reason.as_bytes());
        }
    }

    fn server(&mut self, facts: &Facts<'_>) {
        if let Some(router) = facts.router {
            self.put(Field::RouterName, |out| id(out, router));
        }
        if let Some(service) = facts.service {
            self.put(Field::ServiceName, |out| id(out, service));
        }
        if let Some(server) = &facts.exchange.server {
            self.text(Field::ServiceAddr, server.name().as_bytes());
            self.put(Field::ServiceURL, |out| url(out, facts.exchange));
        }
    }

    fn headers(&mut self, settings: &AccessLog, prefix: &str, head: &Head) {
        let mut lower = String::new();
        for (name, value) in head.iter() {
            lower.clear();
            lower.extend(name.chars().map(|letter| letter.to_ascii_lowercase()));
            let value = match settings.headers.of(&lower) {
                HeaderMode::Drop => continue,
                HeaderMode::Keep => value,
                HeaderMode::Redact => b"REDACTED",
            };
            self.out.push(b'"');
            self.out.extend_from_slice(prefix.as_bytes());
            capitalised(self.out, &lower);
            self.out.extend_from_slice(b"\":\"");
            text::json(self.out, value);
            self.out.extend_from_slice(b"\",");
        }
    }

    fn name(&mut self, field: Field) {
        self.out.push(b'"');
        self.out.extend_from_slice(NAMES[field as usize].as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    /// A text that needs no escapes.
    fn put(&mut self, field: Field, write: impl FnOnce(&mut Vec<u8>)) {
        if self.kept.has(field) {
            self.name(field);
            self.out.push(b'"');
            write(self.out);
            self.out.extend_from_slice(b"\",");
        }
    }

    fn text(&mut self, field: Field, value: &[u8]) {
        self.put(field, |out| text::json(out, value));
    }

    fn number(&mut self, field: Field, value: u64) {
        if self.kept.has(field) {
            self.name(field);
            decimal(self.out, value);
            self.out.push(b',');
        }
    }
}

struct Common<'a> {
    out: &'a mut Vec<u8>,
    kept: &'a Kept,
}

impl Common<'_> {
    fn line(&mut self, facts: &Facts<'_>, stamp: &mut Stamp) {
        let Facts { exchange, .. } = facts;
        let (request, answer) = (&exchange.request, &exchange.answer.head);
        self.put(Field::ClientHost, |out| text::ip(out, exchange.client.peer.ip()));
        self.out.extend_from_slice(b" - ");
        let user = exchange.user.as_deref().unwrap_or("-");
        self.put(Field::ClientUsername, |out| text::quoted(out, user.as_bytes()));
        self.out.extend_from_slice(b" [");
        let start = stamp.common(facts.now - facts.took);
        self.put(Field::StartUTC, |out| out.extend_from_slice(start.as_bytes()));
        self.out.extend_from_slice(b"] \"");
        self.put(Field::RequestMethod, |out| text::quoted(out, request.method().as_bytes()));
        self.out.push(b' ');
        self.put(Field::RequestPath, |out| text::quoted(out, exchange.asked().as_bytes()));
        self.out.push(b' ');
        let version = request.version().name();
        self.put(Field::RequestProtocol, |out| out.extend_from_slice(version.as_bytes()));
        self.out.extend_from_slice(b"\" ");
        self.put(Field::DownstreamStatus, |out| decimal(out, u64::from(answer.status())));
        self.out.push(b' ');
        self.put(Field::DownstreamContentSize, |out| decimal(out, exchange.bytes_out));
        self.header(request, " \"", "referer");
        self.header(request, "\" \"", "user-agent");
        self.out.extend_from_slice(b"\" ");
        self.put(Field::RequestCount, |out| decimal(out, facts.count));
        self.out.extend_from_slice(b" \"");
        self.put(Field::RouterName, |out| match facts.router {
            Some(router) => id(out, router),
            None => out.push(b'-'),
        });
        self.out.extend_from_slice(b"\" \"");
        self.put(Field::ServiceURL, |out| url(out, exchange));
        self.out.extend_from_slice(b"\" ");
        self.put(Field::Duration, |out| decimal(out, facts.took.as_millis() as u64));
        self.out.extend_from_slice(b"ms");
    }

    /// `-` for what isn't kept.
    fn put(&mut self, field: Field, write: impl FnOnce(&mut Vec<u8>)) {
        match self.kept.has(field) {
            true => write(self.out),
            false => self.out.push(b'-'),
        }
    }

    /// These two are part of the format, whatever is said of headers.
    fn header(&mut self, request: &Head, before: &str, name: &str) {
        self.out.extend_from_slice(before.as_bytes());
        text::quoted(self.out, request.get(name).unwrap_or(b"-"));
    }
}

fn id(out: &mut Vec<u8>, id: &Id) {
    text::json(out, id.name.as_bytes());
    out.push(b'@');
    text::json(out, id.provider.as_bytes());
}

/// The server's URL; `-` where none was asked.
fn url(out: &mut Vec<u8>, exchange: &Exchange) {
    let Some(server) = &exchange.server else { return out.push(b'-') };
    out.extend_from_slice(server.options().scheme.name().as_bytes());
    out.extend_from_slice(b"://");
    text::json(out, server.name().as_bytes());
}

/// `TLSv1_3` as Traefik has it.
fn tls_version(name: &str) -> &str {
    match name {
        "TLSv1_2" => "1.2",
        "TLSv1_3" => "1.3",
        other => other,
    }
}

/// `User-Agent`, from lower case.
fn capitalised(out: &mut Vec<u8>, lower: &str) {
    let mut is_first = true;
    for byte in lower.bytes() {
        out.push(if is_first { byte.to_ascii_uppercase() } else { byte });
        is_first = byte == b'-';
    }
}
