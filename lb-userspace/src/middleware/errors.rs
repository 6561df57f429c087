//! `errors`: a page of another service in place of an answer of some statuses.

use std::sync::Arc;

use super::{
    Ask, Kind, Reference, Surroundings,
    parts::{self, StatusRange, StatusRanges},
};
use crate::{
    config::{
        decode::{At, ByName, object},
        tree::quoted,
        values::Whole,
    },
    model::{Fault, Id, Protocol},
    proxy::{Body, Exchange, Filter, Head, Outcome, Step},
};

object! {
    /// Its keys.
    pub(crate) struct Raw {
        status: Vec<At<StatusRanges>> = "status",
        rewrites: ByName<Whole<200, 599>> = "statusRewrites",
        service: String = "service",
        query: String = "query",
    }
}

/// Its settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Errors {
    statuses: Vec<StatusRange>,
    rewrites: Vec<(StatusRange, u16)>,
    service: String,
    /// A path and query with variables.
    query: String,
}

impl Kind for Errors {
    type Raw = Raw;

    fn check(raw: &At<Raw>, faults: &mut Vec<Fault>) -> Option<Self> {
        let service = raw.value.service.required("service", &raw.spot, faults);
        let query = raw.value.query.or_default();
        let rewrites = raw.value.rewrites.get().map(|map| map.objects.as_slice());
        let mut ranges = Vec::new();
        for (name, at) in rewrites.unwrap_or_default() {
            match StatusRanges::parse(name) {
                Some(StatusRanges(all)) => {
                    ranges.extend(all.into_iter().map(|range| (range, at.value.u16())));
                }
                None => {
                    let name = quoted(name);
                    let message = format!("{name} is no status or range of them as \"502-504\"");
                    faults.push(at.spot.fault(message));
                }
            }
        }
        Some(Self {
            statuses: parts::statuses(&raw.value.status),
            rewrites: ranges,
            service: service?.value.clone(),
            query: if query.starts_with('/') { query } else { format!("/{query}") },
        })
    }

    fn filter(&self, surroundings: &Surroundings<'_>) -> Result<Arc<dyn Filter>, String> {
        Ok(Arc::new(Pages {
            service: Id::refer(Protocol::Http, &self.service, &surroundings.id.provider),
            ask: Arc::clone(&surroundings.ask),
            settings: self.clone(),
        }))
    }

    fn refers(&self) -> Vec<Reference> {
        vec![Reference::Service(self.service.clone())]
    }
}

struct Pages {
    settings: Errors,
    service: Id,
    ask: Arc<dyn Ask>,
}

impl Filter for Pages {
    fn response<'a>(&'a self, exchange: &'a mut Exchange) -> Step<'a> {
        let original = exchange.answer.head.status();
        let mut rewrites = self.settings.rewrites.iter();
        let rewritten = rewrites.find(|(range, _)| parts::has_status(&[*range], original));
        let status = rewritten.map_or(original, |(_, status)| *status);
        if !parts::has_status(&self.settings.statuses, original) {
            exchange.answer.head.set_status(status);
            return Step::Next;
        }
        let head = self.request(exchange, status, original);
        let request = Exchange::new(Arc::clone(&exchange.client), head, Body::Empty);
        Step::Wait(Box::pin(async move {
            let mut page = self.ask.service(&self.service, request).await;
            exchange.answer.head.set_status(status);
            // Where the page can't be had, the error is shown as it is.
            if page.reason.is_none() {
                page.head.set_status(status);
                page.reason = exchange.answer.reason;
                exchange.answer = page;
            }
            Outcome::Next
        }))
    }
}

/// Of the request that failed, and senseless in that for a page.
const ITS_OWN: [&str; 15] = [
    "Content-Length",
    "Content-Type",
    "Content-Encoding",
    "Transfer-Encoding",
    "Trailer",
    "Expect",
    "Connection",
    "Upgrade",
    "Range",
    "If-Range",
    "If-Match",
    "If-None-Match",
    "If-Modified-Since",
    "If-Unmodified-Since",
    "TE",
];

