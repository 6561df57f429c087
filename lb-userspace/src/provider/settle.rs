//! From files to what can apply: a file at fault keeps its last good state, and files that
//! contradict each other give way to what was there before.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
};

use crate::{
    config::{
        build::{Document, Instance},
        resolve::{Cause, Refusal, Resolved, Source, resolve},
    },
    model::Fault,
};

/// Names a file: its provider, and the file. The main file comes first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    /// `false` for the main file.
    pub(super) is_dynamic: bool,
    pub(super) provider: &'static str,
    pub(super) file: PathBuf,
}

/// A file that is sound in itself.
#[derive(Clone, Debug)]
pub(super) struct Good {
    pub(super) bytes: Arc<Vec<u8>>,
    pub(super) document: Document,
}

/// Sound files by key.
pub(super) type Set = BTreeMap<Key, Arc<Good>>;

/// What the files come to.
#[derive(Debug, Default)]
pub(super) struct Settled {
    /// What applies of each file.
    pub(super) set: Set,
    /// Put together.
    pub(super) resolved: Resolved,
    /// Faults found on the way.
    pub(super) faults: Vec<Fault>,
}

/// Settles on what of `candidates` can apply where `good` is in force; `known` is what they come to,
/// where that was found out already. The main file at fault, without an earlier one, is an error.
pub(super) fn settle(
    candidates: Set,
    good: &Set,
    mut gaps: BTreeSet<&'static str>,
    mut known: Option<Resolved>,
) -> Result<Settled, Vec<Fault>> {
    let mut set = candidates;
    let mut faults = Vec::new();
    loop {
        let resolved = known.take().unwrap_or_else(|| resolved(&set, &gaps));
        if resolved.refused.is_empty() {
            return Ok(Settled { set, resolved, faults });
        }
        let keys: Vec<Key> = set.keys().cloned().collect();
        let blamed: BTreeSet<Key> =
            resolved.refused.iter().map(|refusal| blame(refusal, &keys, &set, good)).collect();
        faults.extend(resolved.refused.into_iter().map(|refusal| refusal.fault));
        let mut moved = false;
        for key in blamed {
            match good.get(&key) {
                Some(last) if !is_in(&set, &key, last) => {
                    set.insert(key, Arc::clone(last));
                    moved = true;
                }
                Some(_) => {}
                None if !key.is_dynamic => return Err(faults),
                None => {
                    gaps.insert(key.provider);
                    moved |= set.remove(&key).is_some();
                }
            }
        }
        if !moved {
            // What is in force is sound: it was settled on before.
            let resolved = self::resolved(good, &gaps);
            return Ok(Settled { set: good.clone(), resolved, faults });
        }
    }
}

/// Puts a set of files together.
pub(super) fn resolved(set: &Set, gaps: &BTreeSet<&'static str>) -> Resolved {
    let sources: Vec<Source<'_>> =
        set.iter().map(|(key, good)| (key.provider, &good.document)).collect();
    let none = Instance::default();
    let main = sources.first().and_then(|(_, document)| document.instance.as_ref());
    resolve(&sources, main.unwrap_or(&none), gaps)
}

fn is_in(set: &Set, key: &Key, last: &Arc<Good>) -> bool {
    set.get(key).is_some_and(|now| Arc::ptr_eq(now, last) || now.bytes == last.bytes)
}

/// Which file gives way: the one where the fault stands, or, where that one hasn't changed, the one
/// whose change brought the fault about.
fn blame(refusal: &Refusal, keys: &[Key], set: &Set, good: &Set) -> Key {
    let has_changed = |key: &Key| !good.get(key).is_some_and(|last| is_in(set, key, last));
    let stands = keys[refusal.file].clone();
    if has_changed(&stands) {
        return stands;
    }
    let other = match &refusal.cause {
        Cause::Twice(first) => Some(keys[*first].clone()),
        Cause::NotInMain => keys.first().cloned(),
        Cause::Cycle => None,
        Cause::Missing(kind, id) => {
            good.iter().find(|(_, good)| good.document.has(*kind, id)).map(|(key, _)| key.clone())
        }
    };
    other.filter(has_changed).unwrap_or(stands)
}
