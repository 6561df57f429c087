//! ``Method(`GET`)``. Methods know case (RFC 9110 §9.1); that of the rule doesn't matter, as in
//! Traefik.

use super::{Arguments, Kind};
use crate::rule::facts::Facts;

/// Any of some methods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::rule) struct Method(Vec<Box<str>>);

impl Kind for Method {
    fn build(arguments: &Arguments<'_>) -> Result<Self, String> {
        let make = |value: &str| {
            if value.is_empty() || !value.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err(format!("{value:?} is not a method"));
            }
            Ok(value.to_ascii_uppercase().into())
        };
        arguments.each(make).map(Self)
    }

    fn matches(&self, facts: &Facts<'_>) -> bool {
        self.0.iter().any(|method| **method == *facts.subject.method())
    }
}
