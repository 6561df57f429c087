//! `stripPrefix`: takes a prefix off the path and tells it by `X-Forwarded-Prefix`.

use std::sync::Arc;

use super::{Kind, Surroundings, parts};
use crate::{
    config::decode::{At, object},
    model::Fault,
    proxy::{Exchange, Filter, Step},
    rule::routing_path,
};

object! {
    /// Its keys.
    pub(crate) struct Raw {
        prefixes: Vec<At<String>> = "prefixes",
        force_slash: bool = "forceSlash",
    }
}

/// Its settings, and the filter. `forceSlash` (of Traefik's v2) is taken and says nothing: a path
/// begins with `/` whatever is taken off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StripPrefix {
    prefixes: Vec<String>,
}

impl Kind for StripPrefix {
    type Raw = Raw;

    fn check(raw: &At<Raw>, faults: &mut Vec<Fault>) -> Option<Self> {
        let prefixes = raw.value.prefixes.required("prefixes", &raw.spot, faults)?;
        for at in prefixes.value.iter().filter(|at| at.value.trim().is_empty()) {
            faults.push(at.spot.fault("a prefix can't be empty"));
        }
        let prefixes = parts::texts(&raw.value.prefixes);
        Some(Self { prefixes: prefixes.iter().map(|one| routing_path(one).into_owned()).collect() })
    }

    fn filter(&self, _: &Surroundings<'_>) -> Result<Arc<dyn Filter>, String> {
        Ok(Arc::new(self.clone()))
    }
}

impl Filter for StripPrefix {
    fn request<'a>(&'a self, exchange: &'a mut Exchange) -> Step<'a> {
        let path = routing_path(exchange.request.path());
        let mut fitting = self.prefixes.iter().filter(|prefix| path.starts_with(prefix.as_str()));
        if let Some(prefix) = fitting.next() {
            let rest = path[prefix.len()..].to_owned();
            strip(exchange, prefix, &rest);
        }
        Step::Next
    }
}

/// The rest of the path behind a prefix becomes the path. Both are as rules see them.
pub(super) fn strip(exchange: &mut Exchange, prefix: &str, rest: &str) {
    exchange.request.add("X-Forwarded-Prefix", parts::to_path(prefix));
    exchange.request.set_path(&parts::to_path(rest));
}

#[cfg(test)]
mod tests {
    use super::super::testing::{fault, filter, request};
    use crate::proxy::Exchange;

    #[test]
    fn the_first_prefix_that_fits_is_taken_off() {
        for (from, to, prefix) in [
            ("/foobar/a?x=1", "/a?x=1", Some("/foobar")),
            ("/foobar", "/", Some("/foobar")),
            ("/foobar/", "/", Some("/foobar")),
            ("/foobarbaz", "/baz", Some("/foobar")),
            ("/fiibar/a", "/a", Some("/fiibar")),
            ("/other", "/other", None),
            ("/a/foobar", "/a/foobar", None),
            // As the rule saw it, whatever was escaped.
            ("/f%6Fobar/a%20b%2Fc", "/a%20b%2Fc", Some("/foobar")),
            ("/a%20b/c", "/c", Some("/a%20b")),
            ("/a%2Fb", "/a%2Fb", None),
        ] {
            let filter = filter(
                "stripPrefix: { prefixes: [/foobar, /fiibar, /a b, /a/b], forceSlash: true }",
            );
            let mut exchange = Exchange::made_up(&format!("GET {from}"));
            assert!(request(&*filter, &mut exchange).is_none());
            assert_eq!(exchange.request.target(), to, "{from}");
            assert_eq!(exchange.request.text_of("X-Forwarded-Prefix"), prefix, "{from}");
        }
    }

    #[test]
    fn prefixes_are_needed() {
        assert_eq!(fault("stripPrefix: {}"), "stripPrefix: \"prefixes\" is missing");
        let empty = fault("stripPrefix: { prefixes: [\"\"] }");
        assert_eq!(empty, "stripPrefix.prefixes[0]: a prefix can't be empty");
    }
}
