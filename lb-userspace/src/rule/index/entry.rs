//! What a slot of an index holds: a router and how it is asked, or where to look for several.

use std::sync::Arc;

use super::{List, Node, hash::Key};
use crate::rule::{
    Rule,
    facts::Facts,
    matcher::{Anchor, HostAnchor, PathAnchor},
};

/// A cache line, as long as values are pointers.
#[repr(align(64))]
pub(super) enum Entry<T> {
    Unused,
    /// What there is for a host, where that isn't a router alone.
    Node(Key, Node),
    /// Routers of one host and path.
    List(Key, List),
    /// A router that takes everything.
    Always {
        rank: u32,
        value: T,
    },
    /// A router that asks for a host, a path, or both, one behind the other in `text`.
    Plain {
        rank: u32,
        value: T,
        host: u8,
        path: u8,
        whole: bool,
        text: [u8; TEXT],
    },
    /// A router that has to be asked by its rule.
    Rule {
        rank: u32,
        value: T,
        rule: Arc<Rule>,
    },
}

/// Room for a host and a path. Longer ones are asked by their rule.
const TEXT: usize = 48;

impl<T> Entry<T> {
    /// A router. `anchors`: the rule's.
    pub(super) fn new(
        rank: u32,
        rule: Option<Arc<Rule>>,
        anchors: &[Anchor<'_>],
        value: T,
    ) -> Self {
        let Some(rule) = rule.filter(|rule| !rule.is_catch_all()) else {
            return Self::Always { rank, value };
        };
        let anchor = match anchors {
            [anchor] if rule.expression.is_anchor() => plain(*anchor),
            _ => None,
        };
        match anchor {
            Some((host, path, whole, text)) => Self::Plain { rank, value, host, path, whole, text },
            None => Self::Rule { rank, value, rule },
        }
    }

    /// A router's place in the order in which they are asked, and its value.
    pub(super) fn router(&self) -> Option<(u32, &T)> {
        match self {
            Self::Always { rank, value }
            | Self::Plain { rank, value, .. }
            | Self::Rule { rank, value, .. } => Some((*rank, value)),
            Self::Unused | Self::Node(..) | Self::List(..) => None,
        }
    }

    /// Whether it is a router that matches.
    pub(super) fn matches(&self, facts: &Facts<'_>) -> bool {
        match self {
            Self::Always { .. } => true,
            &Self::Plain { host, path, whole, ref text, .. } => {
                let (host, rest) = text.split_at(usize::from(host));
                let (path, given) = (&rest[..usize::from(path)], facts.path.as_bytes());
                (host.is_empty() || host == facts.host.as_bytes())
                    && if whole { path == given } else { given.starts_with(path) }
            }
            Self::Rule { rule, .. } => rule.expression.matches(facts),
            Self::Unused | Self::Node(..) | Self::List(..) => false,
        }
    }
}

/// The short way to ask, where host and path are all that counts.
fn plain(anchor: Anchor<'_>) -> Option<(u8, u8, bool, [u8; TEXT])> {
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
    Some((host.len() as u8, path.len() as u8, whole, text))
}

#[cfg(test)]
mod tests {
    use super::Entry;

    #[test]
    fn an_entry_is_a_cache_line() {
        assert_eq!(size_of::<Entry<std::sync::Arc<u8>>>(), 64);
    }
}
