//! Names of hosts as `Host` and `HostSNI` take them.

use super::{Anchor, Arguments, HostAnchor};
use crate::rule::{
    host::HostPattern,
    pattern::{Pattern, has_braces},
};

/// Names, wildcards and v2's templates, any of which may match.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::rule) struct Names {
    patterns: Vec<HostPattern>,
    templates: Vec<Pattern>,
    /// As they were written, for certificates.
    written: Vec<Box<str>>,
}

impl Names {
    pub(super) fn build(arguments: &Arguments<'_>) -> Result<Self, String> {
        let mut names = Self {
            patterns: Vec::with_capacity(arguments.values.len()),
            templates: Vec::new(),
            written: Vec::with_capacity(arguments.values.len()),
        };
        for value in arguments.values {
            arguments.no_template(value)?;
            if arguments.is_v2() && has_braces(value) {
                names.templates.push(Pattern::of_host_template(value)?);
            } else {
                names.patterns.push(HostPattern::parse(value)?);
                names.written.push(value.to_lowercase().into());
            }
        }
        Ok(names)
    }

    pub(super) fn matches(&self, host: &str) -> bool {
        self.patterns.iter().any(|pattern| pattern.matches(host))
            || self.templates.iter().any(|template| template.matches(host))
    }

    pub(super) fn anchors(&self) -> Option<Vec<Anchor<'_>>> {
        self.templates.is_empty().then(|| self.patterns.iter().map(anchor).collect())
    }

    pub(super) fn is_anchor(&self) -> bool {
        self.templates.is_empty() && matches!(self.patterns[..], [HostPattern::Exact(_)])
    }

    pub(super) fn written(&self) -> Vec<&str> {
        self.written.iter().map(|name| &**name).collect()
    }
}

fn anchor(pattern: &HostPattern) -> Anchor<'_> {
    Anchor::of_host(match pattern {
        HostPattern::Exact(name) => HostAnchor::Exact(name),
        HostPattern::OneLabel(suffix) | HostPattern::Labels(suffix) => HostAnchor::Under(suffix),
    })
}
