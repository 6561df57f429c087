//! What is said of requests: names by OpenTelemetry's conventions for HTTP
//! (<https://opentelemetry.io/docs/specs/semconv/http/http-spans/>), and lb's own.

use std::borrow::Cow;

use super::{super::series, encode::Attributes};
use crate::{
    model::{Scheme, Tracing},
    proxy::{Exchange, Head, head::Version, table::Route},
};

/// In place of what isn't for everybody's eyes.
const REDACTED: &str = "REDACTED";

/// Whether a span tells of an error, and in which words.
pub(super) enum Ended {
    Well,
    Badly(Cow<'static, str>),
}

/// A span's name: the method, unless it is made up.
pub(super) fn name(exchange: &Exchange) -> &str {
    let method = exchange.request.method();
    if series::is_known(method) { method } else { "HTTP" }
}

/// The request as it came.
pub(super) fn request(out: &mut Attributes<'_>, exchange: &Exchange, settings: &Tracing) {
    let (head, client) = (&exchange.request, &exchange.client);
    out.text("entry_point", &*client.entry_point);
    method(out, head);
    out.text("network.protocol.version", protocol(head.version()));
    let (path, query) = parted(exchange.asked());
    out.text("url.path", path);
    if let Some(query) = query {
        out.text("url.query", redacted(query, &settings.safe_query));
    }
    // What is left of these was believed.
    let own = if exchange.is_tls() { "https" } else { "http" };
    out.text("url.scheme", head.text_of("x-forwarded-proto").unwrap_or(own));
    if let Some(host) = head.text_of("x-forwarded-host").or_else(|| head.text_of("host")) {
        authority(out, host);
    }
    let peer = exchange.ip().to_string();
    let forwarded = head.text_of("x-forwarded-for").and_then(|list| list.split(',').next());
    out.text("client.address", forwarded.map_or(peer.as_str(), str::trim));
    out.text("network.peer.address", &peer);
    out.number("network.peer.port", u64::from(client.peer.port()));
    if let Some(agent) = head.get("user-agent") {
        out.text("user_agent.original", agent);
    }
    captured(out, "http.request.header.", head, &settings.request_headers);
}

/// What became of it.
pub(super) fn answer(
    out: &mut Attributes<'_>,
    route: Option<&Route>,
    exchange: &Exchange,
    settings: &Tracing,
) -> Ended {
    if let Some(route) = route {
        out.text("lb.router.name", route.id.qualified());
        let service = exchange.service.as_ref().map_or(&route.service, |service| service.id());
        out.text("lb.service.name", service.qualified());
    }
    let head = &exchange.answer.head;
    let status = head.status();
    out.number("http.response.status_code", u64::from(status));
    out.number("http.request.body.size", exchange.bytes_in);
    out.number("http.response.body.size", exchange.bytes_out);
    captured(out, "http.response.header.", head, &settings.response_headers);
    let reason = exchange.broke.or(exchange.answer.reason);
    if let Some(reason) = reason {
        out.text("lb.reason", reason);
    }
    // Who goes away in the middle is no fault of lb's.
    let is_broken = exchange.broke.is_some_and(|reason| !reason.starts_with("client_"));
    if status < 500 && !is_broken {
        return Ended::Well;
    }
    error(out, status, reason)
}

/// A server that was asked for the `nth` time, counted from 0, and what it said.
pub(super) fn attempt(
    out: &mut Attributes<'_>,
    exchange: &Exchange,
    settings: &Tracing,
    nth: u64,
    failure: Option<&'static str>,
) -> Ended {
    let head = &exchange.request;
    method(out, head);
    if nth > 0 {
        out.number("http.request.resend_count", nth);
    }
    if let Some(server) = &exchange.server {
        let scheme = if server.options().scheme == Scheme::Https { "https" } else { "http" };
        let (path, query) = parted(head.target());
        let mut url = format!("{scheme}://{}{}{path}", server.name(), server.options().path);
        if let Some(query) = query {
            url.push('?');
            url.push_str(&redacted(query, &settings.safe_query));
        }
        out.text("url.full", url);
        out.text("url.scheme", scheme);
        authority(out, server.name());
        out.text("network.peer.address", server.address().ip().to_string());
        out.number("network.peer.port", u64::from(server.address().port()));
    }
    if let Some(agent) = head.get("user-agent") {
        out.text("user_agent.original", agent);
    }
    captured(out, "http.request.header.", head, &settings.request_headers);
    if failure.is_some() {
        return error(out, 0, failure);
    }
    let answer = &exchange.answer.head;
    out.number("http.response.status_code", u64::from(answer.status()));
    captured(out, "http.response.header.", answer, &settings.response_headers);
    match answer.status() {
        400.. => error(out, answer.status(), None),
        _ => Ended::Well,
    }
}

fn error(out: &mut Attributes<'_>, status: u16, reason: Option<&'static str>) -> Ended {
    let kind = reason.map_or_else(|| Cow::Owned(status.to_string()), Cow::Borrowed);
    out.text("error.type", kind.as_bytes());
    // A status says all there is to say.
    Ended::Badly(reason.unwrap_or_default().into())
}

fn method(out: &mut Attributes<'_>, head: &Head) {
    if series::is_known(head.method()) {
        out.text("http.request.method", head.method());
    } else {
        out.text("http.request.method", "_OTHER");
        out.text("http.request.method_original", head.method());
    }
}

const fn protocol(version: Version) -> &'static str {
    match version {
        Version::Http10 => "1.0",
        Version::Http11 => "1.1",
        Version::Http2 => "2",
    }
}