impl Pages {
    fn request(&self, exchange: &Exchange, status: u16, original: u16) -> Head {
        let scheme = parts::scheme_of(exchange);
        let authority = parts::authority_of(exchange);
        let url = format!("{scheme}://{authority}{}", exchange.request.target());
        let query = self.settings.query.replace("{status}", &status.to_string());
        let query = query.replace("{originalStatus}", &original.to_string());
        let query = query.replace("{url}", &parts::query_escape(&url));
        let method = if exchange.request.method() == "HEAD" { "HEAD" } else { "GET" };
        let mut head = Head::request(method, &query);
        for (name, value) in exchange.request.iter() {
            if !ITS_OWN.iter().any(|own| own.eq_ignore_ascii_case(name)) {
                head.add(name, value);
            }
        }
        head
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::{
        middleware::testing::{fault, filter_with, read, response},
        proxy::{Answer, Reply, Wait},
    };

    /// Answers with a page of 200, or can't; keeps what it was asked for.
    #[derive(Default)]
    struct Asked {
        is_down: bool,
        seen: Mutex<Vec<(String, Vec<String>)>>,
    }

    impl Ask for Asked {
        fn service<'a>(&'a self, service: &'a Id, request: Exchange) -> Wait<'a, Answer> {
            let head = &request.request;
            let line = format!("{service} {} {}", head.method(), head.target());
            let names = head.iter().map(|(name, _)| name.to_owned()).collect();
            self.seen.lock().unwrap().push((line, names));
            Box::pin(async move {
                if self.is_down {
                    return Reply::text(502, "no_server", "Bad Gateway").into();
                }
                let mut head = Head::response(200);
                head.add("Content-Type", "text/html");
                Answer { head, body: Body::Full("page".into()), reason: None }
            })
        }
    }

    fn out(asked: &Arc<Asked>, keys: &str, lines: &str, status: u16) -> Exchange {
        let ask: Arc<dyn Ask> = asked.clone();
        let filter = filter_with(&format!("errors: {{ {keys} }}"), ask);
        let mut exchange = Exchange::made_up(lines);
        exchange.answer = Reply::text(status, "why", "theirs").into();
        assert!(response(&*filter, &mut exchange).is_none());
        exchange
    }

    const KEYS: &str = "status: ['500', 503-504], service: pages@docker, \
                        query: '/{status}.html?was={originalStatus}&url={url}', \
                        statusRewrites: { '418': 404, 504: '500' }";
    const REQUEST: &str =
        "POST /x?y=z\nHost: a.example\nCookie: c=d\nContent-Type: a/b\nIf-None-Match: x";

    #[test]
    fn a_page_stands_in_for_the_error() {
        for (status, shown, asked_for) in [
            (500, 500, Some("/500.html?was=500&url=http%3A%2F%2Fa.example%2Fx%3Fy%3Dz")),
            (504, 500, Some("/500.html?was=504&url=http%3A%2F%2Fa.example%2Fx%3Fy%3Dz")),
            (501, 501, None),
            (418, 404, None),
            (200, 200, None),
        ] {
            let asked = Arc::new(Asked::default());
            let exchange = out(&asked, KEYS, REQUEST, status);
            let answer = &exchange.answer;
            assert_eq!((answer.head.status(), answer.reason), (shown, Some("why")), "{status}");
            let is_page = answer.head.text_of("Content-Type") == Some("text/html");
            assert_eq!(is_page, asked_for.is_some(), "{status}");
            let seen = asked.seen.lock().unwrap();
            let expected = asked_for.map(|path| format!("http/pages@docker GET {path}"));
            assert_eq!(seen.first().map(|(line, _)| line.clone()), expected);
            assert!(seen.iter().all(|(_, names)| *names == ["Host", "Cookie"]), "{seen:?}");
        }
    }

    #[test]
    fn where_no_page_is_to_be_had_the_error_stays() {
        let asked = Arc::new(Asked { is_down: true, ..Asked::default() });
        let exchange = out(&asked, KEYS, "GET /", 504);
        assert_eq!(exchange.answer.head.status(), 500);
        assert!(matches!(&exchange.answer.body, Body::Full(body) if &body[..] == b"theirs\n"));
    }

    #[test]
    fn it_refers_to_its_service() {
        let settings = read("errors: { status: 500, service: pages }").unwrap_err();
        assert!(settings[0].contains("expected a list"), "{settings:?}");
        let settings = read("errors: { status: [500], service: pages }").unwrap();
        assert_eq!(settings.refers(), [Reference::Service("pages".into())]);
        assert_eq!(fault("errors: { status: [500] }"), "errors: \"service\" is missing");
        assert!(
            fault("errors: { service: a, statusRewrites: { 4xx: 400 } }").contains("no status")
        );
    }
}
