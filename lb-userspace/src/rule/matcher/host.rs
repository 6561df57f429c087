//! ``Host(`example.com`)``: the host, without port and case.

use super::{Anchor, Arguments, Kind, names::Names};
use crate::rule::facts::Facts;

/// Any of some names.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::rule) struct Host(Names);

impl Kind for Host {
    fn build(arguments: &Arguments<'_>) -> Result<Self, String> {
        Names::build(arguments).map(Self)
    }

    fn matches(&self, facts: &Facts<'_>) -> bool {
        self.0.matches(&facts.host)
    }

    fn anchors(&self) -> Option<Vec<Anchor<'_>>> {
        self.0.anchors()
    }

    fn is_anchor(&self) -> bool {
        self.0.is_anchor()
    }

    fn hosts(&self) -> Vec<&str> {
        self.0.written()
    }
}
