//! Finds the first router whose rule matches, at about the same cost among 100,000 as among 100.
//!
//! Each rule is looked at once for what it demands of host and path
//! ([`Anchor`](super::matcher::Anchor)), and filed under that. A request looks into the places where
//! its host and path may have put something: its host, the wildcards above it, and no host at all; in
//! each of them its path, and those prefixes of it that are as long as one that is there. Places are
//! told by hashes alone, as a rule that came there by chance doesn't match: all that a place nominates
//! is asked.
//!
//! What a look-up among many costs is cache lines. The usual one touches two beyond those that all
//! share: the host's slot in a [`Table`], and the router's [`Entry`], which has its host and path in it.
//! Places that could only give a later router than the one found already aren't looked into.

mod build;
mod entry;
mod hash;
mod table;
#[cfg(test)]
mod tests;

use std::{fmt, ops::Range, sync::Arc};

use entry::Entry;
use hash::{Key, Prefixes};
use table::Table;

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
    /// By host: the position of the only entry there is, or a [`Node`]'s number, and [`SEVERAL`].
    hosts: Table,
    nodes: Box<[Node]>,
    /// Whatever the host.
    anywhere: Node,
    /// Whether there are wildcards among the hosts.
    has_wildcards: bool,
    /// By host and path: the position of the only entry, or a list's number, and [`SEVERAL`].
    paths: Table,
    lists: Box<[List]>,
    /// Those of the prefixes of each node, in ascending order.
    lengths: Box<[Length]>,
    /// Positions of entries, those of each list in ascending order.
    positions: Box<[u32]>,
}

/// The lowest bit of what a table holds: set with numbers that are no positions.
const SEVERAL: u32 = 1;

/// What there is for one host.
#[derive(Clone, Copy, Debug)]
struct Node {
    /// Whatever the path.
    any: List,
    /// Lengths of prefixes, in [`Index::lengths`].
    lengths: List,
    /// The first position that is filed under an exact path.
    exact: u32,
}

/// Prefixes of one length in a node.
#[derive(Clone, Copy, Debug)]
struct Length {
    length: u32,
    /// The first position that is filed under one of them.
    first: u32,
}

/// A part of one of the index's arrays.
#[derive(Clone, Copy, Debug, Default)]
struct List {
    from: u32,
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
        self.entries.get(search.best as usize).map(Entry::value)
    }

    /// All values, in the order in which routers are asked.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.entries.iter().map(Entry::value)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl<T> Search<'_, T> {
    fn run(&mut self) {
        self.host(hash::host(&self.facts.host));
        if self.index.has_wildcards {
            let mut from = 0;
            while let Some(dot) = self.facts.host[from..].find('.') {
                self.host(hash::under(&self.facts.host[from + dot..]));
                from += dot + 1;
            }
        }
        self.node(hash::ANYWHERE, self.index.anywhere);
    }

    fn host(&mut self, key: Key) {
        for number in self.index.hosts.get(key) {
            match number & SEVERAL {
                0 => self.ask(number >> 1),
                _ => self.node(key, self.index.nodes[(number >> 1) as usize]),
            }
        }
    }

    fn node(&mut self, key: Key, node: Node) {
        self.list(node.any);
        let path = self.facts.path.len();
        if node.exact < self.best {
            self.path(Prefixes::of(key).whole(self.facts.path.as_bytes()));
        }
        let mut prefixes = Prefixes::of(key);
        for &Length { length, first } in &self.index.lengths[node.lengths.range()] {
            if length as usize > path {
                break;
            }
            if first >= self.best {
                continue;
            }
            let key = prefixes.next(&self.facts.path.as_bytes()[..length as usize]);
            self.path(key);
        }
    }

    fn path(&mut self, key: Key) {
        if !self.index.paths.may_have(key) {
            return;
        }
        for number in self.index.paths.get(key) {
            match number & SEVERAL {
                0 => self.ask(number >> 1),
                _ => self.list(self.index.lists[(number >> 1) as usize]),
            }
        }
    }

    fn list(&mut self, list: List) {
        for &position in &self.index.positions[list.range()] {
            if position >= self.best {
                break;
            }
            self.ask(position);
        }
    }

    fn ask(&mut self, position: u32) {
        if position < self.best && self.index.entries[position as usize].matches(&self.facts) {
            self.best = position;
        }
    }
}

impl List {
    fn range(self) -> Range<usize> {
        self.from as usize..self.from as usize + self.count as usize
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
