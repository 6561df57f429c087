//! The request to the authentication server, and what its answer means.

use std::sync::Arc;

use bytes::Bytes;
use hyper::Uri;

use super::{ForwardAuth, cookies};
use crate::{
    middleware::{parts, reasons},
    proxy::{
        Body, BodyError, Exchange, Filter, Head, Outcome, Reply, Step,
        fetch::{Fetch, FetchError, Fetched},
    },
};

/// The filter.
pub(super) struct Asking {
    pub(super) settings: ForwardAuth,
    pub(super) server: Arc<dyn Fetch>,
}

/// Kept in the exchange from the server's answer to the client's.
struct AuthCookies(Vec<Vec<u8>>);

impl Filter for Asking {
    fn request<'a>(&'a self, exchange: &'a mut Exchange) -> Step<'a> {
        Step::Wait(Box::pin(async move {
            match self.ask(exchange).await {
                Ok(answer) if (200..300).contains(&answer.head.status()) => {
                    self.admit(exchange, &answer.head);
                    Outcome::Next
                }
                Ok(answer) => Outcome::Reply(self.refusal(answer)),
                Err(reply) => Outcome::Reply(reply),
            }
        }))
    }

    fn response<'a>(&'a self, exchange: &'a mut Exchange) -> Step<'a> {
        let kept = exchange.guards.iter().find_map(|kept| kept.downcast_ref::<AuthCookies>());
        if let Some(AuthCookies(added)) = kept {
            cookies::replace(&mut exchange.answer.head, &self.settings.cookies, added);
        }
        Step::Next
    }
}

impl Asking {
    async fn ask(&self, exchange: &mut Exchange) -> Result<Fetched, Reply> {
        let body = if self.settings.forward_body { self.body(exchange).await? } else { None };
        let mut request = self.head(exchange);
        if body.is_none() {
            request.remove("Content-Type");
        }
        let asked = self.server.fetch(request, body.unwrap_or_default()).await;
        let answer = asked.map_err(|error| failed(&error))?;
        let user = self.settings.header_field.as_ref().and_then(|name| answer.head.text_of(name));
        exchange.user = user.map(str::to_owned).or(exchange.user.take());
        Ok(answer)
    }

    /// The request's body, which the server of the service gets as well.
    async fn body(&self, exchange: &mut Exchange) -> Result<Option<Bytes>, Reply> {
        if exchange.body.length() == Some(0) {
            return Ok(None);
        }
        let most = self.settings.max_body_size.unwrap_or(u64::MAX);
        match exchange.body.collect(most).await {
            Ok((bytes, _)) => {
                exchange.body = Body::Full(bytes.clone());
                Ok(Some(bytes))
            }
            Err(BodyError::TooLarge(_)) => {
                let text = "Unauthorized: the body is too long";
                Err(Reply::text(401, reasons::FORWARD_AUTH_BODY, text))
            }
            Err(_) => {
                let text = "Bad Request: the body broke off";
                Err(Reply::text(400, reasons::BODY_BROKE_OFF, text))
            }
        }
    }

    fn head(&self, exchange: &Exchange) -> Head {
        let from = &exchange.request;
        let settings = &self.settings;
        let method = if settings.preserve_method { from.method() } else { "GET" };
        let mut head = Head::request(method, &settings.target);
        let wanted = |name: &str| {
            settings.request_headers.is_empty()
                || settings.request_headers.iter().any(|one| one.eq_ignore_ascii_case(name))
        };
        for (name, value) in from.iter() {
            let is_told_below = FORWARDED.iter().any(|one| one.eq_ignore_ascii_case(name));
            if wanted(name) && !is_told_below && !is_of_one_hop(from, name) {
                head.add(name, value);
            }
        }
        let peer = exchange.ip().to_string();
        let scheme = if exchange.is_tls() { "https" } else { "http" };
        let told = |name: &str| from.text_of(name).filter(|_| settings.trust_forward_header);
        let chain: Vec<&[u8]> = from.values("X-Forwarded-For").collect();
        let client = match settings.trust_forward_header && !chain.is_empty() {
            true => [&chain.join(&b", "[..])[..], b", ", peer.as_bytes()].concat(),
            false => peer.into_bytes(),
        };
        head.add("X-Forwarded-For", client);
        let authority = parts::authority_of(exchange);
        for (name, value) in [
            ("X-Forwarded-Method", from.method()),
            ("X-Forwarded-Proto", scheme),
            ("X-Forwarded-Host", &authority),
            ("X-Forwarded-Uri", from.target()),
        ] {
            head.add(name, told(name).unwrap_or(value));
        }
        if let Some(port) = told("X-Forwarded-Port") {
            head.add("X-Forwarded-Port", port);
        }
        head
    }

