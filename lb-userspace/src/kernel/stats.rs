//! What the programs count, summed over CPUs.

use std::collections::BTreeMap;

use aya::maps::{MapData, PerCpuArray};
use lb_common::{BackendStats, DropReason, Event, flow::SIG_FREE, maps};

use super::{
    error::{KernelError as E, Result},
    flows::Reader,
};

/// Counters as of now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Packets dropped, by reason, every reason in its order.
    pub drops: Vec<(DropReason, u64)>,
    /// What else is counted, every event in its order.
    pub events: Vec<(Event, u64)>,
    /// By backend id, as asked for.
    pub backends: BTreeMap<u32, BackendCounters>,
    /// Entries among the established flows.
    pub established: u64,
    /// Entries among the half-open flows.
    pub half_open: u64,
    /// Entries there is room for among the established.
    pub established_slots: u64,
    /// Entries there is room for among the half-open.
    pub half_open_slots: u64,
}

/// Counters of one backend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BackendCounters {
    /// Since the backend came.
    pub total: BackendStats,
    /// Flows now on it.
    pub active: u64,
}

impl Reader {
    /// The counters, with those of the backends `ids`. A few microseconds a backend, and a read
    /// of all signatures: 2 ms for each million of connections configured.
    ///
    /// # Errors
    /// A map can't be read.
    pub fn stats(&self, ids: impl IntoIterator<Item = u32>) -> Result<Stats> {
        let counted = |map, name, index: u32| Ok::<_, E>(sum(map, name, index)?.iter().sum());
        let mut stats = Stats::default();
        for reason in DropReason::ALL {
            stats.drops.push((*reason, counted(&self.drops, maps::DROPS, *reason as u32)?));
        }
        for event in Event::ALL {
            stats.events.push((*event, counted(&self.events, maps::EVENTS, *event as u32)?));
        }
        for id in ids {
            stats.backends.insert(id, self.backend_counters(id)?);
        }
        for bucket in 0..self.table.buckets() {
            let signatures = self.table.signatures(bucket);
            let taken = signatures.iter().filter(|sig| **sig != SIG_FREE).count() as u64;
            let (entries, slots) = match self.table.is_half_open(bucket) {
                true => (&mut stats.half_open, &mut stats.half_open_slots),
                false => (&mut stats.established, &mut stats.established_slots),
            };
            *entries += taken;
            *slots += signatures.len() as u64;
        }
        Ok(stats)
    }

    /// The counters of one backend.
    ///
    /// # Errors
    /// The map can't be read.
    pub fn backend_counters(&self, id: u32) -> Result<BackendCounters> {
        let mut total = BackendStats::default();
        for cpu in sum(&self.stats, maps::STATS, id)? {
            total.packets += cpu.packets;
            total.bytes += cpu.bytes;
            total.reply_packets += cpu.reply_packets;
            total.reply_bytes += cpu.reply_bytes;
            total.connections += cpu.connections;
            total.refused += cpu.refused;
        }
        Ok(BackendCounters { total, active: self.active(id) })
    }
}

fn sum<V: aya::Pod>(map: &PerCpuArray<MapData, V>, name: &str, index: u32) -> Result<Vec<V>> {
    let values = map.get(&index, 0).map_err(E::aya_map(name, format!("read of {index}")))?;
    Ok(values.to_vec())
}
