//! From instances to one document: each by itself first, then those that name the same objects
//! together. What contradicts what stands already is reported, and out.

use std::{
    cell::OnceCell,
    collections::{HashMap, hash_map::RandomState},
    hash::{BuildHasher, BuildHasherDefault, Hasher},
    sync::Arc,
};

use super::{
    Instance, Reason, Rules, Skipped,
    pool::{Assembled, pool},
    shape,
};
use crate::{
    config::{
        build::{self, Document},
        flat::{Style, Tree, after_prefix},
    },
    model::{Fault, Place, Shared},
};

/// Puts instances together. What an instance says is read once, and those that name the same objects
/// are put together anew only where one of them came, went or changed: it costs what has changed,
/// and a glance at the rest.
#[derive(Debug)]
pub(crate) struct Assembler {
    rules: Arc<Rules>,
    hasher: RandomState,
    /// In the order of the latest state.
    read: Vec<(Shared<Instance>, Arc<Read>)>,
    /// By the first object that their members name.
    groups: ByHash<Group>,
}

/// Keys are hashes already.
type ByHash<T> = HashMap<u64, T, BuildHasherDefault<Itself>>;

/// The hash of a hash.
#[derive(Debug, Default)]
struct Itself(u64);

impl Hasher for Itself {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("keys are numbers")
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

/// One instance by itself.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) instance: Shared<Instance>,
    pub(super) said: Said,
    /// Hashes of the objects that it names: two that are the same by chance join two groups, and
    /// change nothing else.
    objects: Vec<u64>,
}

/// What it says.
#[derive(Debug)]
pub(super) enum Said {
    Sound(Box<Document>),
    Out(Skipped, Vec<Fault>),
}

/// Instances that name the same objects, by whatever links there are between them; all others have
/// nothing to do with them.
#[derive(Debug)]
struct Group {
    members: Vec<Arc<Read>>,
    assembled: Assembled,
}

impl Assembler {
    /// Nothing has been read yet.
    pub(crate) fn new(rules: Arc<Rules>) -> Self {
        let (read, groups) = (Vec::new(), ByHash::default());
        Self { rules, hasher: RandomState::new(), read, groups }
    }

    /// Of all instances that there are now.
    pub(crate) fn assemble<'a>(
        &mut self,
        instances: impl IntoIterator<Item = &'a Shared<Instance>>,
    ) -> Assembled {
        let all = self.read(instances);
        let mut before = std::mem::take(&mut self.groups);
        let mut whole = Assembled::default();
        for (key, members) in grouped(all) {
            let is_same = |known: &Group| {
                let same = |(one, other)| Arc::ptr_eq(one, other);
                known.members.len() == members.len() && known.members.iter().zip(&members).all(same)
            };
            let known = before.remove(&key).filter(is_same);
            let group = known.unwrap_or_else(|| Group { assembled: pool(&members), members });
            whole.add(&group.assembled);
            self.groups.insert(key, group);
        }
        whole.skipped.sort_by(|a, b| a.instance.cmp(&b.instance));
        whole
    }

    /// Reads those that are not as they were, and forgets those that are gone.
    pub(super) fn read<'a>(
        &mut self,
        instances: impl IntoIterator<Item = &'a Shared<Instance>>,
    ) -> Vec<Arc<Read>> {
        let before = Before::new(std::mem::take(&mut self.read));
        let mut next = 0;
        for instance in instances {
            let known = before.find(instance, &mut next);
            let read = match known.filter(|(known, _)| known == instance) {
                Some((_, read)) => Arc::clone(read),
                None => Arc::new(self.read_one(instance)),
            };
            self.read.push((instance.clone(), read));
        }
        self.read.iter().map(|(_, read)| Arc::clone(read)).collect()
    }

    fn read_one(&self, instance: &Shared<Instance>) -> Read {
        let said = said(instance, &self.rules);
        let mut objects: Vec<u64> = match &said {
            Said::Sound(document) => {
                document.objects().map(|object| self.hasher.hash_one(object)).collect()
            }
            Said::Out(..) => Vec::new(),
        };
        if objects.is_empty() {
            objects.push(self.hasher.hash_one(&instance.id));
        }
        Read { instance: instance.clone(), said, objects }
    }
}

