//! `addPrefix`: puts a prefix in front of the path.

use std::sync::Arc;

use super::{Kind, Surroundings};
use crate::{
    config::decode::{At, object},
    model::Fault,
    proxy::{Exchange, Filter, Step},
};

object! {
    /// Its keys.
    pub(crate) struct Raw {
        prefix: String = "prefix",
    }
}

/// Its settings, and the filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddPrefix {
    prefix: String,
}

impl Kind for AddPrefix {
    type Raw = Raw;

    fn check(raw: &At<Raw>, faults: &mut Vec<Fault>) -> Option<Self> {
        let prefix = raw.value.prefix.required("prefix", &raw.spot, faults)?;
        if prefix.value.is_empty() {
            faults.push(prefix.spot.fault("a prefix can't be empty"));
            return None;
        }
        let slash = if prefix.value.starts_with('/') { "" } else { "/" };
        Some(Self { prefix: format!("{slash}{}", prefix.value) })
    }

    fn filter(&self, _: &Surroundings<'_>) -> Result<Arc<dyn Filter>, String> {
        Ok(Arc::new(self.clone()))
    }
}

impl Filter for AddPrefix {
    fn request<'a>(&'a self, exchange: &'a mut Exchange) -> Step<'a> {
        let path = format!("{}{}", self.prefix, exchange.request.path());
        exchange.request.set_path(&path);
        Step::Next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prefix_stands_in_front_and_the_query_stays() {
        let mut exchange = Exchange::made_up("GET /a?b=c");
        let filter = AddPrefix { prefix: "/v1".into() };
        assert!(matches!(filter.request(&mut exchange), Step::Next));
        assert_eq!(exchange.request.target(), "/v1/a?b=c");
    }
}
