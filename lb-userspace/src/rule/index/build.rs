//! Files rules where requests look for them.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
};

use super::{
    Entry, Index, Length, List, Node, Nominee, Route, Table,
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
    let routers = routes.into_iter().zip(0..).map(|((_, route), rank)| {
        let rule = route.rule.clone();
        let anchors = anchors(rule.as_deref());
        anchors.iter().for_each(|anchor| files.put(rank, *anchor));
        Entry::new(rank, route.rule, &anchors, route.value)
    });
    let routers = routers.collect();
    files.close(routers)
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

/// Ranks come in ascending order.
#[derive(Default)]
struct Files {
    hosts: HashMap<Key, Drawer>,
    anywhere: Drawer,
    has_wildcards: bool,
}

/// What there is for one host, by rank.
#[derive(Default)]
struct Drawer {
    any: Vec<u32>,
    exact: BTreeMap<Box<str>, Vec<u32>>,
    prefixes: BTreeMap<Box<str>, Vec<u32>>,
}

impl Files {
    fn put(&mut self, rank: u32, Anchor { host, path }: Anchor<'_>) {
        self.has_wildcards |= matches!(host, Some(HostAnchor::Under(_)));
        let drawer = match host {
            None => &mut self.anywhere,
            Some(HostAnchor::Exact(name)) => self.hosts.entry(hash::host(name)).or_default(),
            Some(HostAnchor::Under(suffix)) => self.hosts.entry(hash::under(suffix)).or_default(),
        };
        let ranks = match path {
            None => &mut drawer.any,
            Some(PathAnchor::Exact(path)) => drawer.exact.entry(path.into()).or_default(),
            Some(PathAnchor::Prefix(prefix)) => drawer.prefixes.entry(prefix.into()).or_default(),
        };
        if ranks.last() != Some(&rank) {
            ranks.push(rank);
        }
    }

    fn close<T>(self, routers: Vec<Entry<T>>) -> Index<T> {
        let mut store = Store { is_placed: vec![false; routers.len()], ..Store::default() };
        let anywhere = store.node(hash::ANYWHERE, self.anywhere);
        for (key, drawer) in self.hosts {
            store.host(key, drawer);
        }
        store.close(routers, anywhere, self.has_wildcards)
    }
}

impl Drawer {
    /// The only rank that is in it.
    fn only(&self) -> Option<u32> {
        let lists = self.exact.values().chain(self.prefixes.values()).chain([&self.any]);
        let mut all = lists.flatten();
        let first = *all.next()?;
        all.all(|rank| *rank == first).then_some(first)
    }
}

#[derive(Default)]
struct Store {
    places: Vec<(Key, Place)>,
    /// By rank, whether it has a place of its own.
    is_placed: Vec<bool>,
    lengths: Vec<Length>,
    /// Ranks of each list.
    nominees: Vec<u32>,
}

/// What a key leads to.
enum Place {
    /// By rank.
    Router(u32),
    Node(Node),
    List(List),
}

impl Store {
    /// What the table has for a host.
    fn host(&mut self, key: Key, drawer: Drawer) {
        let place = match drawer.only().filter(|rank| !self.is_placed[*rank as usize]) {
            Some(rank) => self.router(rank),
            None => Place::Node(self.node(key, drawer)),
        };
        self.places.push((key, place));
    }

    fn node(&mut self, key: Key, drawer: Drawer) -> Node {
        let first = |ranks: &Vec<u32>| ranks.first().copied().unwrap_or(u32::MAX);
        let exact = drawer.exact.values().map(first).min().unwrap_or(u32::MAX);
        let mut lengths = BTreeMap::new();
        for (prefix, ranks) in &drawer.prefixes {
            let best = lengths.entry(prefix.len() as u32).or_insert(u32::MAX);
            *best = first(ranks).min(*best);
        }
        for (path, ranks) in drawer.exact {
            self.path(Prefixes::of(key).whole(path.as_bytes()), &ranks);
        }
        for (prefix, ranks) in drawer.prefixes {
            self.path(Prefixes::of(key).next(prefix.as_bytes()), &ranks);
        }
        let from = self.lengths.len() as u32;
        self.lengths.extend(lengths.into_iter().map(|(length, first)| Length { length, first }));
        let lengths = List { from, count: self.lengths.len() as u32 - from };
        Node { any: self.list(&drawer.any), lengths, exact }
    }

    fn path(&mut self, key: Key, ranks: &[u32]) {
        let place = match *ranks {
            [rank] if !self.is_placed[rank as usize] => self.router(rank),
            _ => Place::List(self.list(ranks)),
        };
        self.places.push((key, place));
    }

    fn router(&mut self, rank: u32) -> Place {
        self.is_placed[rank as usize] = true;
        Place::Router(rank)
    }

    fn list(&mut self, ranks: &[u32]) -> List {
        let from = self.nominees.len() as u32;
        self.nominees.extend(ranks);
        List { from, count: ranks.len() as u32 }
    }

    fn close<T>(self, routers: Vec<Entry<T>>, anywhere: Node, has_wildcards: bool) -> Index<T> {
        let (table, slots) = Table::new(self.places.iter().map(|(key, _)| *key));
        let mut order = vec![u32::MAX; routers.len()];
        let mut entries: Vec<Entry<T>> = Vec::with_capacity(table.size());
        entries.resize_with(table.size(), || Entry::Unused);
        for ((key, place), slot) in self.places.into_iter().zip(slots) {
            match place {
                Place::Router(rank) => order[rank as usize] = slot,
                Place::Node(node) => entries[slot as usize] = Entry::Node(key, node),
                Place::List(list) => entries[slot as usize] = Entry::List(key, list),
            }
        }
        for (router, slot) in routers.into_iter().zip(&mut order) {
            if *slot == u32::MAX {
                *slot = entries.len() as u32;
                entries.push(router);
            } else {
                entries[*slot as usize] = router;
            }
        }
        let nominee = |rank: u32| Nominee { rank, slot: order[rank as usize] };
        Index {
            table,
            entries: entries.into(),
            anywhere,
            has_wildcards,
            lengths: self.lengths.into(),
            nominees: self.nominees.into_iter().map(nominee).collect(),
            order: order.into(),
        }
    }
}
