//! ``ALPN(`postgresql`)``: a protocol that the client offers (RFC 7301).

use super::{Arguments, Kind};
use crate::rule::facts::Facts;

/// Challenges of ACME are answered before any router (RFC 8737).
const ACME: &str = "acme-tls/1";

/// Any of some protocols.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::rule) struct Alpn(Vec<Box<str>>);

impl Kind for Alpn {
    fn build(arguments: &Arguments<'_>) -> Result<Self, String> {
        let make = |value: &str| match value {
            "" => Err("a protocol has a name".to_owned()),
            ACME => Err(format!("{ACME:?} is not for routers to take")),
            value => Ok(value.into()),
        };
        arguments.each(make).map(Self)
    }

    fn matches(&self, facts: &Facts<'_>) -> bool {
        self.0.iter().any(|protocol| facts.subject.offers(protocol.as_bytes()))
    }
}
