//! Files rules where requests look for them.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, HashMap},
};

use super::{
    Bucket, Entry, Index, Node, Route, Test,
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
        let test = files.file(position as u32, route.rule);
        Entry { test, value: route.value }
    });
    let entries: Vec<_> = entries.collect();
    files.close(entries)
}

fn priority<T>(route: &Route<T>) -> i64 {
    match (&route.rule, route.priority) {
        (Some(rule), 0) => rule.default_priority(),
        (None, 0) => LAST,
        (_, priority) => priority,
    }
}

#[derive(Default)]
struct Files {
    texts: String,
    hosts: HashMap<Key, Drawer>,
    anywhere: Drawer,
    has_wildcards: bool,
    /// In ascending order within each, as routers come in their order.
    paths: HashMap<Key, Vec<u32>>,
}

/// What there is for one host.
#[derive(Default)]
struct Drawer {
    any: Vec<u32>,
    lengths: BTreeSet<u32>,
    exact: bool,
}

impl Files {
    fn file(&mut self, position: u32, rule: Option<std::sync::Arc<Rule>>) -> Test {
        let Some(rule) = rule.filter(|rule| !rule.is_catch_all()) else {
            put(&mut self.anywhere.any, position);
            return Test::Always;
        };
        let anchors = rule.expression.anchors();
        for anchor in &anchors {
            self.anchor(position, *anchor);
        }
        let plain = match &anchors[..] {
            [anchor] if rule.expression.is_anchor() => self.plain(*anchor),
            _ => None,
        };
        plain.unwrap_or(Test::Rule(rule))
    }

    fn anchor(&mut self, position: u32, Anchor { host, path }: Anchor<'_>) {
        let (key, drawer) = match host {
            None => (hash::ANYWHERE, &mut self.anywhere),
            Some(host) => {
                let key = match host {
                    HostAnchor::Exact(name) => hash::host(name),
                    HostAnchor::Under(suffix) => hash::under(suffix),
                };
                self.has_wildcards |= matches!(host, HostAnchor::Under(_));
                (key, self.hosts.entry(key).or_default())
            }
        };
        let key = match path {
            None => return put(&mut drawer.any, position),
            Some(PathAnchor::Exact(path)) => {
                drawer.exact = true;
                Prefixes::of(key).whole(path.as_bytes())
            }
            Some(PathAnchor::Prefix(prefix)) => {
                drawer.lengths.insert(prefix.len() as u32);
                Prefixes::of(key).next(prefix.as_bytes())
            }
        };
        put(self.paths.entry(key).or_default(), position);
    }

    /// The short way to ask, where host and path are all that counts.
    fn plain(&mut self, anchor: Anchor<'_>) -> Option<Test> {
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
        let at = u32::try_from(self.texts.len()).ok()?;
        let test = Test::Plain {
            at,
            host: u16::try_from(host.len()).ok()?,
            path: u16::try_from(path.len()).ok()?,
            whole,
        };
        self.texts.push_str(host);
        self.texts.push_str(path);
        Some(test)
    }

    fn close<T>(self, entries: Vec<Entry<T>>) -> Index<T> {
        let mut store = Store::default();
        let anywhere = store.node(self.anywhere);
        let mut hosts = HashMap::with_capacity_and_hasher(self.hosts.len(), Default::default());
        hosts.extend(self.hosts.into_iter().map(|(key, drawer)| (key, store.node(drawer))));
        let mut paths = HashMap::with_capacity_and_hasher(self.paths.len(), Default::default());
        paths.extend(self.paths.into_iter().map(|(key, some)| (key, store.bucket(&some))));
        Index {
            entries,
            texts: self.texts.into(),
            hosts,
            anywhere,
            has_wildcards: self.has_wildcards,
            paths,
            lengths: store.lengths.into(),
            positions: store.positions.into(),
        }
    }
}

fn put(positions: &mut Vec<u32>, position: u32) {
    if positions.last() != Some(&position) {
        positions.push(position);
    }
}

#[derive(Default)]
struct Store {
    /// Where the same lengths stand already.
    seen: BTreeMap<Vec<u32>, u32>,
    lengths: Vec<u32>,
    positions: Vec<u32>,
}

impl Store {
    fn node(&mut self, drawer: Drawer) -> Node {
        let lengths: Vec<u32> = drawer.lengths.into_iter().collect();
        let count = lengths.len() as u32;
        let from = match self.seen.get(&lengths) {
            Some(&from) => from,
            None => {
                let from = self.lengths.len() as u32;
                self.lengths.extend(&lengths);
                self.seen.insert(lengths, from);
                from
            }
        };
        Node { any: self.bucket(&drawer.any), from, count, exact: drawer.exact }
    }

    fn bucket(&mut self, positions: &[u32]) -> Bucket {
        if let [position] = positions {
            return Bucket { at: *position, count: 1 };
        }
        let at = self.positions.len() as u32;
        self.positions.extend(positions);
        Bucket { at, count: positions.len() as u32 }
    }
}
