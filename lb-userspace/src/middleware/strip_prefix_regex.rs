//! `stripPrefixRegex`: takes off the path what a regular expression finds at its beginning.

use std::sync::Arc;

use super::{
    Kind, Surroundings,
    parts::{self, Pattern},
    strip_prefix::strip,
};
use crate::{
    config::decode::{At, object},
    model::Fault,
    proxy::{Exchange, Filter, Step},
    rule::routing_path,
};

object! {
    /// Its keys.
    pub(crate) struct Raw {
        regex: Vec<At<String>> = "regex",
    }
}

/// Its settings, and the filter.
#[derive(Clone, Debug, PartialEq)]
pub struct StripPrefixRegex {
    regex: Vec<Pattern>,
}

impl Kind for StripPrefixRegex {
    type Raw = Raw;

    fn check(raw: &At<Raw>, faults: &mut Vec<Fault>) -> Option<Self> {
        raw.value.regex.required("regex", &raw.spot, faults)?;
        let before = faults.len();
        let regex = parts::patterns(&raw.value.regex, faults);
        (faults.len() == before).then_some(Self { regex })
    }

    fn filter(&self, _: &Surroundings<'_>) -> Result<Arc<dyn Filter>, String> {
        Ok(Arc::new(self.clone()))
    }
}

impl Filter for StripPrefixRegex {
    fn request<'a>(&'a self, exchange: &'a mut Exchange) -> Step<'a> {
        let path = routing_path(exchange.request.path());
        let found = self.regex.iter().find_map(|regex| {
            let found = regex.0.find(&path).filter(|found| !found.is_empty())?;
            path.strip_prefix(found.as_str())
                .map(|rest| (found.as_str().to_owned(), rest.to_owned()))
        });
        if let Some((prefix, rest)) = found {
            strip(exchange, &prefix, &rest);
        }
        Step::Next
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{filter, read, request};
    use crate::proxy::Exchange;

    #[test]
    fn what_is_found_at_the_beginning_is_taken_off() {
        for (from, to, prefix) in [
            ("/foo/123/a?x=1", "/a?x=1", Some("/foo/123")),
            ("/foo/abc/a", "/foo/abc/a", None),
            ("/a/api/v1/b", "/a/api/v1/b", None),
            ("/api/v1/b", "/b", Some("/api/v1")),
            ("/api/v1", "/", Some("/api/v1")),
            ("/%61pi/v1/b%20c", "/b%20c", Some("/api/v1")),
            // A line break in the path stays out of the header.
            ("/x/%0d%0aA:b/c", "/c", Some("/x/%0D%0AA:b")),
        ] {
            let filter =
                filter("stripPrefixRegex: { regex: ['^/foo/[0-9]+', '/api/v[0-9]', '^/x/[^/]+'] }");
            let mut exchange = Exchange::made_up(&format!("GET {from}"));
            assert!(request(&*filter, &mut exchange).is_none());
            assert_eq!(exchange.request.target(), to, "{from}");
            assert_eq!(exchange.request.text_of("X-Forwarded-Prefix"), prefix, "{from}");
        }
    }

    #[test]
    fn every_faulty_expression_is_told() {
        assert_eq!(read("stripPrefixRegex: { regex: ['(', ok, '['] }").unwrap_err().len(), 2);
    }
}
