//! Everything the registry knows, and at which index each part changed last. No I/O, no clock.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Bound,
    time::Instant,
};

use super::{
    change::Change,
    types::{Check, Instance, Pair, Status},
};

/// Deleted names and keys whose index is remembered one by one; of older ones only the highest.
const REMEMBERED: usize = 4096;

/// The registry's contents.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    /// Of the latest change.
    pub(crate) index: u64,
    /// By id.
    pub(crate) instances: BTreeMap<String, Instance>,
    /// By id.
    pub(crate) checks: BTreeMap<String, Check>,
    /// By key.
    pub(crate) pairs: BTreeMap<String, Pair>,
    /// Ids of the instances of each service.
    by_name: BTreeMap<String, Vec<String>>,
    /// Ids of the checks of each instance; of the node by the empty id.
    by_instance: HashMap<String, Vec<String>>,
    /// By service: its latest change, checks included.
    services: Marks,
    /// By key that is gone: when.
    gone: Marks,
    /// When any instance or check changed last.
    pub(crate) catalog: u64,
    /// When any instance came, changed or went last.
    pub(crate) registered: u64,
    /// Since when checks are critical. Time starts anew with the daemon.
    pub(crate) critical: HashMap<String, Instant>,
}

/// Indices by name. Those of names that are long gone are folded into one, which may wake somebody
/// in vain and never leaves anybody asleep.
#[derive(Clone, Debug, Default)]
struct Marks {
    at: BTreeMap<String, u64>,
    floor: u64,
}

impl Marks {
    fn set(&mut self, name: &str, index: u64, is_alive: impl Fn(&str) -> bool) {
        self.at.insert(name.to_owned(), index);
        if self.at.len() < 2 * REMEMBERED {
            return;
        }
        let mut dead: Vec<(u64, String)> = self
            .at
            .iter()
            .filter(|(name, _)| !is_alive(name))
            .map(|(name, index)| (*index, name.clone()))
            .collect();
        dead.sort_unstable();
        for (index, name) in dead.iter().take(dead.len().saturating_sub(REMEMBERED)) {
            self.floor = self.floor.max(*index);
            self.at.remove(name);
        }
    }
}

impl State {
    /// Carries out one change as number `index`. The same changes give the same state.
    pub(crate) fn apply(&mut self, index: u64, change: Change, now: Instant) {
        self.index = self.index.max(index);
        match change {
            Change::Instance(instance) => self.set_instance(index, instance),
            Change::NoInstance(id) => self.remove_instance(index, &id),
            Change::Check(check) => self.set_check(index, check, now),
            Change::NoCheck(id) => self.remove_check(index, &id),
            Change::Status { check, status, output } => {
                let Some(known) = self.checks.get_mut(&check) else { return };
                (known.status, known.output, known.modified) = (status, output, index);
                let instance = known.instance.clone();
                self.time(&check, status, now);
                self.touch(index, &instance);
            }
            Change::Pair { key, mut pair } => {
                let old = self.pairs.get(&key).map(|old| old.created);
                pair.created = old.unwrap_or(if pair.created == 0 { index } else { pair.created });
                pair.modified = index;
                self.gone.at.remove(&key);
                self.pairs.insert(key, pair);
            }
            Change::NoPair(key) => {
                if self.pairs.remove(&key).is_some() {
                    self.gone.set(&key, index, |_| false);
                }
            }
            Change::Index => {}
        }
    }

    fn set_instance(&mut self, index: u64, mut instance: Instance) {
        let old = self.instances.get(&instance.id);
        let created = old.map(|old| old.created);
        if let Some(name) = old.map(|old| old.name.clone()).filter(|name| *name != instance.name) {
            self.leave(&name, &instance.id);
            self.mark(index, &name);
        }
        let first = if instance.created == 0 { index } else { instance.created };
        instance.created = created.unwrap_or(first);
        instance.modified = index;
        self.registered = self.registered.max(index);
        let (id, name) = (instance.id.clone(), instance.name.clone());
        self.instances.insert(id.clone(), instance);
        let ids = self.by_name.entry(name.clone()).or_default();
        if let Err(at) = ids.binary_search(&id) {
            ids.insert(at, id);
        }
        self.mark(index, &name);
    }

    fn remove_instance(&mut self, index: u64, id: &str) {
        let Some(old) = self.instances.remove(id) else { return };
        self.leave(&old.name, id);
        self.registered = self.registered.max(index);
        self.mark(index, &old.name);
    }

    fn leave(&mut self, name: &str, id: &str) {
        if let Some(ids) = self.by_name.get_mut(name) {
            ids.retain(|other| other != id);
            if ids.is_empty() {
                self.by_name.remove(name);
            }
        }
    }

