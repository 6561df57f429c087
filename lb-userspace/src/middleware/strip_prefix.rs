//! `stripPrefix`: takes a prefix off the path and tells it by `X-Forwarded-Prefix`.

use std::sync::Arc;

use super::{Kind, Surroundings, parts};
use crate::{
    config::decode::{At, object},
    model::Fault,
    proxy::{Exchange, Filter, Step},
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
        Some(Self { prefixes: parts::texts(&raw.value.prefixes) })
    }

    fn filter(&self, _: &Surroundings<'_>) -> Result<Arc<dyn Filter>, String> {
        Ok(Arc::new(self.clone()))
    }
}

impl Filter for StripPrefix {
    fn request<'a>(&'a self, exchange: &'a mut Exchange) -> Step<'a> {
        let path = exchange.request.path();
        if let Some(prefix) = self.prefixes.iter().find(|prefix| path.starts_with(prefix.as_str()))
        {
            strip(exchange, prefix);
        }
        Step::Next
    }
}

/// Takes a prefix off the path, which has it.
pub(super) fn strip(exchange: &mut Exchange, prefix: &str) {
    let rest = exchange.request.path().get(prefix.len()..).unwrap_or_default();
    let slash = if rest.starts_with('/') { "" } else { "/" };
    let path = format!("{slash}{rest}");
    exchange.request.add("X-Forwarded-Prefix", prefix);
    exchange.request.set_path(&path);
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
        ] {
            let filter = filter("stripPrefix: { prefixes: [/foobar, /fiibar], forceSlash: true }");
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
