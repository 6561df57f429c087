//! `redirectScheme`: sends clients to another scheme, as to HTTPS.

use std::sync::Arc;

use super::{Kind, Surroundings, parts, reasons};
use crate::{
    config::decode::{At, Cx, Decode, object},
    config::tree::{Node, Value},
    model::Fault,
    proxy::{Exchange, Filter, Reply, Step},
};

object! {
    /// Its keys.
    pub(crate) struct Raw {
        scheme: String = "scheme",
        port: Port = "port",
        permanent: bool = "permanent",
    }
}

/// A port as text or number; empty for none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Port(Option<u16>);

impl Decode for Port {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        let port = match &node.value {
            Value::Text(text) if text.is_empty() => return Some(Self(None)),
            Value::Text(text) => text.parse().ok(),
            Value::Int(port) => u16::try_from(*port).ok(),
            _ => None,
        };
        if port.is_none_or(|port| port == 0) {
            cx.expected(node, "a port from 1 to 65535");
            return None;
        }
        Some(Self(port))
    }
}

/// Its settings, and the filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedirectScheme {
    scheme: String,
    port: Option<u16>,
    permanent: bool,
}

impl RedirectScheme {
    /// To `scheme`, at `port` where it isn't the scheme's own.
    pub(crate) fn to(scheme: &str, port: Option<u16>, permanent: bool) -> Self {
        let port = port.filter(|port| !USUAL.contains(&(scheme, *port)));
        Self { scheme: scheme.to_owned(), port, permanent }
    }
}

/// Ports that a URL leaves out.
const USUAL: [(&str, u16); 2] = [("http", 80), ("https", 443)];

impl Kind for RedirectScheme {
    type Raw = Raw;

    fn check(raw: &At<Raw>, faults: &mut Vec<Fault>) -> Option<Self> {
        let at = raw.value.scheme.required("scheme", &raw.spot, faults)?;
        let scheme = at.value.to_ascii_lowercase();
        let right = |b: u8| b.is_ascii_alphanumeric() || b"+-.".contains(&b);
        if !scheme.starts_with(|c: char| c.is_ascii_alphabetic()) || !scheme.bytes().all(right) {
            faults.push(at.spot.fault("expected a scheme such as \"https\""));
            return None;
        }
        let port = raw.value.port.get().and_then(|port| port.0);
        Some(Self::to(&scheme, port, raw.value.permanent.or_default()))
    }

    fn filter(&self, _: &Surroundings<'_>) -> Result<Arc<dyn Filter>, String> {
        Ok(Arc::new(self.clone()))
    }
}

impl Filter for RedirectScheme {
    fn request<'a>(&'a self, exchange: &'a mut Exchange) -> Step<'a> {
        if parts::scheme_of(exchange) == self.scheme {
            return Step::Next;
        }
        let authority = parts::authority_of(exchange);
        let host = parts::without_port(&authority);
        let port = self.port.map(|port| format!(":{port}")).unwrap_or_default();
        let location = format!("{}://{host}{port}{}", self.scheme, exchange.request.target());
        Step::Reply(redirect(exchange, self.permanent, &location, reasons::REDIRECT_SCHEME))
    }
}

/// 301 and 302 for GET; 308 and 307 for the rest, whose method must stay (RFC 9110 §15.4).
pub(super) fn redirect(
    exchange: &Exchange,
    permanent: bool,
    location: &str,
    reason: &'static str,
) -> Reply {
    let (status, text) = match (permanent, exchange.request.method()) {
        (true, "GET") => (301, "Moved Permanently"),
        (true, _) => (308, "Permanent Redirect"),
        (false, "GET") => (302, "Found"),
        (false, _) => (307, "Temporary Redirect"),
    };
    let mut reply = Reply::text(status, reason, text);
    reply.head.add("Location", location);
    reply
}

#[cfg(test)]
mod tests {
    use super::super::{
        reasons,
        testing::{fault, filter, request},
    };
    use crate::proxy::Exchange;

    fn location(yaml: &str, lines: &str) -> Option<(u16, String)> {
        let mut exchange = Exchange::made_up(lines);
        let reply = request(&*filter(yaml), &mut exchange)?;
        assert_eq!(reply.reason, reasons::REDIRECT_SCHEME);
        Some((reply.head.status(), reply.head.text_of("Location")?.to_owned()))
    }

    #[test]
    fn another_scheme_is_sent_elsewhere() {
        let plain = "redirectScheme: { scheme: https }";
        let permanent = "redirectScheme: { scheme: https, permanent: true }";
        let port = "redirectScheme: { scheme: https, port: \"8443\" }";
        let usual = "redirectScheme: { scheme: HTTPS, port: 443 }";
        let back = "redirectScheme: { scheme: http }";
        let a = "GET /b?c=d\nHost: a.example:80";
        let post = "POST /\nHost: a.example";
        let v6 = "GET /\nHost: [2001:db8::1]:80";
        let tls = "GET /\nHost: a.example\nX-Forwarded-Proto: https";
        for (yaml, lines, to) in [
            (plain, a, Some((302, "https://a.example/b?c=d"))),
            (permanent, a, Some((301, "https://a.example/b?c=d"))),
            (plain, post, Some((307, "https://a.example/"))),
            (permanent, post, Some((308, "https://a.example/"))),
            (port, a, Some((302, "https://a.example:8443/b?c=d"))),
            (usual, a, Some((302, "https://a.example/b?c=d"))),
            (plain, v6, Some((302, "https://[2001:db8::1]/"))),
            (plain, tls, None),
            (back, a, None),
            (back, tls, Some((302, "http://a.example/"))),
            (plain, "GET /", Some((302, "https://198.51.100.10/"))),
        ] {
            let to = to.map(|(status, to)| (status, to.to_owned()));
            assert_eq!(location(yaml, lines), to, "{yaml} {lines}");
        }
    }

    #[test]
    fn a_scheme_is_needed() {
        assert_eq!(fault("redirectScheme: {}"), "redirectScheme: \"scheme\" is missing");
        let told = fault("redirectScheme: { scheme: 'https://' }");
        assert_eq!(told, "redirectScheme.scheme: expected a scheme such as \"https\"");
        assert!(fault("redirectScheme: { scheme: https, port: 0 }").contains("expected a port"));
    }
}
