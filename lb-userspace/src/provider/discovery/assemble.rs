//! From instances to one document: each by itself first, then those that name the same objects
//! together. What contradicts what stands already is reported, and out.

use std::{
    collections::{HashMap, hash_map::RandomState},
    hash::BuildHasher,
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
    /// By the instance's id.
    read: HashMap<String, Arc<Read>>,
    /// By the first object that their members name.
    groups: HashMap<u64, Group>,
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
        let (read, groups) = (HashMap::new(), HashMap::new());
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
        let mut before = std::mem::take(&mut self.read);
        let mut all = Vec::new();
        for instance in instances {
            let known = before.remove_entry(&instance.id);
            let (id, read) = match known.filter(|(_, known)| known.instance == *instance) {
                Some(known) => known,
                None => (instance.id.clone(), Arc::new(self.read_one(instance))),
            };
            all.push(Arc::clone(&read));
            self.read.insert(id, read);
        }
        all
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
fn grouped(all: Vec<Arc<Read>>) -> Vec<(u64, Vec<Arc<Read>>)> {
    // Sets joined by their first members; each knows one that came before it, or itself.
    let mut first: Vec<usize> = (0..all.len()).collect();
    let mut named: HashMap<u64, usize> = HashMap::with_capacity(all.len());
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
