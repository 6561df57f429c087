//! From snapshot and network to the contents of the kernel maps.
//!
//! Ids stay what they were: what the kernel holds already ([`KernelView`] as of
//! now) is found again by identity, and the id of something forgotten is not
//! given away before a plan has dropped it.

mod backends;
mod config;
mod ids;
mod ifaces;
mod memory;
mod nats;
mod obstacle;
mod rings;
#[cfg(test)]
mod tests;
mod vips;

use lb_common::HashKey;

use crate::{
    model::Snapshot,
    plan::{KernelView, NetView},
};

pub use obstacle::Obstacle;

/// What the daemon knows of the kernel and its maps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KernelFacts {
    /// Keys of the flow hash, as the tables in place have them.
    pub hash_key: HashKey,
    /// Keys of choices where neither configuration nor other nodes say any: those in force.
    pub choice_key: HashKey,
    /// Forward buckets of established flows.
    pub est_buckets: u32,
    /// Forward buckets of half-open flows.
    pub half_buckets: u32,
    /// Reply buckets.
    pub reply_buckets: u32,
    /// Jiffies a second.
    pub hz: u32,
    /// First and last port that lb's own health checks send from.
    pub own_ports: (u16, u16),
}

/// The outcome of [`lower`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Lowered {
    /// What the maps are to hold.
    pub view: KernelView,
    /// What of the snapshot isn't in it, or can't work, and why.
    pub obstacles: Vec<Obstacle>,
}

/// What the kernel maps are to hold for a snapshot on a network. `previous` is what they hold now.
pub fn lower(
    snapshot: &Snapshot,
    net: &NetView,
    facts: &KernelFacts,
    previous: &KernelView,
) -> Lowered {
    Lowerer::default().lower(snapshot, net, facts, previous)
}

/// As [`lower`], one snapshot after the other: what hasn't changed since the last isn't looked at
/// again.
#[derive(Debug, Default)]
pub struct Lowerer {
    memory: memory::Memory,
}

impl Lowerer {
    /// See [`lower`]. `previous` is what this returned last time; after anything else a new
    /// [`Lowerer`] has to begin.
    pub fn lower(
        &mut self,
        snapshot: &Snapshot,
        net: &NetView,
        facts: &KernelFacts,
        previous: &KernelView,
    ) -> Lowered {
        let mut obstacles = Vec::new();
        let mut nats = nats::Nats::new(previous);
        let routes = vips::routes(snapshot, net, &mut obstacles);
        let memory = &mut self.memory;
        let backends = backends::lower(snapshot, net, previous, &routes, &mut nats, memory);
        let size = snapshot.settings.datapath.ring_size;
        let rings = rings::lower(&routes, memory, size, previous, &mut obstacles);
        obstacles.extend(memory.of.values().flat_map(|known| known.obstacles.iter().cloned()));
        let view = KernelView {
            config: config::lower(snapshot, net, facts),
            nats: nats.into_view(),
            ifaces: ifaces::lower(net, previous, &mut obstacles),
            vips: vips::lower(&routes, &rings, previous, &mut obstacles),
            rings: rings.view,
            backends,
        };
        obstacles.sort();
        obstacles.dedup();
        Lowered { view: view.with_nat_filter(), obstacles }
    }
}
