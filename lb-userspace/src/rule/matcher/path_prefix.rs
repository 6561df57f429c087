//! ``PathPrefix(`/api`)``: how the path begins; as in Traefik, `/api` takes `/apis` too.

use super::{Anchor, Arguments, Kind, PathAnchor, path::split};
use crate::rule::{facts::Facts, pattern::Pattern};

/// Any of some prefixes.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::rule) struct PathPrefix {
    prefixes: Vec<Box<str>>,
    templates: Vec<Pattern>,
}

impl Kind for PathPrefix {
    fn build(arguments: &Arguments<'_>) -> Result<Self, String> {
        let (prefixes, templates) = split(arguments, Pattern::of_prefix_template)?;
        Ok(Self { prefixes, templates })
    }

    fn matches(&self, facts: &Facts<'_>) -> bool {
        self.prefixes.iter().any(|prefix| facts.path.starts_with(&**prefix))
            || self.templates.iter().any(|template| template.matches(&*facts.path))
    }

    fn anchors(&self) -> Option<Vec<Anchor<'_>>> {
        let anchor = |prefix| Anchor::of_path(PathAnchor::Prefix(prefix));
        self.templates
            .is_empty()
            .then(|| self.prefixes.iter().map(|prefix| anchor(prefix)).collect())
    }

    fn is_anchor(&self) -> bool {
        self.templates.is_empty() && self.prefixes.len() == 1
    }
}
