//! Finds the first router whose rule matches, at about the same cost among 100,000 as among 100.
//!
//! Each rule is looked at once for what it demands of host and path
//! ([`Anchor`](super::matcher::Anchor)), and filed under that. A request looks into the places where
//! its host and path may have put something: its host, the wildcards above it, and no host at all; in
//! each of them its path, and those prefixes of it that are as long as one that is there. Places are
//! told by hashes alone, as a rule that came there by chance doesn't match: all that a place nominates
//! is asked.
//!
//! What a look-up among many costs is cache lines. The usual one waits for one beyond those that all
//! share: the [`Entry`] of its host, or of its prefix, which is a router with host and path in it. The
//! [`Table`] that leads there is small. Places that could only give a later router than the one found
//! already aren't looked into.

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

/// Routers, and where to find them.
pub struct Index<T> {
    /// By host, and by host and path: slots of `entries`.
    table: Table,
    /// By slot, and behind those of the table what no place has alone.
    entries: Box<[Entry<T>]>,
    /// Whatever the host.
    anywhere: Node,
    /// Whether there are wildcards among the hosts.
    has_wildcards: bool,
    /// Those of the prefixes of each node, in ascending order.
    lengths: Box<[Length]>,
    /// Those of each list in the order in which they are asked.
    nominees: Box<[Nominee]>,
    /// Slots of all routers in the order in which they are asked.
    order: Box<[u32]>,
}

/// A router that a list names.
#[derive(Clone, Copy, Debug)]
struct Nominee {
    /// Its place in the order in which routers are asked.
    rank: u32,
    slot: u32,
}

/// What there is for one host.
#[derive(Clone, Copy, Debug)]
struct Node {
    /// Whatever the path.
    any: List,
    /// Lengths of prefixes, in [`Index::lengths`].
    lengths: List,
    /// The first rank that is filed under an exact path.
    exact: u32,
}

/// Prefixes of one length in a node.
#[derive(Clone, Copy, Debug)]
struct Length {
    length: u32,
    /// The first rank that is filed under one of them.
    first: u32,
}

/// A part of one of the index's arrays.
#[derive(Clone, Copy, Debug, Default)]
struct List {
    from: u32,
    count: u32,
}

/// The search for one request.
struct Search<'a, 's, T> {
    index: &'a Index<T>,
    facts: Facts<'s>,
    /// The rank of the best router so far.
    best: u32,
    /// Its value.
    found: Option<&'a T>,
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
        let mut search = Search { index: self, facts, best: u32::MAX, found: None };
        search.run();
        search.found
    }

    /// All values, in the order in which routers are asked.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        let router = |slot: &u32| self.entries[*slot as usize].router();
        self.order.iter().filter_map(router).map(|(_, value)| value)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }
}

impl<'a, T> Search<'a, '_, T> {
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
        let index = self.index;
        for slot in index.table.get(key) {
            match index.entries[slot as usize] {
                Entry::Node(of, node) if of == key => self.node(key, node),
                ref entry => self.ask(entry),
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
        let index = self.index;
        for slot in index.table.get(key) {
            match index.entries[slot as usize] {
                Entry::List(of, list) if of == key => self.list(list),
                ref entry => self.ask(entry),
            }
        }
    }

    fn list(&mut self, list: List) {
        let index = self.index;
        for nominee in &index.nominees[list.range()] {
            if nominee.rank >= self.best {
                break;
            }
            self.ask(&index.entries[nominee.slot as usize]);
        }
    }

    /// A router that is there by chance is as good a find as any: it matches.
    fn ask(&mut self, entry: &'a Entry<T>) {
        if let Some((rank, value)) = entry.router()
            && rank < self.best
            && entry.matches(&self.facts)
        {
            (self.best, self.found) = (rank, Some(value));
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
        write!(f, "Index of {} routers", self.order.len())
    }
}
