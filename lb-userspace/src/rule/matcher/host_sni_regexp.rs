//! ``HostSNIRegexp(`^[a-z]+\.example\.com$`)``: as `HostRegexp`, for the name that a TLS client asks for.

use super::{Arguments, Kind, host_regexp::HostRegexp};
use crate::rule::facts::Facts;

/// Any of some expressions.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::rule) struct HostSniRegexp(HostRegexp);

impl Kind for HostSniRegexp {
    fn build(arguments: &Arguments<'_>) -> Result<Self, String> {
        HostRegexp::build(arguments).map(Self)
    }

    fn matches(&self, facts: &Facts<'_>) -> bool {
        self.0.matches(facts)
    }
}
