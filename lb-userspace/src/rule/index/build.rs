//! Files rules where requests look for them.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
};

use super::{
    Entry, Index, Length, List, Node, Route, SEVERAL, Table,
    hash::{self, Key, Prefixes},
};
use crate::rule::{
    Rule,
    matcher::{Anchor, HostAnchor, PathAnchor},
};

/// Asked after all that have a rule.
const LAST: i64 = -1;

pub(super) fn index<T>(routes: impl IntoIterator<Item = Route<T>>) -> Index<T> {
    let mut routes: Vec<(i64, Route<T>)> =
        routes.into_iter().map(|route| (priority(&route), route)).collect();
    routes.sort_by(|(a, one), (b, other)| (Reverse(a), &one.name).cmp(&(Reverse(b), &other.name)));
    let mut files = Files::default();
    let entries = routes.into_iter().enumerate().map(|(position, (_, route))| {
        let rule = route.rule.clone();
        let anchors = anchors(rule.as_deref());
        anchors.iter().for_each(|anchor| files.put(position as u32, *anchor));
        Entry::new(route.rule, &anchors, route.value)
    });
    let entries = entries.collect();
    files.close(entries)
}

fn priority<T>(route: &Route<T>) -> i64 {
    match (&route.rule, route.priority) {
        (Some(rule), 0) => rule.default_priority(),
        (None, 0) => LAST,
        (_, priority) => priority,
    }
}

/// What a rule demands; nothing where there is none.
fn anchors(rule: Option<&Rule>) -> Vec<Anchor<'_>> {
    rule.map_or_else(|| vec![Anchor::default()], |rule| rule.expression.anchors())
}

/// Positions come in ascending order.
#[derive(Default)]
struct Files {
    hosts: HashMap<Key, Drawer>,
    anywhere: Drawer,
    has_wildcards: bool,
}

/// What there is for one host.
#[derive(Default)]
struct Drawer {
    any: Vec<u32>,
    exact: BTreeMap<Box<str>, Vec<u32>>,
    prefixes: BTreeMap<Box<str>, Vec<u32>>,
}

impl Files {
    fn put(&mut self, position: u32, Anchor { host, path }: Anchor<'_>) {
        self.has_wildcards |= matches!(host, Some(HostAnchor::Under(_)));
        let drawer = match host {
            None => &mut self.anywhere,
            Some(HostAnchor::Exact(name)) => self.hosts.entry(hash::host(name)).or_default(),
            Some(HostAnchor::Under(suffix)) => self.hosts.entry(hash::under(suffix)).or_default(),
        };
        let positions = match path {
            None => &mut drawer.any,
            Some(PathAnchor::Exact(path)) => drawer.exact.entry(path.into()).or_default(),
            Some(PathAnchor::Prefix(prefix)) => drawer.prefixes.entry(prefix.into()).or_default(),
        };
        if positions.last() != Some(&position) {
            positions.push(position);
        }
    }

    fn close<T>(self, entries: Vec<Entry<T>>) -> Index<T> {
        let mut store = Store::default();
        let anywhere = store.node(hash::ANYWHERE, self.anywhere);
        let hosts: Vec<(Key, u32)> =
            self.hosts.into_iter().map(|(key, drawer)| (key, store.host(key, drawer))).collect();
        Index {
            entries,
            hosts: Table::new(&hosts),
            nodes: store.nodes.into(),
            anywhere,
            has_wildcards: self.has_wildcards,
            paths: Table::new(&store.paths),
            lists: store.lists.into(),
            lengths: store.lengths.into(),
            positions: store.positions.into(),
        }
    }
}

impl Drawer {
    /// The only position that is in it.
    fn only(&self) -> Option<u32> {
        let lists = self.exact.values().chain(self.prefixes.values()).chain([&self.any]);
        let mut all = lists.flatten();
        let first = *all.next()?;
        all.all(|position| *position == first).then_some(first)
    }
}

#[derive(Default)]
struct Store {
    nodes: Vec<Node>,
    paths: Vec<(Key, u32)>,
    lists: Vec<List>,
    lengths: Vec<Length>,
    positions: Vec<u32>,
}

impl Store {
    /// What the table of hosts has for one.
    fn host(&mut self, key: Key, drawer: Drawer) -> u32 {
        drawer.only().map_or_else(
            || {
                let node = self.node(key, drawer);
                self.nodes.push(node);
                several(self.nodes.len() - 1)
            },
            single,
        )
    }

    fn node(&mut self, key: Key, drawer: Drawer) -> Node {
        let first = |positions: &Vec<u32>| positions.first().copied().unwrap_or(u32::MAX);
        let exact = drawer.exact.values().map(first).min().unwrap_or(u32::MAX);
        let mut lengths = BTreeMap::new();
        for (prefix, positions) in &drawer.prefixes {
            let best = lengths.entry(prefix.len() as u32).or_insert(u32::MAX);
            *best = first(positions).min(*best);
        }
        for (path, positions) in drawer.exact {
            self.path(Prefixes::of(key).whole(path.as_bytes()), &positions);
        }
        for (prefix, positions) in drawer.prefixes {
            self.path(Prefixes::of(key).next(prefix.as_bytes()), &positions);
        }
        let from = self.lengths.len() as u32;
        self.lengths.extend(lengths.into_iter().map(|(length, first)| Length { length, first }));
        let lengths = List { from, count: self.lengths.len() as u32 - from };
        Node { any: self.list(&drawer.any), lengths, exact }
    }

    fn path(&mut self, key: Key, positions: &[u32]) {
        let number = match positions {
            [position] => single(*position),
            more => {
                let list = self.list(more);
                self.lists.push(list);
                several(self.lists.len() - 1)
            }
        };
        self.paths.push((key, number));
    }

    fn list(&mut self, positions: &[u32]) -> List {
        let from = self.positions.len() as u32;
        self.positions.extend(positions);
        List { from, count: positions.len() as u32 }
    }
}

/// How a position is filed.
fn single(position: u32) -> u32 {
    position << 1
}

/// How the number of a node or a list is filed.
fn several(number: usize) -> u32 {
    (number as u32) << 1 | SEVERAL
}
