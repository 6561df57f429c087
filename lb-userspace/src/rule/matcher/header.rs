//! ``Header(`X-Version`, `2`)``: a field has this very value; in v2 `Headers`, with any number of
//! names and values that all have to be there, an empty value standing for any.

use super::{Arguments, Kind};
use crate::rule::facts::Facts;

/// Fields with their values, `None` for any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::rule) struct Header(Vec<(Box<str>, Option<Box<str>>)>);

impl Kind for Header {
    fn build(arguments: &Arguments<'_>) -> Result<Self, String> {
        let make = |name: &str, value: &str| {
            let any = arguments.is_v2() && value.is_empty();
            Ok((field(name)?, (!any).then(|| value.into())))
        };
        arguments.pairs(make).map(Self)
    }

    fn matches(&self, facts: &Facts<'_>) -> bool {
        self.0.iter().all(|(name, wanted)| {
            let passes =
                |value: &[u8]| wanted.as_ref().is_none_or(|wanted| wanted.as_bytes() == value);
            facts.subject.header(name, &mut { passes })
        })
    }
}

/// The name of a field (RFC 9110 §5.1).
pub(super) fn field(name: &str) -> Result<Box<str>, String> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(is_token) {
        return Err(format!("{name:?} is not the name of a header"));
    }
    Ok(name.into())
}
