//! ``HostSNI(`example.com`)``: the name that a TLS client asks for; ``HostSNI(`*`)``: every
//! connection.

use super::{Anchor, Arguments, Kind, names::Names};
use crate::rule::facts::Facts;

/// Any of some names, or everything.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::rule) enum HostSni {
    Everything,
    Names(Names),
}

impl Kind for HostSni {
    fn build(arguments: &Arguments<'_>) -> Result<Self, String> {
        if arguments.values.iter().any(|value| value == "*") {
            return Ok(Self::Everything);
        }
        Names::build(arguments).map(Self::Names)
    }

    fn matches(&self, facts: &Facts<'_>) -> bool {
        match self {
            Self::Everything => true,
            Self::Names(names) => names.matches(&facts.host),
        }
    }

    fn anchors(&self) -> Option<Vec<Anchor<'_>>> {
        match self {
            Self::Everything => None,
            Self::Names(names) => names.anchors(),
        }
    }

    fn is_anchor(&self) -> bool {
        matches!(self, Self::Names(names) if names.is_anchor())
    }

    fn is_catch_all(&self) -> bool {
        matches!(self, Self::Everything)
    }

    fn hosts(&self) -> Vec<&str> {
        match self {
            Self::Everything => Vec::new(),
            Self::Names(names) => names.written(),
        }
    }
}
