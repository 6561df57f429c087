//! Cross-origin resource sharing (Fetch, §3.2).

use super::{Raw, parts};
use crate::{
    middleware::{parts::Pattern, reasons},
    model::Fault,
    proxy::{Exchange, Head, Reply},
};

/// `accessControl…` and `addVaryHeader`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Cors {
    allow_credentials: bool,
    allow_headers: String,
    allow_methods: String,
    origins: Vec<String>,
    origin_patterns: Vec<Pattern>,
    expose_headers: String,
    max_age: u64,
    add_vary: bool,
}

impl Cors {
    /// `None` where nothing of it is configured.
    pub(super) fn check(raw: &Raw, faults: &mut Vec<Fault>) -> Option<Self> {
        let mut list = |field| {
            let is_name = |name: &str| name == "*" || parts::is_token(name);
            let texts = parts::texts(field);
            if let (Some(bad), Some(at)) = (texts.iter().find(|name| !is_name(name)), field.at()) {
                faults.push(at.spot.fault(format!("{bad:?} is no name of a header or method")));
            }
            texts.join(",")
        };
        let cors = Self {
            allow_credentials: raw.allow_credentials.or_default(),
            allow_headers: list(&raw.allow_headers),
            allow_methods: list(&raw.allow_methods),
            expose_headers: list(&raw.expose_headers),
            origins: parts::texts(&raw.allow_origins),
            origin_patterns: parts::patterns(&raw.allow_origin_patterns, faults),
            max_age: raw.max_age.get().and_then(|n| u64::try_from(n.0).ok()).unwrap_or(0),
            add_vary: raw.add_vary.or_default(),
        };
        cors.says_something().then_some(cors)
    }

    fn says_something(&self) -> bool {
        let lists = [&self.allow_headers, &self.allow_methods, &self.expose_headers];
        self.allow_credentials
            || self.add_vary
            || self.max_age > 0
            || lists.iter().any(|list| !list.is_empty())
            || !self.origins.is_empty()
            || !self.origin_patterns.is_empty()
    }

    /// The answer to a preflight request; no server sees it.
    pub(super) fn preflight(&self, request: &Head) -> Option<Reply> {
        let origin = request.text_of("Origin")?;
        if request.method() != "OPTIONS" || !request.has("Access-Control-Request-Method") {
            return None;
        }
        let mut reply = Reply::empty(200, reasons::CORS_PREFLIGHT);
        let head = &mut reply.head;
        if self.allow_credentials {
            head.add("Access-Control-Allow-Credentials", "true");
        }
        for (name, list) in [
            ("Access-Control-Allow-Headers", &self.allow_headers),
            ("Access-Control-Allow-Methods", &self.allow_methods),
        ] {
            if !list.is_empty() {
                head.add(name, list);
            }
        }
        if let Some(allowed) = self.allowed(origin) {
            head.add("Access-Control-Allow-Origin", allowed);
        }
        head.add("Access-Control-Max-Age", self.max_age.to_string());
        Some(reply)
    }

    /// What the answer says to the origin.
    pub(super) fn answer(&self, exchange: &mut Exchange) {
        let head = &mut exchange.answer.head;
        let origin = exchange.request.text_of("Origin").unwrap_or_default();
        if let Some(allowed) = self.allowed(origin) {
            head.set("Access-Control-Allow-Origin", allowed);
        }
        if self.allow_credentials {
            head.set("Access-Control-Allow-Credentials", "true");
        }
        if !self.expose_headers.is_empty() {
            head.set("Access-Control-Expose-Headers", &self.expose_headers);
        }
        if self.add_vary && !head.lists("Vary", "Origin") {
            head.add("Vary", "Origin");
        }
    }

    /// The value of `Access-Control-Allow-Origin`.
    fn allowed<'a>(&'a self, origin: &'a str) -> Option<&'a str> {
        let listed = self.origins.iter().find(|one| *one == "*" || *one == origin);
        let matches = || self.origin_patterns.iter().any(|pattern| pattern.0.is_match(origin));
        match listed {
            Some(one) => Some(one.as_str()).filter(|one| !one.is_empty()),
            None if !origin.is_empty() && matches() => Some(origin),
            None => None,
        }
    }
}
