//! What the proxy serves and has counted, for those who only read: metrics, API, `lb explain http`.

use std::{
    collections::BTreeMap,
    fmt,
    net::SocketAddr,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use arc_swap::ArcSwap;

use super::{
    observe::Observing,
    table::{Balanced, Entry, Route, RouteFault, Slot},
    tcp::ConnectionCounts,
    tls::Store,
    udp,
};
use crate::{
    model::{BackendId, Id},
    shift::Reading,
};

/// Shares the proxy's own tables: making one copies nothing.
#[derive(Clone, Default)]
pub struct View {
    pub(crate) entries: Arc<BTreeMap<String, Arc<Entry>>>,
    pub(crate) udp: Arc<BTreeMap<String, Arc<udp::Entry>>>,
    pub(crate) routes: Arc<BTreeMap<Id, Arc<Route>>>,
    pub(crate) slots: Arc<BTreeMap<Id, Arc<Slot>>>,
    pub(crate) observing: Arc<ArcSwap<Observing>>,
    pub(crate) tls: Arc<Store>,
    /// Routers of HTTP that are off, and why.
    pub(crate) faults: Arc<BTreeMap<Id, RouteFault>>,
}

/// What was counted of a service or of a server.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Traffic {
    /// Requests that it has now.
    pub active: u64,
    /// Requests that have ended.
    pub requests: u64,
    /// Bytes of bodies, towards servers and back.
    pub bytes: (u64, u64),
    /// Requests a second, over the last seconds.
    pub rate: f64,
    /// Mean duration of the last requests in milliseconds; 0 before the first.
    pub latency: f64,
}

impl View {
    /// Of each service with servers of its own, what was counted of it and of its servers.
    pub fn traffic(&self) -> impl Iterator<Item = (&Id, Traffic, Vec<(SocketAddr, Traffic)>)> {
        self.slots.iter().map(|(id, slot)| {
            let service = slot.current.load();
            let servers = servers(&service);
            let (requests, _) = service.stats.requests.total();
            let whole = Traffic {
                requests,
                active: servers.iter().map(|(_, server)| server.active).sum(),
                bytes: bytes(&service.stats.requests),
                rate: service.stats.rate.per_second(),
                latency: service.stats.rate.latency(),
            };
            (id, whole, servers)
        })
    }

    /// Whether a server has requests, connections or sessions now.
    pub(crate) fn is_busy(&self, backend: &BackendId) -> bool {
        let Some(slot) = self.slots.get(&backend.service) else { return false };
        let service = slot.current.load();
        let mut servers = service.group().servers().iter();
        servers.any(|server| server.address() == backend.address && server.active() > 0)
    }

    /// Of each server that was ejected at least once: when its latest ejection ends, and whether it
    /// is ejected now.
    pub(crate) fn ejections(&self) -> impl Iterator<Item = (&Id, SocketAddr, u64, bool)> {
        self.slots.iter().flat_map(|(id, slot)| {
            let service = slot.current.load();
            let servers = service.group().servers().iter();
            let found = servers.map(|server| (server.address(), server.ejection()));
            let found: Vec<_> = found.filter(|(_, (until, _))| *until > 0).collect();
            found.into_iter().map(move |(address, (until, is_now))| (id, address, until, is_now))
        })
    }

    /// What was counted of the answers of a service, or of one server of it.
    pub(crate) fn reading(&self, service: &Id, server: Option<SocketAddr>) -> Option<Reading> {
        let service = self.slots.get(service)?.current.load();
        let series = match server {
            None => service.stats.requests.read(),
            Some(address) => {
                let mut servers = service.group().servers().iter();
                let server = servers.find(|server| server.address() == address)?;
                service.servers.get(&server.id())?.requests.read()
            }
        };
        let mut all = Reading::default();
        for (key, counted) in series {
            let errors = if key.code >= 500 { counted.count } else { 0 };
            let (requests, buckets) = (counted.count, counted.buckets);
            all.add(&Reading { requests, errors, buckets });
        }
        Some(all)
    }

    /// What is counted of connections and sessions that aren't HTTP, by entry point and router.
    pub fn connections(&self) -> Vec<ConnectionCounts> {
        let mut all = Vec::new();
        for entry in self.entries.values() {
            let table = entry.table.load();
            all.push(ConnectionCounts::new(&entry.name, None, &table.tcp.stats));
            let routes = table.tcp.routes();
            all.extend(
                routes
                    .map(|route| ConnectionCounts::new(&entry.name, Some(&route.id), &route.stats)),
            );
        }
        for entry in self.udp.values() {
            if let Some(route) = &*entry.route.load() {
                all.push(ConnectionCounts::new(&entry.name, Some(&route.id), &route.stats));
            }
        }
        all
    }

    /// Why spans don't reach their collector now, if they don't.
    pub(crate) fn span_trouble(&self) -> Option<String> {
        self.observing.load().spans.as_ref()?.trouble()
    }

    /// A second has passed: rates are made of what came meanwhile.
    pub(crate) fn tick(&self) {
        for slot in self.slots.values() {
            let service = slot.current.load();
            service.stats.rate.tick(service.stats.requests.total());
            for server in service.servers.values() {
                server.rate.tick(server.requests.total());
            }
        }
    }
}

fn servers(service: &Balanced) -> Vec<(SocketAddr, Traffic)> {
    let of = |server: &Arc<crate::balance::Server>| {
        let mut traffic = Traffic { active: u64::from(server.active()), ..Traffic::default() };
        if let Some(stats) = service.servers.get(&server.id()) {
            traffic.requests = stats.requests.total().0;
            traffic.bytes = bytes(&stats.requests);
            traffic.rate = stats.rate.per_second();
            traffic.latency = stats.rate.latency();
        }
        (server.address(), traffic)
    };
    service.group().servers().iter().map(of).collect()
}

fn bytes(series: &super::observe::Series) -> (u64, u64) {
    series
        .read()
        .iter()
        .fold((0, 0), |(up, down), (_, reading)| (up + reading.bytes.0, down + reading.bytes.1))
}

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let accepted: u64 =
            self.entries.values().map(|entry| entry.stats.accepted.load(Relaxed)).sum();
        write!(f, "View of {} routers, {accepted} connections accepted", self.routes.len())
    }
}
