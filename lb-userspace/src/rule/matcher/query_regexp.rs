//! ``QueryRegexp(`mobile`, `^(true|yes)$`)``: a parameter has a value in which the expression is
//! found; with a name alone, it stands there without a value.

use super::{Arguments, Kind, query::has};
use crate::rule::{facts::Facts, pattern::Pattern};

/// A parameter and its expression.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::rule) struct QueryRegexp(Box<str>, Option<Pattern>);

impl Kind for QueryRegexp {
    fn build(arguments: &Arguments<'_>) -> Result<Self, String> {
        let pattern = arguments.values.get(1).map(|text| Pattern::new(text)).transpose()?;
        Ok(Self(arguments.values[0].as_str().into(), pattern))
    }

    fn matches(&self, facts: &Facts<'_>) -> bool {
        has(facts, &self.0, |value| match &self.1 {
            Some(pattern) => pattern.matches(value),
            None => value.is_empty(),
        })
    }
}
