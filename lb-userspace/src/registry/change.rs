//! Wishes and what becomes of them: [`decide`] turns a wish into changes, which
//! [`State::apply`] carries out, now and when the log is replayed.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{
    state::State,
    types::{Check, Instance, Kind, Pair, Status},
};

/// What a client, a check or time asks for.
#[derive(Clone, Debug)]
pub(crate) enum Wish {
    /// Registers an instance with its checks; with `replaces`, checks it had before and that
    /// aren't among these go.
    Register { instance: Instance, checks: Vec<Registered>, replaces: bool },
    /// Takes an instance and its checks out; one that isn't there is as good.
    Deregister { id: String },
    /// Registers a check.
    RegisterCheck(Registered),
    /// Takes a check out.
    DeregisterCheck { id: String },
    /// A client's report on a TTL check.
    Report { check: String, status: Status, output: String },
    /// What a probe found, as long as the check is still the one that it was begun for.
    Found { check: String, created: u64, status: Status, output: String },
    /// `maint`: puts an instance out of service, or back.
    Maintain { instance: String, reason: Option<String> },
    /// Writes a key; `cas` is the index it must have been modified at, 0 for none.
    Put { key: String, value: Vec<u8>, flags: u64, cas: Option<u64> },
    /// Deletes a key.
    Delete { key: String, cas: Option<u64> },
    /// Deletes all keys that begin so.
    DeleteAll { prefix: String },
}

/// A check to be registered.
#[derive(Clone, Debug)]
pub(crate) struct Registered {
    /// What is said of it; its status counts only where `is_given`.
    pub(crate) check: Check,
    /// Whether the registration gave a status.
    pub(crate) is_given: bool,
}

/// One step, as it stands in the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Change {
    /// An instance as it is from now on.
    Instance(Instance),
    /// It is gone.
    NoInstance(String),
    /// A check as it is from now on.
    Check(Check),
    /// It is gone.
    NoCheck(String),
    /// A check's verdict.
    Status { check: String, status: Status, output: String },
    /// A key's value.
    Pair { key: String, pair: Pair },
    /// It is gone.
    NoPair(String),
    /// The latest index, where nothing else would tell it.
    Index,
}

/// Why a wish isn't granted: in Consul's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("CheckID {0:?} does not have associated TTL")]
    NoTtl(String),
    #[error("ServiceID {0:?} does not exist")]
    NoService(String),
    #[error(
        "Unknown service ID {0:?}. Ensure that the service ID is passed, not the service name."
    )]
    UnknownService(String),
    #[error("the registry's log can't be written: {0}")]
    Disk(String),
}

/// What a wish comes to: changes (maybe none), and whether its `cas` held.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Decision {
    pub(crate) changes: Vec<Change>,
    pub(crate) holds: bool,
}

impl Decision {
    fn of(changes: Vec<Change>) -> Self {
        Self { changes, holds: true }
    }
}

/// What `wish` changes in `state`.
pub(crate) fn decide(state: &State, wish: &Wish) -> Result<Decision, Refusal> {
    match wish {
        Wish::Register { instance, checks, replaces } => {
            Ok(Decision::of(register(state, instance, checks, *replaces)))
        }
        Wish::Deregister { id } => Ok(Decision::of(deregister(state, id))),
        Wish::RegisterCheck(wanted) => register_check(state, wanted),
        Wish::DeregisterCheck { id } => {
            let is_there = state.checks.contains_key(id);
            let change = is_there.then(|| Change::NoCheck(id.clone()));
            Ok(Decision::of(change.into_iter().collect()))
        }
        Wish::Report { check, status, output } => {
            let known = state.checks.get(check);
            let known = known.filter(|known| matches!(known.kind, Kind::Ttl(_)));
            let known = known.ok_or_else(|| Refusal::NoTtl(check.clone()))?;
            let is_new = known.status != *status || known.output != *output;
            Ok(Decision::of(if is_new { verdict(check, *status, output) } else { Vec::new() }))
        }
        Wish::Found { check, created, status, output } => {
            let known = state.checks.get(check).filter(|known| known.created == *created);
            let is_new = known.is_some_and(|known| known.status != *status);
            Ok(Decision::of(if is_new { verdict(check, *status, output) } else { Vec::new() }))
        }
        Wish::Maintain { instance, reason } => maintain(state, instance, reason.as_deref()),
        Wish::Put { key, value, flags, cas } => Ok(put(state, key, value, *flags, *cas)),
        Wish::Delete { key, cas } => Ok(delete(state, key, *cas)),
        Wish::DeleteAll { prefix } => {
            let keys = state.pairs_below(prefix).map(|(key, _)| Change::NoPair(key.clone()));
            Ok(Decision::of(keys.collect()))
        }
    }
}

