//! The only writer: takes events, merges and validates, and makes snapshots.
//!
//! Synchronous and without I/O; the daemon's loop feeds it from a channel and
//! publishes what it returns.

mod claims;
mod event;
mod internal;
mod known;
mod member;
mod merged;
mod models;
mod others;
mod path;
mod roster;
mod routers;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

pub use event::{Adopted, Event};
pub(crate) use merged::is_alike_to_routers;
pub(crate) use routers::judge;

use crate::model::{
    ChoiceKey, Dynamic, EntryPoint, Fault, Id, Service, Settings, Shared, Snapshot,
};
use merged::Merged;
use roster::Roster;

/// Holds what every source said last, and what is in force.
#[derive(Debug, Default)]
pub struct Reconciler {
    snapshot: Arc<Snapshot>,
    /// The static part; no snapshot is made before it is known.
    fixed: Option<(Arc<Settings>, BTreeMap<String, EntryPoint>)>,
    providers: BTreeMap<String, Dynamic>,
    roster: Roster,
    merged: Merged,
    /// Whether routers, and which services there are, must be worked out again.
    restructure: bool,
    /// Whether a host name in use has other addresses.
    renamed: bool,
    /// What the nodes that share a bucket have agreed on.
    agreed: Option<ChoiceKey>,
    /// What was wrong when routers were worked out last, names without addresses aside.
    faults: Vec<Fault>,
}

impl Reconciler {
    /// Nothing known, nothing in force.
    pub fn new() -> Self {
        Self::default()
    }

    /// What is in force; generation 0, and empty, before the first snapshot.
    pub fn snapshot(&self) -> &Arc<Snapshot> {
        &self.snapshot
    }

    /// Tells which backends the kernel holds from before this daemon's start. To be called before
    /// the first event: what the configuration then has keeps its verdict, the rest leaves.
    pub fn adopt(&mut self, found: impl IntoIterator<Item = Adopted>) {
        self.roster.adopt(found);
    }

    /// Takes one event. `now` is the time since any fixed moment, never going back.
    /// `None` when nothing changed by it.
    ///
    /// At start, give the static part and every provider's first update to
    /// [`Reconciler::handle_all`] at once: a snapshot without a provider's part is one from which
    /// its services are gone.
    pub fn handle(&mut self, event: Event, now: Duration) -> Option<Arc<Snapshot>> {
        self.handle_all([event], now)
    }

    /// Takes several events and makes one snapshot.
    pub fn handle_all(
        &mut self,
        events: impl IntoIterator<Item = Event>,
        now: Duration,
    ) -> Option<Arc<Snapshot>> {
        for event in events {
            self.take(event, now);
        }
        let next = self.next(now)?;
        self.snapshot = Arc::new(next);
        Some(Arc::clone(&self.snapshot))
    }

    fn take(&mut self, event: Event, now: Duration) {
        match event {
            Event::Static { settings, entry_points } => {
                self.fixed = Some((Arc::new(*settings), entry_points));
                self.restructure = true;
            }
            Event::Update { provider, dynamic } => {
                self.providers.insert(provider, dynamic);
                self.restructure = true;
            }
            Event::Resolved { host, addresses } => {
                self.renamed |= self.roster.resolved(host, addresses);
            }
            Event::Health { backend, health } => self.roster.health(&backend, health),
            Event::Weight { backend, weight } => self.roster.weigh(backend, weight),
            Event::PartWeight { service, part, weight } => {
                self.roster.weigh_part(service, part, weight);
            }
            Event::Drain { backend, drain } => self.roster.drain(backend, drain),
            Event::Empty { backend } => self.roster.forget(&backend),
            Event::Agreed { key } => self.agreed = Some(key),
            Event::Tick => self.roster.tick(now),
        }
    }

    /// The snapshot that what is known now comes to, if it differs from the one in force.
    fn next(&mut self, now: Duration) -> Option<Snapshot> {
        let (settings, entry_points) = self.fixed.as_ref()?;
        let is_agreed = self.agreed == self.snapshot.agreed;
        if !self.restructure && !self.renamed && is_agreed && !self.roster.is_dirty() {
            return None; // nearly each second's tick: nothing is copied for it
        }
        let mut next = Snapshot { generation: self.snapshot.generation + 1, ..Snapshot::default() };
        next.settings = Arc::clone(settings);
        next.agreed = self.agreed;
        let mut faults = Vec::new();
        if self.restructure {
            let services = merge_services(&self.providers, &mut faults);
            self.roster.configure(services);
        }
        next.services = self.snapshot.services.clone();
        let moved = self.roster.refresh(&mut next.services, now);
        if self.restructure {
            self.restructure = false;
            next.entry_points = entry_points.clone();
            self.merged.follow(&self.providers, settings, entry_points);
            next.routers = Arc::clone(&self.merged.routers);
            faults.extend_from_slice(&self.merged.faults);
            others::merge(&self.providers, &self.snapshot, &mut next, &mut faults);
            self.faults = faults;
        } else if moved || self.renamed || !is_agreed {
            next.entry_points = self.snapshot.entry_points.clone();
            next.routers = Arc::clone(&self.snapshot.routers);
            next.middlewares = self.snapshot.middlewares.clone();
            next.transports = self.snapshot.transports.clone();
            next.tls = self.snapshot.tls.clone();
        } else {
            return None;
        }
        self.renamed = false;
        next.faults = self.faults.iter().cloned().chain(self.roster.unresolved()).collect();
        let same = next.generation > 1
            && !moved
            && next.settings == self.snapshot.settings
            && next.agreed == self.snapshot.agreed
            && next.entry_points == self.snapshot.entry_points
            && Arc::ptr_eq(&next.routers, &self.snapshot.routers)
            && next.middlewares == self.snapshot.middlewares
            && next.transports == self.snapshot.transports
            && next.tls == self.snapshot.tls
            && next.faults == self.snapshot.faults;
        (!same).then_some(next)
    }
}

/// All services, and the faults that the sources themselves report.
fn merge_services<'a>(
    providers: &'a BTreeMap<String, Dynamic>,
    faults: &mut Vec<Fault>,
) -> BTreeMap<&'a Id, &'a Shared<Service>> {
    let mut services = BTreeMap::new();
    let mut twice = BTreeSet::new();
    for (provider, dynamic) in providers {
        faults.extend(dynamic.faults.iter().cloned());
        for service in &dynamic.services {
            if services.contains_key(&service.id) && twice.insert(&service.id) {
                faults.push(duplicate(provider, "services", &service.id));
            }
            services.entry(&service.id).or_insert(service);
        }
    }
    services
}

fn duplicate(provider: &str, kind: &str, id: &Id) -> Fault {
    Fault {
        place: crate::model::Place { file: provider.to_owned(), ..Default::default() },
        path: format!("{}.{kind}.{}", id.protocol, id.name),
        message: format!(
            "{} stands twice; the first one is used, rename the other",
            id.qualified()
        ),
        hint: None,
        off: None,
    }
}
