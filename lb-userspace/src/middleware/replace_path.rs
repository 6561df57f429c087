//! `replacePath`: another path in place of the request's, which `X-Replaced-Path` tells.

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
        path: String = "path",
    }
}

/// Its settings, and the filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplacePath {
    path: String,
}

impl Kind for ReplacePath {
    type Raw = Raw;

    fn check(raw: &At<Raw>, faults: &mut Vec<Fault>) -> Option<Self> {
        let path = raw.value.path.required("path", &raw.spot, faults)?;
        Some(Self { path: parts::to_path(&path.value) })
    }

    fn filter(&self, _: &Surroundings<'_>) -> Result<Arc<dyn Filter>, String> {
        Ok(Arc::new(self.clone()))
    }
}

impl Filter for ReplacePath {
    fn request<'a>(&'a self, exchange: &'a mut Exchange) -> Step<'a> {
        replace(exchange, &self.path);
        Step::Next
    }
}

/// Replaces the path, and keeps the old one as a header.
pub(super) fn replace(exchange: &mut Exchange, path: &str) {
    let old = exchange.request.path().to_owned();
    exchange.request.set("X-Replaced-Path", old);
    exchange.request.set_path(path);
}

#[cfg(test)]
mod tests {
    use super::super::testing::{fault, filter, request};
    use crate::proxy::Exchange;

    #[test]
    fn the_path_is_another_and_the_query_stays() {
        for (path, target) in [("/foo", "/foo?q=1"), ("foo bar", "/foo%20bar?q=1")] {
            let mut exchange = Exchange::made_up("GET /old/path?q=1\nX-Replaced-Path: lie");
            let filter = filter(&format!("replacePath: {{ path: \"{path}\" }}"));
            assert!(request(&*filter, &mut exchange).is_none());
            assert_eq!(exchange.request.target(), target);
            let told: Vec<_> = exchange.request.values("X-Replaced-Path").collect();
            assert_eq!(told, [b"/old/path"]);
        }
    }

    #[test]
    fn the_path_is_needed() {
        assert_eq!(fault("replacePath: {}"), "replacePath: \"path\" is missing");
    }
}