    fn set_check(&mut self, index: u64, mut check: Check, now: Instant) {
        let old = self.checks.get(&check.id);
        let first = if check.created == 0 { index } else { check.created };
        check.created = old.map_or(first, |old| old.created);
        check.modified = index;
        if let Some(old) = old.map(|old| old.instance.clone()).filter(|old| *old != check.instance)
        {
            self.part(&old, &check.id);
            self.touch(index, &old);
        }
        let (id, instance) = (check.id.clone(), check.instance.clone());
        self.time(&id, check.status, now);
        self.checks.insert(id.clone(), check);
        let ids = self.by_instance.entry(instance.clone()).or_default();
        if let Err(at) = ids.binary_search(&id) {
            ids.insert(at, id);
        }
        self.touch(index, &instance);
    }

    fn remove_check(&mut self, index: u64, id: &str) {
        let Some(old) = self.checks.remove(id) else { return };
        self.critical.remove(id);
        self.part(&old.instance, id);
        self.touch(index, &old.instance);
    }

    fn part(&mut self, instance: &str, check: &str) {
        if let Some(ids) = self.by_instance.get_mut(instance) {
            ids.retain(|other| other != check);
            if ids.is_empty() {
                self.by_instance.remove(instance);
            }
        }
    }

    /// Since when a check is critical.
    fn time(&mut self, check: &str, status: Status, now: Instant) {
        match status {
            Status::Critical => _ = self.critical.entry(check.to_owned()).or_insert(now),
            Status::Passing | Status::Warning => _ = self.critical.remove(check),
        }
    }

    /// Something about an instance changed; about the node, where there is none: then every
    /// service is another.
    fn touch(&mut self, index: u64, instance: &str) {
        if instance.is_empty() {
            for name in self.by_name.keys() {
                self.services.at.insert(name.clone(), index);
            }
        } else if let Some(name) = self.instances.get(instance).map(|i| i.name.clone()) {
            self.mark(index, &name);
        }
        self.catalog = self.catalog.max(index);
    }

    fn mark(&mut self, index: u64, name: &str) {
        let by_name = &self.by_name;
        self.services.set(name, index, |name| by_name.contains_key(name));
        self.catalog = self.catalog.max(index);
    }

    /// Names of services, sorted.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(String::as_str)
    }

    /// Instances of a service, by id.
    pub(crate) fn instances_of(&self, name: &str) -> impl Iterator<Item = &Instance> {
        let ids = self.by_name.get(name).into_iter().flatten();
        ids.filter_map(|id| self.instances.get(id))
    }

    /// Checks of an instance alone; with the empty id the node's.
    pub(crate) fn checks_of(&self, instance: &str) -> impl Iterator<Item = &Check> {
        let ids = self.by_instance.get(instance).into_iter().flatten();
        ids.filter_map(|id| self.checks.get(id))
    }

    /// The worst of an instance's checks and the node's.
    pub(crate) fn status_of(&self, instance: &str) -> Status {
        let checks = self.checks_of(instance).chain(self.checks_of(""));
        checks.map(|check| check.status).max().unwrap_or(Status::Passing)
    }

    /// Keys that begin so.
    pub(crate) fn pairs_below<'s>(
        &'s self,
        prefix: &'s str,
    ) -> impl Iterator<Item = (&'s String, &'s Pair)> {
        let from = (Bound::Included(prefix), Bound::Unbounded);
        self.pairs.range::<str, _>(from).take_while(move |(key, _)| key.starts_with(prefix))
    }

    /// When a service changed last, its checks included. At least 1, as Consul's.
    pub(crate) fn service_index(&self, name: &str) -> u64 {
        self.services.at.get(name).copied().unwrap_or(self.services.floor).max(1)
    }

    /// When a key changed last, or went.
    pub(crate) fn pair_index(&self, key: &str) -> u64 {
        let known = self.pairs.get(key).map(|pair| pair.modified);
        known.or_else(|| self.gone.at.get(key).copied()).unwrap_or(self.gone.floor).max(1)
    }

    /// When anything below a prefix changed last, or went.
    pub(crate) fn prefix_index(&self, prefix: &str) -> u64 {
        let live = self.pairs_below(prefix).map(|(_, pair)| pair.modified).max();
        let from = (Bound::Included(prefix), Bound::Unbounded);
        let gone = self.gone.at.range::<str, _>(from);
        let gone = gone.take_while(|(key, _)| key.starts_with(prefix)).map(|(_, at)| *at).max();
        live.max(gone).unwrap_or(0).max(self.gone.floor).max(1)
    }

    /// When any instance came, changed or went last.
    pub(crate) fn registered_index(&self) -> u64 {
        self.registered.max(1)
    }

    /// When any instance or check changed last.
    pub(crate) fn catalog_index(&self) -> u64 {
        self.catalog.max(1)
    }

    /// The shortest list of changes that makes this state again.
    pub(crate) fn changes(&self) -> impl Iterator<Item = (u64, Change)> {
        let instances = self.instances.values().map(|i| (i.modified, Change::Instance(i.clone())));
        let checks = self.checks.values().map(|c| (c.modified, Change::Check(c.clone())));
        let pairs = self.pairs.iter().map(|(key, pair)| {
            (pair.modified, Change::Pair { key: key.clone(), pair: pair.clone() })
        });
        instances.chain(checks).chain(pairs).chain([(self.index, Change::Index)])
    }
}
