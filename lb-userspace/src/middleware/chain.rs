//! `chain`: several middlewares under one name.

use std::sync::Arc;

use super::{Kind, Reference, Surroundings, parts};
use crate::{
    config::decode::{At, object},
    model::Fault,
    proxy::Filter,
};

object! {
    /// Its keys.
    pub(crate) struct Raw {
        middlewares: Vec<At<String>> = "middlewares",
    }
}

/// Its settings. Whoever makes a router's filters puts those in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    middlewares: Vec<String>,
}

impl Kind for Chain {
    type Raw = Raw;

    fn check(raw: &At<Raw>, faults: &mut Vec<Fault>) -> Option<Self> {
        raw.value.middlewares.required("middlewares", &raw.spot, faults)?;
        Some(Self { middlewares: parts::texts(&raw.value.middlewares) })
    }

    /// One that does nothing.
    fn filter(&self, _: &Surroundings<'_>) -> Result<Arc<dyn Filter>, String> {
        Ok(Arc::new(Nothing))
    }

    fn refers(&self) -> Vec<Reference> {
        self.middlewares.iter().cloned().map(Reference::Middleware).collect()
    }
}

struct Nothing;

impl Filter for Nothing {}

#[cfg(test)]
mod tests {
    use super::super::{
        Reference,
        testing::{fault, read},
    };

    #[test]
    fn it_refers_to_its_middlewares_in_their_order() {
        let settings = read("chain: { middlewares: [b, a@docker] }").unwrap();
        let named = ["b", "a@docker"].map(|name| Reference::Middleware(name.into()));
        assert_eq!(settings.refers(), named);
        assert_eq!(fault("chain: {}"), "chain: \"middlewares\" is missing");
    }
}
