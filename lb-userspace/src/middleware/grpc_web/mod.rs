//! `grpcWeb`: gRPC for browsers, which have neither HTTP/2 frames nor trailers: trailers come as the
//! body's last message, and with `-text` all of it is base64.
//! ("PROTOCOL-WEB" of gRPC.)

mod body;

use std::sync::Arc;

use body::{Decoded, Framed};

use super::{Kind, Surroundings, parts, reasons};
use crate::{
    config::decode::{At, object},
    model::Fault,
    proxy::{Body, Exchange, Filter, Head, Reply, Step},
};

object! {
    /// Its keys.
    pub(crate) struct Raw {
        allow_origins: Vec<At<String>> = "allowOrigins",
    }
}

/// Its settings, and the filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrpcWeb {
    allow_origins: Vec<String>,
}

impl Kind for GrpcWeb {
    type Raw = Raw;

    fn check(raw: &At<Raw>, _: &mut Vec<Fault>) -> Option<Self> {
        Some(Self { allow_origins: parts::texts(&raw.value.allow_origins) })
    }

    fn filter(&self, _: &Surroundings<'_>) -> Result<Arc<dyn Filter>, String> {
        Ok(Arc::new(self.clone()))
    }
}

const GRPC: &str = "application/grpc";
const WEB: &str = "application/grpc-web";
const TEXT: &str = "application/grpc-web-text";

/// Kept in the exchange from the request to its answer.
struct Translated {
    is_text: bool,
}

impl Filter for GrpcWeb {
    fn request<'a>(&'a self, exchange: &'a mut Exchange) -> Step<'a> {
        if let Some(reply) = self.preflight(&exchange.request) {
            return Step::Reply(reply);
        }
        let kind = exchange.request.text_of("Content-Type").unwrap_or_default().to_owned();
        if exchange.request.method() != "POST" || !begins(&kind, WEB) {
            return Step::Next;
        }
        let is_text = begins(&kind, TEXT);
        let format = &kind[if is_text { TEXT.len() } else { WEB.len() }..];
        exchange.request.set("Content-Type", format!("{GRPC}{format}"));
        exchange.request.set("TE", "trailers");
        if is_text {
            exchange.request.remove("Content-Length");
            let body = std::mem::take(&mut exchange.body);
            exchange.body = Body::Stream(Box::new(Decoded::new(body)));
        }
        exchange.guards.push(Box::new(Translated { is_text }));
        Step::Next
    }

    fn response<'a>(&'a self, exchange: &'a mut Exchange) -> Step<'a> {
        let mut kept = exchange.guards.iter().filter_map(|kept| kept.downcast_ref::<Translated>());
        let Some(is_text) = kept.next().map(|kept| kept.is_text) else { return Step::Next };
        let answer = &mut exchange.answer;
        let kind = answer.head.text_of("Content-Type").unwrap_or_default().to_owned();
        if begins(&kind, GRPC) && !begins(&kind, WEB) {
            let web = if is_text { TEXT } else { WEB };
            answer.head.set("Content-Type", format!("{web}{}", &kind[GRPC.len()..]));
            answer.head.remove("Content-Length");
            answer.head.remove("Trailer");
            let body = std::mem::take(&mut answer.body);
            answer.body = Body::Stream(Box::new(Framed::new(body, is_text)));
        }
        if let Some(origin) = self.allowed(&exchange.request) {
            expose(&mut answer.head, &origin, self.names(&origin));
        }
        Step::Next
    }
}

impl GrpcWeb {
    fn preflight(&self, request: &Head) -> Option<Reply> {
        let is_preflight = request.method() == "OPTIONS"
            && request.has("Access-Control-Request-Method")
            && request.lists("Access-Control-Request-Headers", "x-grpc-web");
        let origin = self.allowed(request).filter(|_| is_preflight)?;
        let mut reply = Reply::empty(200, reasons::CORS_PREFLIGHT);
        let head = &mut reply.head;
        let asked_for = request.get("Access-Control-Request-Headers").unwrap_or_default();
        head.add("Access-Control-Allow-Headers", asked_for);
        head.add("Access-Control-Allow-Methods", "POST");
        head.add("Access-Control-Max-Age", "600");
        allow(head, &origin, self.names(&origin));
        Some(reply)
    }

    /// The request's origin, where it may ask.
    fn allowed(&self, request: &Head) -> Option<String> {
        let origin = request.text_of("Origin").filter(|origin| !origin.is_empty())?;
        let is_allowed = self.names(origin) || self.allow_origins.iter().any(|one| one == "*");
        is_allowed.then(|| origin.to_owned())
    }

    /// Whether the origin is allowed by name: then, and then alone, with its user's cookies.
    fn names(&self, origin: &str) -> bool {
        self.allow_origins.iter().any(|one| one == origin)
    }
}

fn allow(head: &mut Head, origin: &str, with_credentials: bool) {
    head.set("Access-Control-Allow-Origin", origin);
    if with_credentials {
        head.set("Access-Control-Allow-Credentials", "true");
    }
    if !head.lists("Vary", "Origin") {
        head.add("Vary", "Origin");
    }
}

/// Scripts see all that there is.
fn expose(head: &mut Head, origin: &str, with_credentials: bool) {
    let mut names: Vec<String> = head.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
    names.extend(["grpc-status", "grpc-message"].map(str::to_owned));
    names.sort();
    names.dedup();
    head.set("Access-Control-Expose-Headers", names.join(", "));
    allow(head, origin, with_credentials);
}

/// Whether a content type is this one, whatever its format and parameters.
fn begins(kind: &str, with: &str) -> bool {
    let begins = kind.get(..with.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(with));
    begins && matches!(kind.as_bytes().get(with.len()), None | Some(b'+' | b';' | b' ' | b'-'))
}

#[cfg(test)]
mod tests;
