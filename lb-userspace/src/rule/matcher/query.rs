//! ``Query(`mobile`, `true`)``: a parameter has this value; ``Query(`mobile`)``: it stands there
//! without one. In v2 ``Query(`mobile=true`)``, any number of times, an empty value standing for any.

use super::{Arguments, Kind};
use crate::rule::{
    facts::Facts,
    pattern::{Pattern, has_braces},
    percent::pairs,
};

/// Parameters that all have to be there.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::rule) struct Query(Vec<(Box<str>, Value)>);

#[derive(Clone, Debug, PartialEq)]
enum Value {
    Any,
    Exact(Box<str>),
    /// v2's.
    Template(Pattern),
}

impl Kind for Query {
    fn build(arguments: &Arguments<'_>) -> Result<Self, String> {
        if arguments.is_v2() {
            return v2(arguments).map(Self);
        }
        let name = &arguments.values[0];
        let value = arguments.values.get(1).map_or("", String::as_str);
        if arguments.syntax == crate::rule::Syntax::Auto && name.contains('=') {
            return Err(format!("{name:?} has name and value in one, which v3 takes apart"));
        }
        arguments.no_template(value)?;
        Ok(Self(vec![(name.as_str().into(), Value::Exact(value.into()))]))
    }

    fn matches(&self, facts: &Facts<'_>) -> bool {
        self.0.iter().all(|(name, wanted)| {
            has(facts, name, |value| match wanted {
                Value::Any => true,
                Value::Exact(wanted) => wanted.as_bytes() == value,
                Value::Template(template) => template.matches(value),
            })
        })
    }
}

impl Value {
    fn v2(text: &str) -> Result<Self, String> {
        Ok(match text {
            "" => Self::Any,
            text if has_braces(text) => Self::Template(Pattern::of_value_template(text)?),
            text => Self::Exact(text.into()),
        })
    }
}

/// Whether a parameter has a value that passes.
pub(super) fn has(facts: &Facts<'_>, name: &str, mut passes: impl FnMut(&[u8]) -> bool) -> bool {
    let query = facts.subject.query().unwrap_or_default();
    pairs(query).any(|(key, value)| *key == *name.as_bytes() && passes(&value))
}

fn v2(arguments: &Arguments<'_>) -> Result<Vec<(Box<str>, Value)>, String> {
    let parts: Vec<&str> = arguments.values.iter().flat_map(|value| value.splitn(2, '=')).collect();
    let (pairs, rest) = parts.as_chunks::<2>();
    if let [name] = rest {
        return Err(format!("{name:?} lacks its value, as in `mobile=true`"));
    }
    pairs.iter().map(|[name, text]| Ok(((*name).into(), Value::v2(text)?))).collect()
}
