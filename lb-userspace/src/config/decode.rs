//! From the value tree to typed raw values, with every fault collected and none stopping the rest.
//!
//! [`object!`] declares an object's keys once; known names, suggestions, duplicate and refused
//! keys all come from that one place.

use std::sync::Arc;

pub(crate) use super::by_name::{ByName, MANY};
use super::{
    names::nearest,
    trail::{Step, Trail},
    tree::{Key, Node, Pos, Value},
};
use crate::model::{Fault, Place};

/// Where a value stands: file, line, column and path.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Spot {
    pub(crate) file: Arc<str>,
    pub(crate) pos: Pos,
    pub(crate) path: Trail,
}

impl Spot {
    /// A fault at this place.
    pub(crate) fn fault(&self, message: impl Into<String>) -> Fault {
        let (place, path) = (self.place(), self.path.to_string());
        Fault { place, path, message: message.into(), hint: None, off: None }
    }

    /// For the model.
    pub(crate) fn place(&self) -> Place {
        Place { file: self.file.to_string(), line: self.pos.line, column: self.pos.column }
    }
}

/// A value with its place.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct At<T> {
    pub(crate) value: T,
    pub(crate) spot: Spot,
}

/// What became of a key of an object.
#[derive(Clone, Debug, Default)]
pub(crate) enum Field<T> {
    /// Not in the file.
    #[default]
    Absent,
    /// There, and its fault is reported already.
    Faulty,
    /// There and sound; in a box, as most keys of most objects aren't there.
    Given(Box<At<T>>),
}

impl<T> Field<T> {
    /// The value, where given and sound.
    pub(crate) fn get(&self) -> Option<&T> {
        self.at().map(|at| &at.value)
    }

    /// The value with its place, where given and sound.
    pub(crate) fn at(&self) -> Option<&At<T>> {
        match self {
            Self::Given(at) => Some(at),
            Self::Absent | Self::Faulty => None,
        }
    }

    /// The value, where given and sound.
    pub(crate) fn into_value(self) -> Option<T> {
        match self {
            Self::Given(at) => Some(at.value),
            Self::Absent | Self::Faulty => None,
        }
    }

    /// The value or the default.
    pub(crate) fn or(&self, default: T) -> T
    where
        T: Clone,
    {
        self.get().cloned().unwrap_or(default)
    }

    /// The value or its type's default.
    pub(crate) fn or_default(&self) -> T
    where
        T: Clone + Default,
    {
        self.get().cloned().unwrap_or_default()
    }

    /// Whether it is there but couldn't be read.
    pub(crate) fn is_faulty(&self) -> bool {
        matches!(self, Self::Faulty)
    }

    /// Whether the file doesn't have it.
    pub(crate) fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }

    /// The value; where the file doesn't have it, a fault at `owner`.
    pub(crate) fn required(
        &self,
        key: &str,
        owner: &Spot,
        faults: &mut Vec<Fault>,
    ) -> Option<&At<T>> {
        if self.is_absent() {
            faults.push(owner.fault(format!("{key:?} is missing")));
        }
        self.at()
    }
}

/// What can be read from a node.
pub(crate) trait Decode: Sized {
    /// Reads it; what is wrong goes to `cx`, and gives `None` where no value can be made of it.
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self>;
}

/// The place reached while decoding, and the faults found so far.
pub(crate) struct Cx {
    file: Arc<str>,
    /// Labels or keys as written, where places are told by these: [`Cx::flat`].
    keys: Option<Arc<[String]>>,
    path: Trail,
    /// The same, once something below has needed it.
    shared: Option<Arc<Trail>>,
    /// Of the key that leads here, or of the list item.
    here: Pos,
    /// In the order of the file, roughly.
    pub(crate) faults: Vec<Fault>,
}

impl Cx {
    /// At the root of a file.
    pub(crate) fn new(file: &str) -> Self {
        let here = Pos { line: 1, column: 1 };
        let (path, shared) = (Trail::default(), None);
        Self { file: file.into(), keys: None, path, shared, here, faults: Vec::new() }
    }

    /// At the same place, with no faults yet.
    pub(super) fn beside(&self) -> Self {
        let (file, keys) = (Arc::clone(&self.file), self.keys.clone());
        let (path, shared) = (self.path.clone(), self.shared.clone());
        Self { file, keys, path, shared, here: self.here, faults: Vec::new() }
    }

    /// At the root of a tree made of `keys`, in which a place is the key's number (from 1), and how
    /// many bytes of it lead there.
    pub(crate) fn flat(origin: &str, keys: Arc<[String]>) -> Self {
        Self { keys: Some(keys), here: Pos::default(), ..Self::new(origin) }
    }

