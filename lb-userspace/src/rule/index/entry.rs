//! A router in an index, and how it is asked.

use std::sync::Arc;

use crate::rule::{
    Rule,
    facts::Facts,
    matcher::{Anchor, HostAnchor, PathAnchor},
};

/// A router on a cache line of its own, as long as its value is a pointer.
#[repr(align(64))]
pub(super) struct Entry<T> {
    test: Test,
    value: T,
}

enum Test {
    Always,
    /// A host, a path, or both, one behind the other in `text`.
    Plain {
        host: u8,
        path: u8,
        whole: bool,
        text: [u8; TEXT],
    },
    Rule(Arc<Rule>),
}

/// Room for a host and a path. Longer ones are asked by their rule.
const TEXT: usize = 52;

impl<T> Entry<T> {
    /// `anchors`: the rule's.
    pub(super) fn new(rule: Option<Arc<Rule>>, anchors: &[Anchor<'_>], value: T) -> Self {
        let test = match rule {
            None => Test::Always,
            Some(rule) if rule.is_catch_all() => Test::Always,
            Some(rule) => match anchors {
                [anchor] if rule.expression.is_anchor() => plain(*anchor),
                _ => None,
            }
            .unwrap_or(Test::Rule(rule)),
        };
        Self { test, value }
    }

    pub(super) fn value(&self) -> &T {
        &self.value
    }

    pub(super) fn matches(&self, facts: &Facts<'_>) -> bool {
        match &self.test {
            Test::Always => true,
            &Test::Plain { host, path, whole, ref text } => {
                let (host, rest) = text.split_at(usize::from(host));
                let (path, given) = (&rest[..usize::from(path)], facts.path.as_bytes());
                (host.is_empty() || host == facts.host.as_bytes())
                    && if whole { path == given } else { given.starts_with(path) }
            }
            Test::Rule(rule) => rule.expression.matches(facts),
        }
    }
}

/// The short way to ask, where host and path are all that counts.
fn plain(anchor: Anchor<'_>) -> Option<Test> {
    let host = match anchor.host {
        None => "",
        Some(HostAnchor::Exact(name)) => name,
        Some(HostAnchor::Under(_)) => return None,
    };
    let (path, whole) = match anchor.path {
        None => ("", false),
        Some(PathAnchor::Exact(path)) => (path, true),
        Some(PathAnchor::Prefix(prefix)) => (prefix, false),
    };
    let mut text = [0; TEXT];
    let all = text.get_mut(..host.len() + path.len())?;
    all[..host.len()].copy_from_slice(host.as_bytes());
    all[host.len()..].copy_from_slice(path.as_bytes());
    Some(Test::Plain { host: host.len() as u8, path: path.len() as u8, whole, text })
}

#[cfg(test)]
mod tests {
    use super::Entry;

    #[test]
    fn an_entry_is_a_cache_line() {
        assert_eq!(size_of::<Entry<std::sync::Arc<u8>>>(), 64);
    }
}
