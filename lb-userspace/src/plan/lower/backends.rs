//! Backends: every one that may have flows, whether it takes new ones or not.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    net::IpAddr,
};

use lb_common::{Addr, BackendEntry, addr::from_ip, backend::flags, hash};

use super::{Obstacle, ids::Ids, nats::Nats, vips::Route};
use crate::{
    model::{Backend, BackendId, BackendState, Id, OnDown, Protocol, Service, Snapshot},
    plan::{KernelView, NetView, NextHop},
};

/// The backends of the kernel path.
pub(super) struct Backends<'a> {
    /// By id.
    pub(super) view: BTreeMap<u32, BackendEntry>,
    /// By service: its backends with their ids, in the service's order.
    pub(super) of: HashMap<&'a Id, Vec<(u32, &'a Backend)>>,
}

/// What stays the same about a backend: service, address, port and protocol.
type Key = (u64, Addr, u16, u32);

/// Takes every service that the kernel forwards to, and every one that it has
/// forwarded to: its flows go on when the router is sent elsewhere.
pub(super) fn lower<'a>(
    snapshot: &'a Snapshot,
    net: &NetView,
    previous: &KernelView,
    routes: &[Route<'a>],
    nats: &mut Nats,
    obstacles: &mut Vec<Obstacle>,
) -> Backends<'a> {
    let limit = snapshot.settings.datapath.backends;
    let mut ids: Ids<Key> =
        Ids::new(previous.backends.iter().map(|(&id, entry)| (key(entry), id)), limit);
    let routed: HashSet<&Id> = routes.iter().map(|route| &route.service.id).collect();
    let known: HashSet<u64> = previous.backends.values().map(|entry| entry.service).collect();
    let mut ways = Ways::new(net, &snapshot.settings.datapath.nat.addresses, nats);
    let mut view = Vec::new();
    let mut out = HashMap::new();
    for service in snapshot.services.values() {
        let name = hash::text(service.id.to_string().as_bytes());
        if !routed.contains(&service.id) && !known.contains(&name) {
            continue;
        }
        let mut of = Vec::with_capacity(service.backends.len());
        for backend in &service.backends {
            let name_of = || BackendId { service: service.id.clone(), address: backend.address };
            let mut entry = entry(service, name, backend);
            let Some(id) = ids.get(key(&entry)) else {
                obstacles.push(Obstacle::TooManyBackends { backend: name_of(), limit });
                continue;
            };
            obstacles.extend(ways.add(&mut entry, backend.address.ip(), name_of));
            view.push((id, entry));
            of.push((id, backend));
        }
        out.insert(&service.id, of);
    }
    Backends { view: view.into_iter().collect(), of: out }
}

fn key(entry: &BackendEntry) -> Key {
    (entry.service, entry.addr, entry.port, entry.proto)
}

/// What is known of a backend without the network.
fn entry(service: &Service, name: u64, backend: &Backend) -> BackendEntry {
    BackendEntry {
        addr: from_ip(backend.address.ip()),
        port: backend.address.port().to_be(),
        flags: flags::USED | state_flags(service, backend),
        service: name,
        weight: backend.weight(),
        proto: u32::from(service.id.protocol.number()),
        ..BackendEntry::default()
    }
}

/// What becomes of the flows it has.
fn state_flags(service: &Service, backend: &Backend) -> u32 {
    let resets_when_down = service.on_down == OnDown::Reset && service.id.protocol == Protocol::Tcp;
    match backend.health.state {
        _ if backend.expired => flags::DOWN | flags::RESET,
        BackendState::Down if resets_when_down => flags::DOWN | flags::RESET,
        BackendState::Down | BackendState::Pending => flags::DOWN,
        BackendState::Up | BackendState::Unchecked => 0,
    }
}

/// The ways to backends, and the addresses to send from.
struct Ways<'a> {
    net: &'a NetView,
    /// `datapath.nat.addresses`, by family.
    pool_v4: Vec<IpAddr>,
    pool_v6: Vec<IpAddr>,
    nats: &'a mut Nats,
    /// By what a route says: first index and number of its NAT addresses.
    sources: HashMap<IpAddr, Result<(u16, u16), Vec<IpAddr>>>,
}

impl<'a> Ways<'a> {
    fn new(net: &'a NetView, pool: &[IpAddr], nats: &'a mut Nats) -> Self {
        let (pool_v4, pool_v6) = pool.iter().partition(|address| address.is_ipv4());
        Self { net, pool_v4, pool_v6, nats, sources: HashMap::new() }
    }

    /// Adds what is known of the way to `ip`; what stands in its way, if anything does.
    fn add(
        &mut self,
        entry: &mut BackendEntry,
        ip: IpAddr,
        name: impl FnOnce() -> BackendId,
    ) -> Option<Obstacle> {
        let hop = self.net.next_hops.get(&ip)?;
        if let Some(mac) = hop.mac {
            entry.dst_mac = mac;
            entry.flags |= flags::RESOLVED;
        }
        if self.net.ifaces.get(&hop.ifindex).is_some_and(|iface| iface.xdp) {
            entry.flags |= flags::XDP;
        }
        entry.vlan = hop.vlan;
        entry.ifindex = hop.ifindex;
        entry.src_mac = hop.source_mac;
        entry.mtu = hop.mtu;
        match self.sources(ip, hop) {
            Some(Ok(run)) => {
                (entry.nat_first, entry.nat_count) = run;
                None
            }
            Some(Err(addresses)) => Some(Obstacle::TooManyNatAddresses { addresses }),
            None => Some(Obstacle::NoNatAddress { backend: name() }),
        }
    }

    /// Where the addresses to send from stand: the pool, or what the route says.
    fn sources(&mut self, ip: IpAddr, hop: &NextHop) -> Option<Result<(u16, u16), Vec<IpAddr>>> {
        let pool = if ip.is_ipv4() { &self.pool_v4 } else { &self.pool_v6 };
        let source = hop.source.filter(|source| source.is_ipv4() == ip.is_ipv4());
        let name = pool.first().copied().or(source)?;
        let run = self.sources.entry(name).or_insert_with(|| {
            let run = if pool.is_empty() { vec![name] } else { pool.clone() };
            self.nats.run(&run).map(|first| (first, run.len() as u16)).ok_or(run)
        });
        Some(run.clone())
    }
}
