//! From instances to one document: each by itself first, then those that name the same objects
//! together. What contradicts what stands already is reported, and out.

use std::{
    collections::{HashMap, hash_map::RandomState},
    hash::{BuildHasher, BuildHasherDefault, Hasher},
    sync::Arc,
};

use super::{
    Instance, Reason, Rules, Skipped,
    pool::{Assembled, pool},
    runs::{Run, runs},
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
    /// Of the latest state.
    runs: Vec<Arc<Run>>,
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
    pub(super) objects: Vec<u64>,
}

/// What it says.
#[derive(Debug)]
pub(super) enum Said {
    Sound(Box<Document>),
    Out(Skipped, Vec<Fault>),
}

/// Instances that name the same objects, by whatever links there are between them, with their
/// neighbours of the same service; all others have nothing to do with them.
#[derive(Debug)]
struct Group {
    members: Vec<Arc<Run>>,
    assembled: Assembled,
}

impl Assembler {
    /// Nothing has been read yet.
    pub(crate) fn new(rules: Arc<Rules>) -> Self {
        let (runs, groups) = (Vec::new(), ByHash::default());
        Self { rules, hasher: RandomState::new(), runs, groups }
    }

    /// Of all instances that there are now.
    pub(crate) fn assemble<'a>(
        &mut self,
        instances: impl IntoIterator<Item = &'a Shared<Instance>>,
    ) -> Assembled {
        self.runs = runs(&self.runs, instances, |instance| self.read_one(instance));
        let mut before = std::mem::take(&mut self.groups);
        let mut whole = Assembled::default();
        for (key, members) in grouped(&self.runs) {
            let is_same = |known: &Group| {
                let same = |(one, other)| Arc::ptr_eq(one, other);
                known.members.len() == members.len() && known.members.iter().zip(&members).all(same)
            };
            let known = before.remove(&key).filter(is_same);
            let group =
                known.unwrap_or_else(|| Group { assembled: pool(&reads(&members)), members });
            whole.add(&group.assembled);
            self.groups.insert(key, group);
        }
        whole.skipped.sort_by(|a, b| a.instance.cmp(&b.instance));
        whole
    }

    /// What each says by itself.
    #[cfg(test)]
    pub(super) fn read(&self, instances: &[Shared<Instance>]) -> Vec<Arc<Read>> {
        instances.iter().map(|instance| Arc::new(self.read_one(instance))).collect()
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

/// Those that belong together, each group under the hash of an object of its first member; in the
/// order of the first members.
fn grouped(all: &[Arc<Run>]) -> Vec<(u64, Vec<Arc<Run>>)> {
    // Sets joined by their first members; each knows one that came before it, or itself.
    let mut first: Vec<usize> = (0..all.len()).collect();
    let mut named: ByHash<usize> = ByHash::with_capacity_and_hasher(all.len(), Default::default());
    for (at, run) in all.iter().enumerate() {
        for object in &run.objects {
            let other = *named.entry(*object).or_insert(at);
            let (one, other) = (root(&mut first, at), root(&mut first, other));
            first[one.max(other)] = one.min(other);
        }
    }
    let mut places: Vec<usize> = vec![usize::MAX; all.len()];
    let mut groups: Vec<(u64, Vec<Arc<Run>>)> = Vec::new();
    for (at, run) in all.iter().enumerate() {
        let place = &mut places[root(&mut first, at)];
        if *place == usize::MAX {
            *place = groups.len();
            groups.push((run.objects[0], Vec::new()));
        }
        groups[*place].1.push(Arc::clone(run));
    }
    groups
}

fn reads(runs: &[Arc<Run>]) -> Vec<Arc<Read>> {
    runs.iter().flat_map(|run| run.reads.iter().cloned()).collect()
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
