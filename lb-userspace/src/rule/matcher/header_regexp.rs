//! ``HeaderRegexp(`Content-Type`, `^application/`)``: a field has a value in which the expression is
//! found; in v2 `HeadersRegexp`, with any number of names and expressions that all have to be found.

use super::{Arguments, Kind, header::field};
use crate::rule::{facts::Facts, pattern::Pattern};

/// Fields with their expressions.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::rule) struct HeaderRegexp(Vec<(Box<str>, Pattern)>);

impl Kind for HeaderRegexp {
    fn build(arguments: &Arguments<'_>) -> Result<Self, String> {
        arguments.pairs(|name, value| Ok((field(name)?, Pattern::new(value)?))).map(Self)
    }

    fn matches(&self, facts: &Facts<'_>) -> bool {
        let has = |(name, pattern): &(Box<str>, Pattern)| {
            facts.subject.header(name, &mut |value| pattern.matches(value))
        };
        self.0.iter().all(has)
    }
}