fn verdict(check: &str, status: Status, output: &str) -> Vec<Change> {
    vec![Change::Status { check: check.to_owned(), status, output: output.to_owned() }]
}

fn register(
    state: &State,
    wanted: &Instance,
    checks: &[Registered],
    replaces: bool,
) -> Vec<Change> {
    let mut changes = Vec::new();
    let old = state.instances.get(&wanted.id);
    let stays = |old: &Instance| Instance { created: 0, modified: 0, ..old.clone() } == *wanted;
    if !old.is_some_and(stays) {
        changes.push(Change::Instance(wanted.clone()));
    }
    let ids: BTreeSet<&str> = checks.iter().map(|c| c.check.id.as_str()).collect();
    if replaces {
        let others = state.checks_of(&wanted.id).filter(|check| !ids.contains(check.id.as_str()));
        changes.extend(others.map(|check| Change::NoCheck(check.id.clone())));
    }
    changes.extend(checks.iter().filter_map(|wanted| checked(state, wanted)));
    changes
}

/// A check registered anew keeps its verdict, unless the registration gives one.
fn checked(state: &State, wanted: &Registered) -> Option<Change> {
    let mut check = wanted.check.clone();
    let Some(old) = state.checks.get(&check.id) else {
        return Some(Change::Check(check));
    };
    if !wanted.is_given {
        check.status = old.status;
        check.output.clone_from(&old.output);
    }
    let stays = Check { created: 0, modified: 0, ..old.clone() } == check;
    (!stays).then_some(Change::Check(check))
}

fn register_check(state: &State, wanted: &Registered) -> Result<Decision, Refusal> {
    let instance = &wanted.check.instance;
    if !instance.is_empty() && !state.instances.contains_key(instance) {
        return Err(Refusal::NoService(instance.clone()));
    }
    Ok(Decision::of(checked(state, wanted).into_iter().collect()))
}

fn deregister(state: &State, id: &str) -> Vec<Change> {
    if !state.instances.contains_key(id) {
        return Vec::new();
    }
    let checks = state.checks_of(id).map(|check| Change::NoCheck(check.id.clone()));
    checks.chain([Change::NoInstance(id.to_owned())]).collect()
}

/// Id of the check that `maint` sets.
pub(crate) fn maintenance(instance: &str) -> String {
    format!("_service_maintenance:{instance}")
}

fn maintain(state: &State, instance: &str, reason: Option<&str>) -> Result<Decision, Refusal> {
    if !state.instances.contains_key(instance) {
        return Err(Refusal::UnknownService(instance.to_owned()));
    }
    let id = maintenance(instance);
    let change = match reason {
        None => state.checks.contains_key(&id).then_some(Change::NoCheck(id)),
        Some(reason) => Some(Change::Check(Check {
            id,
            name: "Service Maintenance Mode".to_owned(),
            notes: reason.to_owned(),
            status: Status::Critical,
            instance: instance.to_owned(),
            ..Check::default()
        })),
    };
    Ok(Decision::of(change.into_iter().collect()))
}

fn put(state: &State, key: &str, value: &[u8], flags: u64, cas: Option<u64>) -> Decision {
    let old = state.pairs.get(key);
    let holds = cas.is_none_or(|cas| cas == old.map_or(0, |pair| pair.modified));
    let stays = old.is_some_and(|old| old.value == value && old.flags == flags);
    let pair = Pair { value: value.to_vec(), flags, ..Pair::default() };
    let change = (holds && !stays).then(|| Change::Pair { key: key.to_owned(), pair });
    Decision { changes: change.into_iter().collect(), holds }
}

fn delete(state: &State, key: &str, cas: Option<u64>) -> Decision {
    let Some(old) = state.pairs.get(key) else {
        return Decision { changes: Vec::new(), holds: true };
    };
    let holds = cas.is_none_or(|cas| cas == old.modified);
    let changes = if holds { vec![Change::NoPair(key.to_owned())] } else { Vec::new() };
    Decision { changes, holds }
}
