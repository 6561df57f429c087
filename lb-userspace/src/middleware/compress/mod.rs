//! `compress`: gzip, brotli or zstd, as the client likes and the content allows.

mod accept;
mod encoder;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub(crate) use accept::Encoding;
use encoder::Compressed;

use super::{Kind, Surroundings, content_type::name_type, parts};
use crate::{
    config::{
        decode::{At, Cx, Decode, Fields, object},
        tree::{Node, Value},
        values::Whole,
    },
    model::Fault,
    proxy::{Body, Exchange, Filter, Head, Outcome, Step},
};

object! {
    /// Its keys.
    pub(crate) struct Keys {
        excluded: Vec<At<String>> = "excludedContentTypes",
        included: Vec<At<String>> = "includedContentTypes",
        least: Whole<0, { i64::MAX }> = "minResponseBodyBytes",
        encodings: Vec<At<Encoding>> = "encodings",
        default: Encoding = "defaultEncoding",
    }
}

/// Its keys, or `true`, as labels have it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Raw(Keys);

impl Decode for Raw {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        let said = match &node.value {
            Value::Bool(said) => Some(*said),
            Value::Text(text) if text.eq_ignore_ascii_case("true") => Some(true),
            Value::Text(text) if text.eq_ignore_ascii_case("false") => Some(false),
            Value::Text(text) if text.is_empty() => Some(true),
            _ => None,
        };
        match said {
            Some(true) => Some(Self::default()),
            Some(false) => {
                cx.fault(node, "a middleware is there or not: leave it out in place of `false`");
                None
            }
            None if matches!(node.value, Value::Map(_) | Value::Null) => {
                Keys::decode(node, cx).map(Self)
            }
            None => {
                let _ = Fields::of(node, cx);
                None
            }
        }
    }
}

/// Its settings, and the filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compress {
    excluded: Vec<String>,
    /// Empty for all that aren't excluded.
    included: Vec<String>,
    least: u64,
    /// The one liked most first.
    encodings: Vec<Encoding>,
    default: Option<Encoding>,
}

const LEAST: u64 = 1024;
/// Streams by frames of its own, each compressed or not.
const GRPC: &str = "application/grpc";

impl Kind for Compress {
    type Raw = Raw;

    fn check(raw: &At<Raw>, faults: &mut Vec<Fault>) -> Option<Self> {
        let Keys { excluded, included, least, encodings, default } = &raw.value.0;
        if let (Some(_), Some(at)) = (excluded.get(), included.at()) {
            let message = "either `includedContentTypes` or `excludedContentTypes`, not both";
            faults.push(at.spot.fault(message));
        }
        let media = |field| parts::texts(field).iter().map(|text| media_type(text)).collect();
        let mut wanted = Encoding::ALL.to_vec();
        if let Some(at) = encodings.at() {
            if at.value.is_empty() {
                faults.push(at.spot.fault("name one encoding at least"));
            }
            wanted = at.value.iter().map(|at| at.value).collect();
        }
        Some(Self {
            excluded: media(excluded),
            included: media(included),
            least: least.get().map_or(LEAST, |n| u64::try_from(n.0).unwrap_or(0)),
            encodings: wanted,
            default: default.get().copied(),
        })
    }

    fn filter(&self, _: &Surroundings<'_>) -> Result<Arc<dyn Filter>, String> {
        Ok(Arc::new(self.clone()))
    }
}

impl Filter for Compress {
    fn response<'a>(&'a self, exchange: &'a mut Exchange) -> Step<'a> {
        if !self.may_compress(exchange) {
            return Step::Next;
        }
        if exchange.answer.head.has("Content-Type") {
            self.compress(exchange);
            return Step::Next;
        }
        Step::Wait(Box::pin(async move {
            name_type(exchange).await;
            self.compress(exchange);
            Outcome::Next
        }))
    }
}

impl Compress {
    /// Whether the answer is of a kind that can be compressed, its type aside.
    fn may_compress(&self, exchange: &Exchange) -> bool {
        let head = &exchange.answer.head;
        let is_short = |length| length == 0 || length < self.least;
        exchange.request.method() != "HEAD"
            && !matches!(head.status(), 100..=199 | 204 | 206 | 304)
            && !head.has("Content-Encoding")
            && !head.has("Content-Range")
            && !head.lists("Cache-Control", "no-transform")
            && !exchange.answer.body.length().is_some_and(is_short)
            && !self.is_excluded(&exchange.request)
    }

    /// By the request's own type, gRPC above all.
    fn is_excluded(&self, request: &Head) -> bool {
        let Some(media) = request.text_of("Content-Type").map(media_type) else { return false };
        media.starts_with(GRPC) || self.excluded.contains(&media)
    }

    fn is_wanted(&self, media: &str) -> bool {
        let is = |list: &[String]| list.iter().any(|one| one == media);
        !media.starts_with(GRPC)
            && !is(&self.excluded)
            && (self.included.is_empty() || is(&self.included))
    }

    fn compress(&self, exchange: &mut Exchange) {
        let head = &mut exchange.answer.head;
        let media = head.text_of("Content-Type").map(media_type).unwrap_or_default();
        if !self.is_wanted(&media) {
            return;
        }
        // Caches must know, whichever way this one goes.
        if !head.lists("Vary", "Accept-Encoding") {
            head.add("Vary", "Accept-Encoding");
        }
        let Some(encoding) = accept::choose(&exchange.request, &self.encodings, self.default)
        else {
            return;
        };
        head.set("Content-Encoding", encoding.name());
        head.remove("Content-Length");
        head.remove("Accept-Ranges");
        weaken(head);
        let body = std::mem::take(&mut exchange.answer.body);
        exchange.answer.body = match body {
            Body::Full(bytes) => encoder::whole(encoding, &bytes),
            body => Body::Stream(Box::new(Compressed::new(encoding, body))),
        };
    }
}

/// Other bytes than the server's have an ETag of their own (RFC 9110 §8.8.1): a weak one says so.
fn weaken(head: &mut Head) {
    let strong = head.text_of("ETag").filter(|etag| etag.starts_with('"'));
    if let Some(weak) = strong.map(|etag| format!("W/{etag}")) {
        head.set("ETag", weak);
    }
}

/// Without parameters, in lower case.
fn media_type(text: &str) -> String {
    text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}
