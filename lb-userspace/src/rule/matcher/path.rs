//! ``Path(`/users`)``: the whole path; in v2 also as a template, ``Path(`/users/{id:[0-9]+}`)``.

use super::{Anchor, Arguments, Kind, PathAnchor};
use crate::rule::{
    facts::Facts,
    pattern::{Pattern, has_braces},
    percent::routing_path,
};

/// Any of some paths.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::rule) struct Path {
    paths: Vec<Box<str>>,
    templates: Vec<Pattern>,
}

impl Kind for Path {
    fn build(arguments: &Arguments<'_>) -> Result<Self, String> {
        let (paths, templates) = split(arguments, Pattern::of_path_template)?;
        Ok(Self { paths, templates })
    }

    fn matches(&self, facts: &Facts<'_>) -> bool {
        self.paths.iter().any(|path| **path == *facts.path)
            || self.templates.iter().any(|template| template.matches(&*facts.path))
    }

    fn anchors(&self) -> Option<Vec<Anchor<'_>>> {
        let anchor = |path| Anchor::of_path(PathAnchor::Exact(path));
        self.templates.is_empty().then(|| self.paths.iter().map(|path| anchor(path)).collect())
    }

    fn is_anchor(&self) -> bool {
        self.templates.is_empty() && self.paths.len() == 1
    }
}

/// Paths as they stand and, in v2, templates.
pub(super) fn split(
    arguments: &Arguments<'_>,
    template: fn(&str) -> Result<Pattern, String>,
) -> Result<(Vec<Box<str>>, Vec<Pattern>), String> {
    let (mut paths, mut templates) = (Vec::with_capacity(arguments.values.len()), Vec::new());
    for value in arguments.values {
        if !value.starts_with('/') {
            return Err(format!("{value:?} doesn't begin with `/`"));
        }
        arguments.no_template(value)?;
        if arguments.is_v2() && has_braces(value) {
            templates.push(template(value)?);
        } else {
            paths.push(routing_path(value).into());
        }
    }
    Ok((paths, templates))
}
