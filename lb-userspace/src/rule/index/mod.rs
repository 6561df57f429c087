//! Finds the first router whose rule matches, at the same cost among 100,000 as among 100.
//!
//! Each rule is looked at once for what it demands of host and path ([`Anchor`]), and filed under
//! that. A request looks into the places where its host and path may have put something: its
//! host, the wildcards above it, and no host at all; in each of them its path, and those prefixes of
//! it that are as long as one that is there. Places are told by hashes alone, as a rule that came
//! there by chance doesn't match: all that a place nominates is asked.

mod build;
mod hash;
#[cfg(test)]
mod tests;

use std::{collections::HashMap, fmt, hash::BuildHasherDefault, ops::Range, sync::Arc};

use hash::{Key, Prefixes, Ready};

use super::{
    Rule,
    facts::{Facts, Subject},
};

/// A router as an index takes it.
#[derive(Clone, Debug)]
pub struct Route<T> {
    /// Decides among routers of equal priority: the first by name.
    pub name: String,
    /// `None` takes everything.
    pub rule: Option<Arc<Rule>>,
    /// The higher one is asked first; 0 for the rule's own.
    pub priority: i64,
    /// What is found.
    pub value: T,
}

/// Routers in the order in which they are asked, and where to find them.
pub struct Index<T> {
    entries: Vec<Entry<T>>,
    /// Hosts and paths that entries ask for.
    texts: Box<str>,
    /// By host.
    hosts: HashMap<Key, Node, BuildHasherDefault<Ready>>,
    /// Whatever the host.
    anywhere: Node,
    /// Whether there are wildcards among the hosts.
    has_wildcards: bool,
    /// By host and path.
    paths: HashMap<Key, Bucket, BuildHasherDefault<Ready>>,
    /// Lengths of the prefixes of each node, in ascending order.
    lengths: Box<[u32]>,
    /// Positions of entries, of each bucket that has several, in ascending order.
    positions: Box<[u32]>,
}

struct Entry<T> {
    test: Test,
    value: T,
}

/// How an entry is asked.
enum Test {
    Always,
    /// A host, a path, or both, in [`Index::texts`].
    Plain {
        at: u32,
        host: u16,
        path: u16,
        whole: bool,
    },
    Rule(Arc<Rule>),
}

/// What there is for one host.
#[derive(Clone, Copy, Default)]
struct Node {
    /// Whatever the path.
    any: Bucket,
    /// Where in [`Index::lengths`].
    from: u32,
    count: u32,
    /// Whether there are exact paths.
    exact: bool,
}

/// Positions of entries: none, a single one, or several in [`Index::positions`].
#[derive(Clone, Copy, Default)]
struct Bucket {
    at: u32,
    count: u32,
}

/// The search for one request.
struct Search<'a, T> {
    index: &'a Index<T>,
    facts: Facts<'a>,
    /// The position of the best entry so far.
    best: u32,
}

impl<T> Index<T> {
    /// Files routers.
    pub fn new(routes: impl IntoIterator<Item = Route<T>>) -> Self {
        build::index(routes)
    }

    /// The value of the first router that matches: that of the highest priority, the first by name
    /// among equals. Allocates nothing, unless the host has capitals or the path an escape.
    pub fn find(&self, subject: &dyn Subject) -> Option<&T> {
        let facts = Facts::of(subject);
        let mut search = Search { index: self, facts, best: u32::MAX };
        search.run();
        self.entries.get(search.best as usize).map(|entry| &entry.value)
    }

    /// All values, in the order in which routers are asked.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.entries.iter().map(|entry| &entry.value)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl<T> Search<'_, T> {
    fn run(&mut self) {
        let index = self.index;
        let exact = hash::host(&self.facts.host);
        if let Some(&node) = index.hosts.get(&exact) {
            self.node(exact, node);
        }
        if index.has_wildcards {
            let mut from = 0;
            while let Some(dot) = self.facts.host[from..].find('.') {
                let key = hash::under(&self.facts.host[from + dot..]);
                if let Some(&node) = index.hosts.get(&key) {
                    self.node(key, node);
                }
                from += dot + 1;
            }
        }
        self.node(hash::ANYWHERE, index.anywhere);
    }

    fn node(&mut self, key: Key, node: Node) {
        let index = self.index;
        self.bucket(node.any);
        if !node.exact && node.count == 0 {
            return;
        }
        let mut prefixes = Prefixes::of(key);
        let path_length = self.facts.path.len();
        if node.exact {
            let key = Prefixes::of(key).whole(self.facts.path.as_bytes());
            if let Some(&bucket) = index.paths.get(&key) {
                self.bucket(bucket);
            }
        }
        for &length in &index.lengths[node.lengths()] {
            if length as usize > path_length {
                break;
            }
            let key = prefixes.next(&self.facts.path.as_bytes()[..length as usize]);
            if let Some(&bucket) = index.paths.get(&key) {
                self.bucket(bucket);
            }
        }
    }

    fn bucket(&mut self, bucket: Bucket) {
        let index = self.index;
        match bucket.count {
            0 => {}
            1 => {
                self.ask(bucket.at);
            }
            _ => {
                let positions = &index.positions[bucket.several()];
                let _found = positions.iter().any(|&position| self.ask(position));
            }
        }
    }

    /// Whether nothing behind `position` can be better.
    fn ask(&mut self, position: u32) -> bool {
        if position >= self.best {
            return true;
        }
        let matches = self.index.matches(position, &self.facts);
        if matches {
            self.best = position;
        }
        matches
    }
}

impl<T> Index<T> {
    fn matches(&self, position: u32, facts: &Facts<'_>) -> bool {
        match &self.entries[position as usize].test {
            Test::Always => true,
            &Test::Plain { at, host, path, whole } => {
                let (at, host, path) = (at as usize, usize::from(host), usize::from(path));
                let (host, path) = self.texts[at..at + host + path].split_at(host);
                (host.is_empty() || host == facts.host)
                    && if whole { path == facts.path } else { facts.path.starts_with(path) }
            }
            Test::Rule(rule) => rule.expression.matches(facts),
        }
    }
}

impl Node {
    fn lengths(&self) -> Range<usize> {
        self.from as usize..self.from as usize + self.count as usize
    }
}

impl Bucket {
    fn several(&self) -> Range<usize> {
        self.at as usize..self.at as usize + self.count as usize
    }
}

impl<T> Default for Index<T> {
    fn default() -> Self {
        Self::new([])
    }
}

impl<T> fmt::Debug for Index<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Index of {} routers", self.entries.len())
    }
}
