//! `replacePathRegex`: the path rewritten by a regular expression.

use std::sync::Arc;

use super::{
    Kind, Surroundings,
    parts::{self, Pattern},
    replace_path::replace,
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
        regex: String = "regex",
        replacement: String = "replacement",
    }
}

/// Its settings, and the filter.
#[derive(Clone, Debug, PartialEq)]
pub struct ReplacePathRegex {
    regex: Pattern,
    replacement: String,
}

impl Kind for ReplacePathRegex {
    type Raw = Raw;

    fn check(raw: &At<Raw>, faults: &mut Vec<Fault>) -> Option<Self> {
        let regex = raw.value.regex.required("regex", &raw.spot, faults);
        let replacement = raw.value.replacement.required("replacement", &raw.spot, faults);
        let regex = regex.and_then(|at| Pattern::check(at, faults))?;
        Some(Self { regex, replacement: replacement?.value.trim().to_owned() })
    }

    fn filter(&self, _: &Surroundings<'_>) -> Result<Arc<dyn Filter>, String> {
        Ok(Arc::new(self.clone()))
    }
}

impl Filter for ReplacePathRegex {
    fn request<'a>(&'a self, exchange: &'a mut Exchange) -> Step<'a> {
        let path = routing_path(exchange.request.path());
        if self.regex.0.is_match(&path) {
            let new = self.regex.0.replace_all(&path, self.replacement.as_str());
            let new = parts::to_path(&new);
            replace(exchange, &new);
        }
        Step::Next
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{fault, filter, request};
    use crate::proxy::Exchange;

    #[test]
    fn the_path_is_rewritten_where_it_matches() {
        for (regex, replacement, from, to) in [
            ("^/foo/(.*)", "/bar/$1", "/foo/a?x=1", "/bar/a?x=1"),
            ("^/foo/(.*)", "/bar/${1}z", "/foo/a", "/bar/az"),
            ("^/foo/(.*)", "/bar/$1", "/fo/a", "/fo/a"),
            ("^(?i)/(?P<v>v[0-9]+)/", "/api/${v}/", "/V2/users", "/api/V2/users"),
            ("/a", "b?c", "/a", "/b%3Fc"),
            ("^/foo/(.*)", "/bar/$1", "/f%6Fo/a%20b%2Fc", "/bar/a%20b%2Fc"),
        ] {
            let yaml =
                format!("replacePathRegex: {{ regex: '{regex}', replacement: '{replacement}' }}");
            let mut exchange = Exchange::made_up(&format!("GET {from}"));
            assert!(request(&*filter(&yaml), &mut exchange).is_none());
            assert_eq!(exchange.request.target(), to, "{regex}");
            assert_eq!(exchange.request.has("X-Replaced-Path"), from != to, "{regex}");
        }
    }

    #[test]
    fn what_is_no_expression_is_told() {
        let told = fault("replacePathRegex: { regex: '(', replacement: x }");
        assert!(
            told.starts_with("replacePathRegex.regex: \"(\" is no regular expression"),
            "{told}"
        );
    }
}
