//! ``PathRegexp(`^/users/[0-9]+$`)``: an expression that is found in the path.

use super::{Arguments, Kind};
use crate::rule::{facts::Facts, pattern::Pattern};

/// An expression on the path.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::rule) struct PathRegexp(Pattern);

impl Kind for PathRegexp {
    fn build(arguments: &Arguments<'_>) -> Result<Self, String> {
        Pattern::new(&arguments.values[0]).map(Self)
    }

    fn matches(&self, facts: &Facts<'_>) -> bool {
        self.0.matches(&*facts.path)
    }
}
