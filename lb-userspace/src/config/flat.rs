//! Flat keys (labels, tags, a key-value store) to the value tree.

use std::sync::Arc;

use super::{
    decode::{Cx, Spot, is_on},
    tree::{Key, Node, Pos, Value},
};
use crate::model::Fault;

/// A tree made of flat keys. A place in it is the number of a key, from 1, and how many bytes of it
/// lead there, so that faults name keys as they were written.
#[derive(Clone, Debug)]
pub(crate) struct Tree {
    /// What the keys belong to, in faults: `docker container "api-1"`.
    pub(crate) origin: String,
    /// As written.
    pub(crate) keys: Arc<[String]>,
    /// Its root, a mapping.
    pub(crate) root: Node,
    /// Keys that can't stand, or contradict each other.
    pub(crate) faults: Vec<Fault>,
}

/// How the parts of a key are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// `http.routers.api.rule`, `servers[0].url`.
    Dotted,
    /// `http/routers/api/rule`, `servers/0/url`.
    Slashed,
}

/// Deepest nesting of keys.
const DEEPEST: usize = 32;

impl Tree {
    /// Reads keys and values in their order. `root` is what each key begins with, and how long it is
    /// there: a key without it is none of ours.
    pub(crate) fn read<'k>(
        origin: impl Into<String>,
        style: Style,
        pairs: impl IntoIterator<Item = (&'k str, &'k str)>,
        root: impl Fn(&str) -> Option<usize>,
    ) -> Self {
        let ours = pairs.into_iter().filter_map(|(key, value)| Some((key, value, root(key)?)));
        let ours: Vec<_> = ours.collect();
        let keys: Arc<[String]> = ours.iter().map(|(key, ..)| (*key).to_owned()).collect();
        let mut tree = Self {
            origin: origin.into(),
            keys,
            root: Node::bare(Pos::default(), Value::Map(Vec::new())),
            faults: Vec::new(),
        };
        let mut root = std::mem::replace(&mut tree.root, empty(Pos::default()));
        for (number, (key, value, start)) in ours.into_iter().enumerate() {
            let line = u32::try_from(number + 1).unwrap_or(u32::MAX);
            match parts(key, start, style) {
                Ok(parts) => tree.put(&mut root, line, &parts, value),
                Err((end, why)) => tree.faults.push(tree.spot(place(line, end)).fault(why)),
            }
        }
        tree.root = root;
        tree
    }

    /// The context to decode it in, with what is wrong with it already.
    pub(crate) fn cx(&self) -> Cx {
        let mut cx = Cx::flat(&self.origin, Arc::clone(&self.keys));
        cx.faults.clone_from(&self.faults);
        cx
    }

    /// A place in it.
    pub(crate) fn spot(&self, pos: Pos) -> Spot {
        Cx::flat(&self.origin, Arc::clone(&self.keys)).spot(pos)
    }

    fn put(&mut self, root: &mut Node, line: u32, parts: &[(String, usize)], value: &str) {
        let mut node = root;
        for (depth, (name, end)) in parts.iter().enumerate() {
            let pos = place(line, *end);
            let is_last = depth + 1 == parts.len();
            // Names of objects, at the third place of `http.routers.NAME`, are as written; of all
            // other keys the case doesn't count.
            let is_name = depth == 2;
            let entries = match self.entries(node) {
                Ok(entries) => entries,
                Err(fault) => return self.faults.push(fault),
            };
            let same = |(key, _): &(Key, Node)| match is_name {
                true => key.name == *name,
                false => key.name.eq_ignore_ascii_case(name),
            };
            let at = match entries.iter().position(same) {
                Some(at) if is_last => {
                    let there = &entries[at].1;
                    let first = there.pos;
                    // Switched on, by a key that has others below.
                    let is_switch = matches!(there.value, Value::Map(_)) && is_on(value);
                    if !is_switch {
                        let first = self.spot(first).path.to_string();
                        let why = match first == self.spot(pos).path.to_string() {
                            true => "stands twice; keep one".to_owned(),
                            false => format!("contradicts {first:?}; keep one"),
                        };
                        self.faults.push(self.spot(pos).fault(why));
                    }
                    return;
                }
                Some(at) => at,
                None => {
                    let key = Key { pos, name: name.clone() };
                    let below = match is_last {
                        true => Node::bare(pos, Value::Text(value.to_owned())),
                        false => empty(pos),
                    };
                    entries.push((key, below));
                    entries.len() - 1
                }
            };
            node = &mut entries[at].1;
        }
    }

    /// What is below `node`, which is no more than switched on until now.
    fn entries<'n>(&self, node: &'n mut Node) -> Result<&'n mut Vec<(Key, Node)>, Fault> {
        if let Value::Text(text) = &node.value {
            if !is_on(text) {
                let message = "has a value and keys below; keep one";
                return Err(self.spot(node.pos).fault(message));
            }
            node.value = Value::Map(Vec::new());
        }
        match &mut node.value {
            Value::Map(entries) => Ok(entries),
            _ => unreachable!("a tree of flat keys has texts and mappings alone"),
        }
    }
}

fn empty(pos: Pos) -> Node {
    Node::bare(pos, Value::Map(Vec::new()))
}

fn place(line: u32, end: usize) -> Pos {
    Pos { line, column: u32::try_from(end).unwrap_or(u32::MAX) }
}

/// The parts of a key and where each ends; or up to where it can be read, and why not further.
fn parts(key: &str, start: usize, style: Style) -> Result<Vec<(String, usize)>, (usize, String)> {
    let separator = if style == Style::Dotted { '.' } else { '/' };
    let mut parts = Vec::new();
    let mut from = start;
    for part in key[start..].split(separator) {
        let end = from + part.len();
        match (style, part.split_once('[')) {
            (Style::Dotted, Some((name, rest))) => {
                let number = rest.strip_suffix(']').filter(|n| n.parse::<u16>().is_ok());
                let number = number.ok_or((end, "expected a number in `[…]`".to_owned()))?;
                parts.push((name.to_owned(), from + name.len()));
                parts.push((number.to_owned(), end));
            }
            _ => parts.push((part.to_owned(), end)),
        }
        from = end + separator.len_utf8();
    }
    if let Some((_, end)) = parts.iter().find(|(name, _)| name.is_empty()) {
        return Err((*end, format!("has an empty part between `{separator}`s")));
    }
    if parts.len() > DEEPEST {
        return Err((key.len(), format!("has more than {DEEPEST} parts")));
    }
    Ok(parts)
}

/// How much of a label is one of `prefixes` and its dot, case aside.
pub(crate) fn after_prefix(label: &str, prefixes: &[&str]) -> Option<usize> {
    let length = prefixes.iter().find_map(|prefix| {
        let head = label.get(..prefix.len())?;
        let is_ours = head.eq_ignore_ascii_case(prefix) && label[prefix.len()..].starts_with('.');
        is_ours.then_some(prefix.len() + 1)
    })?;
    (label.len() > length).then_some(length)
}

/// How much of a key is `root` and its slash.
pub(crate) fn after_root(key: &str, root: &str) -> Option<usize> {
    let root = root.trim_matches('/');
    let skipped = key.len() - key.trim_start_matches('/').len();
    let rest = key[skipped..].strip_prefix(root)?;
    let length = match root.is_empty() {
        true => skipped,
        false => skipped + root.len() + rest.starts_with('/').then_some(1)?,
    };
    // Folders end in a slash and say nothing.
    (key.len() > length && !key.ends_with('/')).then_some(length)
}