/// What was read of the state before. Most of a state is where it was in that one, or next to it.
struct Before {
    all: Vec<(Shared<Instance>, Arc<Read>)>,
    /// By the instance's id, once one isn't near.
    places: OnceCell<HashMap<String, usize>>,
}

impl Before {
    /// How many may have gone between two that stay, without a look at all.
    const NEAR: usize = if cfg!(test) { 2 } else { 8 };

    fn new(all: Vec<(Shared<Instance>, Arc<Read>)>) -> Self {
        Self { all, places: OnceCell::new() }
    }

    /// What was read of the instance of that id. `next` is where it should be, then where the one
    /// after it should.
    fn find(
        &self,
        instance: &Instance,
        next: &mut usize,
    ) -> Option<&(Shared<Instance>, Arc<Read>)> {
        let is_it = |(known, _): &(Shared<Instance>, _)| {
            std::ptr::eq(&**known, instance) || known.id == instance.id
        };
        let near = self.all.iter().skip(*next).take(Self::NEAR).position(is_it);
        let at = match near {
            Some(after) => *next + after,
            None => *self.places().get(&instance.id)?,
        };
        *next = at + 1;
        self.all.get(at)
    }

    fn places(&self) -> &HashMap<String, usize> {
        let ids = || self.all.iter().enumerate().map(|(at, (one, _))| (one.id.clone(), at));
        self.places.get_or_init(|| ids().collect())
    }
}

/// Those that belong together, each group under the hash of an object of its first member; in the
/// order of the first members.
fn grouped(all: Vec<Arc<Read>>) -> Vec<(u64, Vec<Arc<Read>>)> {
    // Sets joined by their first members; each knows one that came before it, or itself.
    let mut first: Vec<usize> = (0..all.len()).collect();
    let mut named: ByHash<usize> = ByHash::with_capacity_and_hasher(all.len(), Default::default());
    for (at, read) in all.iter().enumerate() {
        for object in &read.objects {
            let other = *named.entry(*object).or_insert(at);
            let (one, other) = (root(&mut first, at), root(&mut first, other));
            first[one.max(other)] = one.min(other);
        }
    }
    let mut places: Vec<usize> = vec![usize::MAX; all.len()];
    let mut groups: Vec<(u64, Vec<Arc<Read>>)> = Vec::new();
    for (at, read) in all.into_iter().enumerate() {
        let place = &mut places[root(&mut first, at)];
        if *place == usize::MAX {
            *place = groups.len();
            groups.push((read.objects[0], Vec::new()));
        }
        groups[*place].1.push(read);
    }
    groups
}

/// The first member of a set; the way to it is halved.
fn root(first: &mut [usize], mut of: usize) -> usize {
    while first[of] != of {
        first[of] = first[first[of]];
        of = first[of];
    }
    of
}

fn said(instance: &Instance, rules: &Rules) -> Said {
    let out = |reason, detail| Skipped { instance: instance.origin.clone(), reason, detail };
    let whole = |message: &str| Fault {
        place: Place { file: instance.origin.clone(), ..Place::default() },
        path: String::new(),
        message: message.to_owned(),
        hint: None,
        off: None,
    };
    if let Some((reason, detail)) = instance.is_out(rules) {
        let is_fault = reason == Reason::BadLabel;
        let faults = is_fault.then(|| whole(&detail)).into_iter().collect();
        return Said::Out(out(reason, detail), faults);
    }
    let prefixes = rules.prefixes();
    let pairs = instance.labels.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    let mut tree =
        Tree::read(&instance.origin, Style::Dotted, pairs, |key| after_prefix(key, &prefixes));
    if let Err(unfit) = shape::complete(&mut tree, instance, rules) {
        return Said::Out(out(unfit.reason, unfit.detail), tree.faults);
    }
    let build::Parsed { mut document, faults } = build::labels(&tree, rules.provider);
    if let Some(first) = faults.first() {
        let detail = match first.path.as_str() {
            "" => first.message.clone(),
            path => format!("{path}: {}", first.message),
        };
        return Said::Out(out(Reason::BadLabel, detail), faults);
    }
    for router in &mut document.routers {
        // Instances that say the same of a router come and go; it stays the same.
        router.config.place = Place { file: rules.provider.to_owned(), ..Place::default() };
    }
    Said::Sound(Box::new(document))
}
