//! `contentType`: names the type of an answer whose server didn't, by its first bytes.

use std::sync::Arc;

use super::{Kind, Surroundings, sniff, streams::Peek};
use crate::{
    config::decode::{At, object},
    model::Fault,
    proxy::{Exchange, Filter, Outcome, Step},
};

object! {
    /// Its keys.
    pub(crate) struct Raw {
        auto_detect: bool = "autoDetect",
    }
}

/// Its settings, and the filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContentType {
    /// Whether it does anything. Default true.
    auto_detect: bool,
}

impl Kind for ContentType {
    type Raw = Raw;

    fn check(raw: &At<Raw>, _: &mut Vec<Fault>) -> Option<Self> {
        Some(Self { auto_detect: raw.value.auto_detect.or(true) })
    }

    fn filter(&self, _: &Surroundings<'_>) -> Result<Arc<dyn Filter>, String> {
        Ok(Arc::new(self.clone()))
    }
}

impl Filter for ContentType {
    fn response<'a>(&'a self, exchange: &'a mut Exchange) -> Step<'a> {
        let head = &exchange.answer.head;
        let has_body = exchange.request.method() != "HEAD"
            && !matches!(head.status(), 100..=199 | 204 | 304)
            && exchange.answer.body.length() != Some(0);
        if !self.auto_detect
            || !has_body
            || head.has("Content-Type")
            || head.has("Content-Encoding")
        {
            return Step::Next;
        }
        Step::Wait(Box::pin(async move {
            name_type(exchange).await;
            Outcome::Next
        }))
    }
}

/// Waits for the first bytes alone: more may be long in coming.
pub(super) async fn name_type(exchange: &mut Exchange) {
    let answer = &mut exchange.answer;
    let mut peek = Peek::new();
    std::future::poll_fn(|cx| peek.poll(&mut answer.body, 1, cx)).await;
    let found = (peek.length > 0).then(|| sniff::content_type(&peek.bytes(sniff::LENGTH)));
    if let Some(found) = found {
        answer.head.set("Content-Type", found);
    }
    peek.put_back(&mut answer.body);
}

#[cfg(test)]
mod tests {
    use super::super::{
        streams::tests::parts,
        testing::{block_on, filter, response},
    };
    use crate::proxy::{Body, Exchange, Head};

    fn named(yaml: &str, lines: &str, head: &[(&str, &str)], body: Body) -> Option<String> {
        let mut exchange = Exchange::made_up(lines);
        exchange.answer.head = Head::response(200);
        head.iter().for_each(|(name, value)| exchange.answer.head.add(name, value));
        exchange.answer.body = body;
        assert!(response(&*filter(yaml), &mut exchange).is_none());
        let named = exchange.answer.head.text_of("Content-Type").map(str::to_owned);
        if lines.starts_with("GET") {
            let body = block_on(exchange.answer.body.collect(100)).unwrap().0;
            assert!(body.is_empty() || &body[..] == b"<html>hello", "the body is whole");
        }
        named
    }

    #[test]
    fn a_type_is_named_where_there_is_none() {
        let html = || parts([None, Some(b"<html>"), Some(b"hello")]);
        let full = || Body::Full("<html>hello".into());
        let on = "contentType: {}";
        let text = Some("text/html; charset=utf-8");
        for (yaml, lines, head, body, kind) in [
            (on, "GET /", &[][..], html(), text),
            (on, "GET /", &[], full(), text),
            ("contentType: { autoDetect: true }", "GET /", &[], full(), text),
            ("contentType: { autoDetect: false }", "GET /", &[], full(), None),
            (on, "GET /", &[("Content-Type", "a/b")], full(), Some("a/b")),
            (on, "GET /", &[("Content-Encoding", "gzip")], full(), None),
            (on, "HEAD /", &[], full(), None),
            (on, "GET /", &[], Body::Empty, None),
            (on, "GET /", &[], parts([None]), None),
        ] {
            let found = named(yaml, lines, head, body);
            assert_eq!(found.as_deref(), kind, "{yaml} {lines} {head:?}");
        }
    }
}
