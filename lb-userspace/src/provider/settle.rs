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

/// Puts sets of files together. Where one differs from the last only by servers of services, that
/// costs a glance at all else.
#[derive(Debug, Default)]
pub(super) struct Resolver {
    last: Option<(Set, BTreeSet<&'static str>, Resolved)>,
}

impl Resolver {
    /// What the files come to.
    pub(super) fn resolved(&mut self, set: &Set, gaps: &BTreeSet<&'static str>) -> Resolved {
        let resolved = self.again(set, gaps).unwrap_or_else(|| resolved(set, gaps));
        self.last = Some((set.clone(), gaps.clone(), resolved.clone()));
        resolved
    }

    fn again(&self, set: &Set, gaps: &BTreeSet<&'static str>) -> Option<Resolved> {
        let (last, last_gaps, resolved) = self.last.as_ref()?;
        if last_gaps != gaps || !last.keys().eq(set.keys()) {
            return None;
        }
        let pairs = set.iter().zip(last.values()).filter(|((_, new), old)| !Arc::ptr_eq(new, old));
        resolved.again(pairs.map(|((key, new), old)| (key.provider, &old.document, &new.document)))
    }
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

fn resolved(set: &Set, gaps: &BTreeSet<&'static str>) -> Resolved {
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::{HostPorts, build};

    const MAIN: &str = r#"
entryPoints:
  pg: { address: "198.51.100.10:5432" }
  lo: { address: "127.0.0.1:81" }
  web: { address: ":80" }
"#;

    const SERVERS: [&str; 7] = [
        "",
        "{ address: '10.0.0.1:80' }",
        "{ address: '10.0.0.1:80' }, { address: '10.0.0.2:80', weight: 3 }",
        "{ address: '[2001:db8::1]:80' }",
        "{ address: '127.0.0.1:80' }",
        "{ address: 'db:80' }",
        "{ address: '10.0.0.1:80', tls: true }",
    ];
    const BALANCING: [&str; 4] =
        ["", ", algorithm: p2c", ", serversTransport: t", ", drainTimeout: 1s"];
    const ROUTERS: [&str; 5] = [
        "entryPoints: [pg], service: s0",
        "entryPoints: [pg], service: s1, datapath: kernel",
        "entryPoints: [lo, web], service: s2, rule: 'HostSNI(`a.example`)'",
        "entryPoints: [nowhere], service: s0",
        "entryPoints: [lo], service: nobody, middlewares: [m]",
    ];

    /// Servers and balancing of each service, and which routers there are.
    type Said = (Vec<(usize, usize)>, BTreeSet<usize>);

    fn document((services, routers): &Said) -> Document {
        let service = |(n, (servers, balancing)): (usize, &(usize, usize))| {
            let (servers, balancing) = (SERVERS[*servers], BALANCING[*balancing]);
            format!("    s{n}: {{ loadBalancer: {{ servers: [ {servers} ]{balancing} }} }}\n")
        };
        let services: String = services.iter().enumerate().map(service).collect();
        let routers: String =
            routers.iter().map(|n| format!("r{n}: {{ {} }}, ", ROUTERS[*n])).collect();
        let text = format!("tcp:\n  routers: {{ {routers} }}\n  services:\n{services}");
        let path = std::path::Path::new("nats");
        let parsed = build::provider_file(path, text.as_bytes(), "nats");
        assert_eq!(parsed.faults, [], "{text}");
        parsed.document
    }

    fn good(document: Document) -> Arc<Good> {
        Arc::new(Good { bytes: Arc::default(), document })
    }

    fn key(is_dynamic: bool, provider: &'static str) -> Key {
        Key { is_dynamic, provider, file: provider.into() }
    }

    fn main_file() -> (Key, Arc<Good>) {
        let path = std::path::Path::new("lb.yaml");
        let parsed = build::main_file(path, MAIN.as_bytes(), "file", &HostPorts::default());
        (key(false, "file"), good(parsed.document))
    }

    fn set(main: &(Key, Arc<Good>), document: Document) -> Set {
        Set::from([main.clone(), (key(true, "nats"), good(document))])
    }

    prop_compose! {
        fn said()(
            services in prop::collection::vec((0..SERVERS.len(), 0..BALANCING.len()), 2..4),
            routers in prop::collection::btree_set(0..ROUTERS.len(), 0..4),
        ) -> Said {
            (services, routers)
        }
    }

    proptest! {
        /// Each state differs from the one before in a few services, or in all.
        #[test]
        fn what_is_remembered_changes_nothing(
            states in prop::collection::vec(said(), 1..4),
            changes in prop::collection::vec((0usize..4, 0..SERVERS.len()), 0..12),
        ) {
            let (main, gaps, mut resolver) = (main_file(), BTreeSet::new(), Resolver::default());
            for mut state in states {
                for (service, servers) in [(usize::MAX, 0)].iter().chain(&changes) {
                    if let Some(service) = state.0.get_mut(*service) {
                        service.0 = *servers;
                    }
                    let set = set(&main, document(&state));
                    let (told, anew) = (resolver.resolved(&set, &gaps), resolved(&set, &gaps));
                    prop_assert_eq!(told.dynamic, anew.dynamic);
                    prop_assert_eq!(told.off, anew.off);
                    prop_assert_eq!(told.warnings, anew.warnings);
                    let refused = [told.refused, anew.refused].map(|all| format!("{all:?}"));
                    prop_assert_eq!(&refused[0], &refused[1]);
                }
            }
        }
    }

    /// Whether a change of the first service's servers is one that nothing else has to be looked at for.
    fn is_glanced_at(before: usize, after: usize) -> bool {
        let said = |servers| document(&(vec![(servers, 0), (1, 0)], BTreeSet::from([0, 2])));
        let (main, gaps, mut resolver) = (main_file(), BTreeSet::new(), Resolver::default());
        resolver.resolved(&set(&main, said(before)), &gaps);
        resolver.again(&set(&main, said(after)), &gaps).is_some()
    }

    #[test]
    fn servers_that_come_and_go_cost_a_glance_at_all_else() {
        assert!(is_glanced_at(1, 2) && is_glanced_at(2, 1));
    }

    #[test]
    fn servers_that_change_who_forwards_are_looked_at_with_all_else() {
        assert!(!is_glanced_at(1, 4) && !is_glanced_at(4, 1) && !is_glanced_at(1, 3));
    }
}
