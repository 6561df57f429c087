//! ``HostRegexp(`^[a-z]+\.example\.com$`)``: an expression that is found in the host; in v2 a
//! template, ``HostRegexp(`{sub:[a-z]+}.example.com`)``.

use super::{Arguments, Kind};
use crate::rule::{facts::Facts, pattern::Pattern};

/// Any of some expressions, on the host.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::rule) struct HostRegexp(Vec<Pattern>);

impl Kind for HostRegexp {
    fn build(arguments: &Arguments<'_>) -> Result<Self, String> {
        let make = |value: &str| {
            arguments.no_template(value)?;
            if arguments.is_v2() {
                Pattern::of_host_template(value)
            } else {
                Pattern::of_hosts(value)
            }
        };
        arguments.each(make).map(Self)
    }

    fn matches(&self, facts: &Facts<'_>) -> bool {
        self.0.iter().any(|pattern| pattern.matches(&*facts.host))
    }
}