    /// What the server of the service is told.
    fn admit(&self, exchange: &mut Exchange, answer: &Head) {
        let request = &mut exchange.request;
        for name in &self.settings.response_headers {
            request.remove(name);
            answer.values(name).for_each(|value| request.add(name, value));
        }
        if let Some(pattern) = &self.settings.response_headers_regex {
            request.retain(|name, _| !pattern.0.is_match(name));
            for (name, value) in answer.iter().filter(|(name, _)| pattern.0.is_match(name)) {
                if !is_of_one_hop(answer, name) {
                    request.add(name, value);
                }
            }
        }
        if !self.settings.cookies.is_empty() {
            let added = answer.values("Set-Cookie").filter(|one| {
                self.settings.cookies.iter().any(|name| cookies::name(one) == name.as_bytes())
            });
            let added = added.map(<[u8]>::to_vec).collect();
            exchange.guards.push(Box::new(AuthCookies(added)));
        }
    }

    /// The authentication server's answer, for the client.
    fn refusal(&self, answer: Fetched) -> Reply {
        let mut head = Head::response(answer.head.status());
        for (name, value) in answer.head.iter() {
            let is_location = name.eq_ignore_ascii_case("Location");
            if is_location && !self.settings.preserve_location {
                head.add("Location", self.absolute(value));
            } else if !is_of_one_hop(&answer.head, name) {
                head.add(name, value);
            }
        }
        Reply { head, body: answer.body, reason: reasons::FORWARD_AUTH }
    }

    /// A location seen from the authentication server (RFC 3986 §5.2).
    pub(super) fn absolute(&self, location: &[u8]) -> Vec<u8> {
        let Ok(text) = std::str::from_utf8(location) else { return location.to_vec() };
        let Ok(base) = self.settings.address.parse::<Uri>() else { return location.to_vec() };
        let (scheme, authority) = (base.scheme_str(), base.authority());
        let (Some(scheme), Some(authority)) = (scheme, authority) else { return location.to_vec() };
        let has_scheme = text
            .split_once(':')
            .is_some_and(|(scheme, _)| !scheme.is_empty() && !scheme.contains(['/', '?', '#']));
        let path = base.path();
        match text.as_bytes() {
            _ if has_scheme => text.to_owned(),
            [b'/', b'/', ..] => format!("{scheme}:{text}"),
            [b'/', ..] => format!("{scheme}://{authority}{text}"),
            [] => self.settings.address.clone(),
            [b'?' | b'#', ..] => format!("{scheme}://{authority}{path}{text}"),
            _ => {
                let folder = path.rfind('/').map_or("/", |end| &path[..=end]);
                format!("{scheme}://{authority}{folder}{text}")
            }
        }
        .into_bytes()
    }
}

/// Said anew for the authentication server.
const FORWARDED: [&str; 6] = [
    "X-Forwarded-For",
    "X-Forwarded-Method",
    "X-Forwarded-Proto",
    "X-Forwarded-Host",
    "X-Forwarded-Uri",
    "X-Forwarded-Port",
];

/// RFC 9110 §7.6.1, and what says where a message ends.
const OF_ONE_HOP: [&str; 11] = [
    "Connection",
    "Proxy-Connection",
    "Keep-Alive",
    "TE",
    "Trailer",
    "Trailers",
    "Transfer-Encoding",
    "Upgrade",
    "Content-Length",
    "Expect",
    "Host",
];

fn is_of_one_hop(head: &Head, name: &str) -> bool {
    OF_ONE_HOP.iter().any(|one| one.eq_ignore_ascii_case(name)) || head.lists("Connection", name)
}

fn failed(error: &FetchError) -> Reply {
    tracing::warn!("forwardAuth: {error}");
    Reply::text(500, reasons::FORWARD_AUTH_FAILED, "Internal Server Error")
}