    /// `pos` in this file, under the path reached.
    pub(crate) fn spot(&self, pos: Pos) -> Spot {
        if let Some(keys) = &self.keys {
            let key = (pos.line as usize).checked_sub(1).and_then(|at| keys.get(at));
            let written = key.and_then(|key| key.get(..pos.column as usize));
            let path = written.map_or_else(|| self.path.clone(), Trail::whole);
            return Spot { file: Arc::clone(&self.file), pos: Pos::default(), path };
        }
        Spot { file: Arc::clone(&self.file), pos, path: self.path.clone() }
    }

    /// The key or list item reached.
    pub(crate) fn here(&self) -> Spot {
        self.spot(self.here)
    }

    /// Reports a fault of `node`.
    pub(crate) fn fault(&mut self, node: &Node, message: impl Into<String>) {
        let fault = self.spot(node.pos).fault(message);
        self.faults.push(fault);
    }

    /// Reports `expected …, found …`.
    pub(crate) fn expected(&mut self, node: &Node, what: &str) {
        self.fault(node, format!("expected {what}, found {}", node.found()));
    }

    /// Reads `node` one step further down; its place is the value's for scalars, the key's for
    /// objects and lists.
    pub(super) fn step<T: Decode>(&mut self, step: Step, pos: Pos, node: &Node) -> Field<T> {
        let below = self.below(step);
        let (path, shared) =
            (std::mem::replace(&mut self.path, below), std::mem::take(&mut self.shared));
        let field = self.enter(pos, node);
        (self.path, self.shared) = (path, shared);
        field
    }

    /// The way to what is one step down.
    fn below(&mut self, step: Step) -> Trail {
        let shared = self.shared.get_or_insert_with(|| Arc::new(self.path.clone()));
        Trail::below(shared, step)
    }

    /// A place one step down.
    fn spot_below(&mut self, key: &Key) -> Spot {
        let path = self.below(Step::Name(key.name.as_str().into()));
        let before = std::mem::replace(&mut self.path, path);
        let spot = self.spot(key.pos);
        self.path = before;
        spot
    }

    fn enter<T: Decode>(&mut self, pos: Pos, node: &Node) -> Field<T> {
        let before = std::mem::replace(&mut self.here, pos);
        let at = match node.value {
            Value::List(_) | Value::Map(_) | Value::Null => pos,
            _ => node.pos,
        };
        let field = match T::decode(node, self) {
            Some(value) => Field::Given(Box::new(At { value, spot: self.spot(at) })),
            None => Field::Faulty,
        };
        self.here = before;
        field
    }
}

/// A key that lb knows of and doesn't take: names, and what to say of them.
pub(crate) type Refused = (&'static [&'static str], &'static str);

/// Whether a label's text switches an object on.
pub(crate) fn is_on(text: &str) -> bool {
    text.is_empty() || text.eq_ignore_ascii_case("true")
}

/// As many keys as most objects may have.
const KEYS: usize = 24;

/// The keys of one object while they are being read.
pub(crate) struct Fields<'n> {
    pub(super) entries: Vec<(&'n Key, &'n Node, bool)>,
    known: Vec<&'static str>,
}

impl<'n> Fields<'n> {
    /// The keys of `node`; nothing at all counts as an object without keys.
    pub(crate) fn of(node: &'n Node, cx: &mut Cx) -> Option<Self> {
        let entries = match &node.value {
            Value::Map(entries) => entries.iter().map(|(key, node)| (key, node, false)).collect(),
            Value::Null => Vec::new(),
            // Labels switch an object on that has no keys.
            Value::Text(text) if node.bare && is_on(text) => Vec::new(),
            _ => {
                cx.expected(node, "a mapping (`key: value`)");
                return None;
            }
        };
        Some(Self { entries, known: Vec::with_capacity(KEYS) })
    }

