//! What the kernel counted, under the model's names.

use std::collections::BTreeMap;

use lb_common::{BackendStats, DropReason, Event};

use crate::{
    model::{BackendId, Id, Service},
    proxy::{Traffic, View},
};

/// One reading of the kernel's counters, all CPUs summed. Empty while nothing is loaded.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Counts {
    /// By backend.
    pub backends: BTreeMap<BackendId, BackendCount>,
    /// By [`DropReason`] index.
    pub drops: Vec<u64>,
    /// By [`Event`] index.
    pub events: Vec<u64>,
    /// Flows in the table now.
    pub flows: u64,
    /// Requests a second, and how many milliseconds they take, of services in the proxy.
    pub rates: BTreeMap<Id, (f64, f64)>,
}

/// Of one backend.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct BackendCount {
    /// Since it came.
    pub stats: BackendStats,
    /// Flows now; in the proxy, requests.
    pub active: u64,
    /// Requests a second, in the proxy.
    pub rate: f64,
    /// How many milliseconds they take.
    pub latency: f64,
}

impl Counts {
    /// Adds what the proxy counted: requests stand in the place of connections.
    pub(crate) fn add(&mut self, proxy: &View) {
        for (id, whole, servers) in proxy.traffic() {
            self.rates.insert(id.clone(), (whole.rate, whole.latency));
            for (address, server) in servers {
                let stats = BackendStats {
                    connections: server.requests,
                    bytes: server.bytes.0,
                    reply_bytes: server.bytes.1,
                    ..BackendStats::default()
                };
                let Traffic { active, rate, latency, .. } = server;
                let count = BackendCount { stats, active, rate, latency };
                let backend = BackendId { service: id.clone(), address };
                // What the proxy has nothing to say of may be the kernel's.
                if active > 0 || server.requests > 0 {
                    self.backends.insert(backend, count);
                }
            }
        }
    }

    /// Requests a second, and how many milliseconds they take, of a service.
    pub(crate) fn rate(&self, service: &Id) -> (f64, f64) {
        self.rates.get(service).copied().unwrap_or_default()
    }

    /// Of one backend; zeros when the kernel has it not.
    pub(crate) fn of(&self, service: &Id, address: std::net::SocketAddr) -> BackendCount {
        let id = BackendId { service: service.clone(), address };
        self.backends.get(&id).copied().unwrap_or_default()
    }

    /// Flows now and flows begun, of all backends of a service.
    pub(crate) fn connections(&self, service: &Service) -> (u64, u64) {
        service
            .backends
            .iter()
            .map(|b| self.of(&service.id, b.address))
            .fold((0, 0), |(active, begun), c| (active + c.active, begun + c.stats.connections))
    }

    /// Every reason with its count.
    pub(crate) fn drops(&self) -> impl Iterator<Item = (DropReason, u64)> {
        DropReason::ALL.iter().map(|r| (*r, self.drops.get(*r as usize).copied().unwrap_or(0)))
    }

    /// Every event with its count.
    pub(crate) fn events(&self) -> impl Iterator<Item = (Event, u64)> {
        Event::ALL.iter().map(|e| (*e, self.events.get(*e as usize).copied().unwrap_or(0)))
    }
}
