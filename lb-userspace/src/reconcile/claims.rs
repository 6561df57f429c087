//! Who has which entry point.
//!
//! A router that takes everything (UDP, or TCP without a rule and without TLS) has its entry points
//! whole; among several the one of the highest priority has them. HTTP routers and TCP routers
//! with a rule share an entry point in the proxy, and so does a router that takes everything
//! beside them: it is asked last. Where the kernel has an entry point, nothing is left to share;
//! so a router of the kernel gives way to those that name its entry point, unless it says
//! `datapath: kernel`.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
};

use super::{
    path::takes_all,
    routers::{Trouble, fault, priority},
};
use crate::model::{EntryPoint, Id, Path, PathChoice, Router, RouterConfig};

/// A router whose references are resolved.
pub(super) struct Candidate<'a> {
    pub(super) config: &'a RouterConfig,
    /// Those that it names, or all of its protocol.
    pub(super) points: Vec<&'a EntryPoint>,
    pub(super) router: Router,
}

impl Candidate<'_> {
    /// Whether the entry points are its own choice.
    fn is_explicit(&self) -> bool {
        !self.config.entry_points.is_empty()
            || self.points.iter().any(|point| point.options.as_default)
    }
}

/// Settles who has which entry point.
pub(super) fn claim(
    candidates: Vec<Candidate<'_>>,
    troubles: &mut Vec<Trouble>,
) -> BTreeMap<Id, Router> {
    let (whole, sharing): (Vec<_>, Vec<_>) =
        candidates.into_iter().partition(|candidate| takes_all(candidate.config));
    let whole = give_way(whole, &sharing);
    // Made a map at the end: of sorted ones that is quick, however many there are.
    let mut routers = Vec::with_capacity(whole.len() + sharing.len());
    let mut in_kernel: HashMap<String, Id> = HashMap::new();
    for router in by_priority(whole, troubles) {
        if router.path == Path::Kernel {
            let names = router.entry_points.iter().cloned();
            in_kernel.extend(names.map(|name| (name, router.id.clone())));
        }
        routers.push((router.id.clone(), router));
    }
    for mut candidate in sharing {
        match share(&mut candidate, &in_kernel) {
            Ok(()) => routers.push((candidate.config.id.clone(), candidate.router)),
            Err(trouble) => troubles.push(trouble),
        }
    }
    routers.into_iter().collect()
}

/// Routers of the kernel go through the proxy where others name their entry point as well.
fn give_way<'a>(whole: Vec<Candidate<'a>>, sharing: &[Candidate<'_>]) -> Vec<Candidate<'a>> {
    let mut shared: HashMap<&str, &Id> = HashMap::new();
    for other in sharing.iter().filter(|other| other.is_explicit()) {
        for point in &other.points {
            shared.entry(&point.name).or_insert(&other.config.id);
        }
    }
    let mut whole = whole;
    for candidate in &mut whole {
        let Candidate { config, points, router } = candidate;
        if router.path != Path::Kernel || config.datapath != PathChoice::Auto {
            continue;
        }
        let with = points.iter().find_map(|point| Some((point, shared.get(&*point.name)?)));
        if let Some((point, other)) = with {
            router.path = Path::Proxy;
            router.priority = priority(config, Path::Proxy);
            router.why = format!("shares entry point {:?} with {other}", point.name).into();
        }
    }
    whole
}

/// Gives each entry point to one of the routers that take all: that of the highest priority, the
/// first by name among equals.
fn by_priority(mut whole: Vec<Candidate<'_>>, troubles: &mut Vec<Trouble>) -> Vec<Router> {
    whole.sort_by_key(|one| (Reverse(one.config.priority), &one.config.id));
    let mut holders: HashMap<String, &RouterConfig> = HashMap::new();
    let mut routers = Vec::new();
    for Candidate { config, mut router, .. } in whole {
        let held = router.entry_points.iter().find_map(|name| Some((name, *holders.get(name)?)));
        let equal = held.filter(|(_, holder)| holder.priority == config.priority);
        if let Some((name, holder)) = equal {
            let message = format!(
                "router {} has entry point {name:?} already, with the same priority; give one of \
                 them a higher `priority` or another entry point",
                holder.id
            );
            troubles.push(Trouble::off(fault(config, ".entryPoints", message), config));
            continue;
        }
        if let Some((name, holder)) = held {
            router.why = format!("{}; {} has {name} by its priority", router.why, holder.id).into();
        }
        router.entry_points.retain(|name| !holders.contains_key(name));
        holders.extend(router.entry_points.iter().map(|name| (name.clone(), config)));
        routers.push(router);
    }
    routers
}

/// Leaves out entry points that the kernel has.
fn share(candidate: &mut Candidate<'_>, in_kernel: &HashMap<String, Id>) -> Result<(), Trouble> {
    let config = candidate.config;
    let router = &mut candidate.router;
    let taken = router.entry_points.iter().find_map(|name| Some((name, in_kernel.get(name)?)));
    let Some((name, holder)) = taken else { return Ok(()) };
    let message = format!(
        "router {holder} has entry point {name:?} whole, in the kernel; give one of them another \
         entry point, or that one `datapath: proxy`"
    );
    let why = format!("{}; {holder} has {name} whole, in the kernel", router.why);
    let named = !config.entry_points.is_empty();
    router.entry_points.retain(|name| !in_kernel.contains_key(name));
    if router.entry_points.is_empty() {
        return Err(Trouble::off(fault(config, ".entryPoints", message), config));
    }
    if named {
        router.why = why.into();
    }
    Ok(())
}