/// `host:port`, `[v6]:port` or a host alone.
fn authority(out: &mut Attributes<'_>, text: &str) {
    let port = text.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?)));
    let (host, port) = match port {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    out.text("server.address", host.trim_matches(['[', ']']));
    if let Some(port) = port {
        out.number("server.port", port);
    }
}

fn captured(out: &mut Attributes<'_>, prefix: &str, head: &Head, names: &[String]) {
    for name in names {
        out.list(&format!("{prefix}{name}"), head.values(name));
    }
}

fn parted(target: &str) -> (&str, Option<&str>) {
    target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)))
}

/// Parameters without their values, but for those that are safe.
fn redacted(query: &str, safe: &[String]) -> String {
    let mut shown = String::with_capacity(query.len());
    for part in query.split('&').filter(|part| !part.is_empty()) {
        if !shown.is_empty() {
            shown.push('&');
        }
        let name = part.split('=').next().unwrap_or_default();
        if safe.iter().any(|safe| safe == name) {
            shown.push_str(part);
        } else {
            shown.extend([name, "=", REDACTED]);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_a_query_are_shown_where_that_is_safe() {
        let safe = ["page".to_owned()];
        for (query, shown) in [
            ("page=2&token=s3cret", "page=2&token=REDACTED"),
            ("bare", "bare=REDACTED"),
            ("page&a=b=c", "page&a=REDACTED"),
            ("&&", ""),
            ("%70age=2", "%70age=REDACTED"),
        ] {
            assert_eq!(redacted(query, &safe), shown, "{query}");
        }
    }

    #[test]
    fn hosts_and_ports_are_told_apart() {
        for (text, host, port) in [
            ("a.example:8080", "a.example", Some(8080)),
            ("a.example", "a.example", None),
            ("[2001:db8::1]:81", "2001:db8::1", Some(81)),
            ("[2001:db8::1]", "2001:db8::1", None),
            ("a.example:http", "a.example:http", None),
        ] {
            let (mut seen, mut wanted) = (Vec::new(), Vec::new());
            authority(&mut Attributes { out: &mut seen, field: 9 }, text);
            let mut expected = Attributes { out: &mut wanted, field: 9 };
            expected.text("server.address", host);
            if let Some(port) = port {
                expected.number("server.port", port);
            }
            assert_eq!(seen, wanted, "{text}");
        }
    }
}
