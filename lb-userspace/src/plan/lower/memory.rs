//! What the last lowering found of each service, so that a change costs what it touches and not
//! what there is: of a hundred thousand backends a verdict changes one.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use lb_common::{BackendEntry, hash};

use super::{Obstacle, backends::Key};
use crate::{
    model::{Backend, Datapath, Id, Service},
    plan::{KernelView, NetView},
};

/// Of all services with backends in the kernel.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// What else it was made from; `None` before the first time.
    made_from: Option<(Datapath, NetView)>,
    pub(super) of: BTreeMap<Id, Known>,
    /// Backends that the kernel holds and no service of `of` has: by service.
    unclaimed: HashMap<u64, Vec<(Key, u32)>>,
}

/// One service, as it was lowered.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) service: Arc<Service>,
    /// Ids and entries of its backends, with their index in the service.
    pub(super) entries: Vec<(u32, usize, BackendEntry)>,
    pub(super) obstacles: Vec<Obstacle>,
    /// By IP version, 4 first, where asked for.
    pub(super) rings: [Option<Asked>; 2],
}

/// What fills the ring of a service.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    /// Its recipe's name; `None` where nobody takes connections.
    pub(super) recipe: Option<u64>,
    pub(super) obstacle: Option<Obstacle>,
}

impl Memory {
    /// Makes ready for the next lowering; forgets all where what it was made from has changed.
    /// Returns whether it did.
    pub(super) fn begin(
        &mut self,
        datapath: &Datapath,
        net: &NetView,
        previous: &KernelView,
    ) -> bool {
        let is_same = |(d, n): &(Datapath, NetView)| d == datapath && n == net;
        if self.made_from.as_ref().is_some_and(is_same) {
            return false;
        }
        *self = Self { made_from: Some((datapath.clone(), net.clone())), ..Self::default() };
        for (&id, entry) in &previous.backends {
            let of = self.unclaimed.entry(entry.service).or_default();
            of.push((super::backends::key(entry), id));
        }
        true
    }

    /// Whether nothing has changed about the service since it was lowered.
    pub(super) fn same(&self, service: &Arc<Service>) -> bool {
        self.of.get(&service.id).is_some_and(|known| Arc::ptr_eq(&known.service, service))
    }

    /// The ids that backends of a service have in the kernel; none where it has never had any.
    pub(super) fn ids(&mut self, service: &Service, name: u64) -> Vec<(Key, u32)> {
        match self.of.get(&service.id) {
            Some(known) => known.ids().collect(),
            None => self.unclaimed.remove(&name).unwrap_or_default(),
        }
    }

    /// Whether the kernel holds backends of it.
    pub(super) fn holds(&self, service: &Id) -> bool {
        match self.of.get(service) {
            Some(known) => !known.entries.is_empty(),
            None => self.unclaimed.contains_key(&hash::text(service.to_string().as_bytes())),
        }
    }

    /// After a lowering: what no service has claimed goes with the plan.
    pub(super) fn end(&mut self) {
        self.unclaimed.clear();
    }
}

impl Known {
    /// Its backends with their ids, in the service's order.
    pub(super) fn backends(&self) -> impl Iterator<Item = (u32, &Backend)> {
        self.entries.iter().map(|(id, index, _)| (*id, &self.service.backends[*index]))
    }

    fn ids(&self) -> impl Iterator<Item = (Key, u32)> {
        self.entries.iter().map(|(id, _, entry)| (super::backends::key(entry), *id))
    }
}