    /// Reads the key of these names, case aside; a second one is a fault.
    pub(crate) fn take<T: Decode>(&mut self, names: &[&'static str], cx: &mut Cx) -> Field<T> {
        self.known.extend(names);
        let mut found: Option<(&Key, Field<T>)> = None;
        for (key, node, taken) in &mut self.entries {
            if !names.iter().any(|name| name.eq_ignore_ascii_case(&key.name)) {
                continue;
            }
            *taken = true;
            match &found {
                None => found = Some((key, cx.step(Step::Key(names[0]), key.pos, node))),
                Some((first, _)) => cx.twice(key, first),
            }
        }
        found.map_or(Field::Absent, |(_, field)| field)
    }

    /// Reports what is left: refused by name, or unknown.
    pub(crate) fn finish(self, refused: &[Refused], cx: &mut Cx) {
        for (key, _, taken) in &self.entries {
            if *taken {
                continue;
            }
            let why = refused
                .iter()
                .find(|(names, _)| names.iter().any(|name| name.eq_ignore_ascii_case(&key.name)));
            let mut fault = cx.spot_below(key).fault(why.map_or("unknown key", |(_, why)| *why));
            if why.is_none() {
                let names = refused.iter().flat_map(|(names, _)| names.iter());
                fault.hint = nearest(&key.name, self.known.iter().chain(names).copied());
            }
            cx.faults.push(fault);
        }
    }
}

impl Cx {
    /// Reports a key that stands for the second time.
    pub(super) fn twice(&mut self, key: &Key, first: &Key) {
        let line = first.pos.line;
        let message = if self.keys.is_some() {
            format!("is the same key as {:?}; keep one", self.spot_below(first).path.to_string())
        } else if key.name == first.name {
            format!("stands twice, first in line {line}; keep one")
        } else {
            format!("is the same key as {:?} in line {line}; keep one", first.name)
        };
        let fault = self.spot_below(key).fault(message);
        self.faults.push(fault);
    }
}

impl<T: Decode> Decode for Vec<At<T>> {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        let bare = if node.bare { items_of_bare(node) } else { None };
        let items = match (&bare, &node.value) {
            (Some(items), _) | (None, Value::List(items)) => Some(items),
            _ => None,
        };
        let Some(items) = items else {
            let example = match &node.value {
                Value::Text(text) => format!("a list (`[{text}]`)"),
                _ => "a list".to_owned(),
            };
            cx.expected(node, &example);
            return None;
        };
        let mut list = Vec::with_capacity(items.len());
        for (i, item) in items.iter().enumerate() {
            if let Field::Given(at) = cx.step(Step::Item(i), item.pos, item) {
                list.push(*at);
            }
        }
        Some(list)
    }
}

/// The items of a list that commas part, or that has numbers for keys.
fn items_of_bare(node: &Node) -> Option<Vec<Node>> {
    match &node.value {
        Value::Text(text) if text.trim().is_empty() => Some(Vec::new()),
        Value::Text(text) => {
            let item = |text: &str| Node::bare(node.pos, Value::Text(text.trim().to_owned()));
            Some(text.split(',').map(item).collect())
        }
        Value::Map(entries) => {
            let numbered = |(key, node): &(Key, Node)| Some((key.name.parse().ok()?, node.clone()));
            let mut items: Vec<(u32, Node)> =
                entries.iter().map(numbered).collect::<Option<_>>()?;
            items.sort_by_key(|(number, _)| *number);
            Some(items.into_iter().map(|(_, node)| node).collect())
        }
        _ => None,
    }
}

/// Declares an object of the configuration: a struct with a [`Field`] for each key.
///
/// ```text
/// object! {
///     /// `datapath.nat`.
///     pub(crate) struct Nat {
///         addresses: Vec<At<IpAddr>> = "addresses",
///         algorithm: Algorithm = "algorithm" | "strategy",
///     }
///     refused {
///         "tls" => "TLS needs the proxy, which lb doesn't have yet",
///     }
/// }
/// ```
macro_rules! object {
    (
        $(#[$meta:meta])*
        $vis:vis struct $name:ident {
            $( $field:ident: $type:ty = $key:literal $(| $alias:literal)* ),* $(,)?
        }
        $( refused { $( $($refused:literal)|+ => $why:expr ),* $(,)? } )?
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, Default)]
        #[allow(dead_code, reason = "an object of refused keys alone is read for its faults")]
        $vis struct $name {
            $( $vis $field: $crate::config::decode::Field<$type>, )*
        }

        impl $crate::config::decode::Decode for $name {
            fn decode(
                node: &$crate::config::tree::Node,
                cx: &mut $crate::config::decode::Cx,
            ) -> Option<Self> {
                #[allow(unused_mut, reason = "an object may have refused keys alone")]
                let mut fields = $crate::config::decode::Fields::of(node, cx)?;
                let object = Self {
                    $( $field: fields.take(&[$key $(, $alias)*], cx), )*
                };
                let refused: &[$crate::config::decode::Refused] = &[
                    $( $( (&[$($refused),+], $why), )* )?
                ];
                fields.finish(refused, cx);
                Some(object)
            }
        }
    };
}
pub(crate) use object;
