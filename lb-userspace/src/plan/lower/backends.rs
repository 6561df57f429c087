//! Backends: every one that may have flows, whether it takes new ones or not.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    net::IpAddr,
    sync::Arc,
};

use lb_common::{Addr, BackendEntry, addr::from_ip, backend::flags, hash};

use super::{
    Obstacle,
    ids::Ids,
    memory::{Known, Memory},
    nats::Nats,
    vips::Route,
};
use crate::{
    model::{Backend, BackendId, BackendState, Id, OnDown, Protocol, Service, Snapshot},
    plan::{KernelView, NetView, NextHop},
};

/// What stays the same about a backend: service, address, port and protocol.
pub(super) type Key = (u64, Addr, u16, u32);

/// Takes every service that the kernel forwards to, and every one that it has
/// forwarded to: its flows go on when the router is sent elsewhere. Returns the backends by id.
pub(super) fn lower(
    snapshot: &Snapshot,
    net: &NetView,
    previous: &KernelView,
    routes: &[Route<'_>],
    nats: &mut Nats,
    memory: &mut Memory,
) -> BTreeMap<u32, BackendEntry> {
    let datapath = &snapshot.settings.datapath;
    let is_new = memory.begin(datapath, net, previous);
    let routed: HashSet<&Id> = routes.iter().map(|route| &route.service.id).collect();
    let services = snapshot.services.values();
    let wanted = services.filter(|s| routed.contains(&s.id) || memory.holds(&s.id));
    let wanted: BTreeMap<&Id, &Arc<Service>> = wanted.map(|s| (&s.id, s)).collect();
    let mut changed = Changed::default();
    memory.of.retain(|id, known| {
        let stays = wanted.contains_key(id);
        if !stays {
            changed.gone.extend(known.entries.iter().map(|(id, ..)| *id));
        }
        stays
    });
    let taken = |id: u32| previous.backends.contains_key(&id);
    let mut ids = Ids::beside(taken, datapath.backends);
    let mut ways = Ways::new(net, &datapath.nat.addresses, nats);
    for service in wanted.into_values() {
        if memory.same(service) {
            continue;
        }
        let name = hash::text(service.id.to_string().as_bytes());
        let had = memory.ids(service, name);
        changed.gone.extend(had.iter().map(|(_, id)| *id));
        ids.know(had);
        memory.of.insert(service.id.clone(), known(service, name, &mut ids, &mut ways));
        changed.services.insert(&service.id);
    }
    memory.end();
    let whole = if is_new { None } else { Some(&previous.backends) };
    changed.view(whole, memory)
}

/// What differs from the view before.
#[derive(Default)]
struct Changed<'s> {
    services: BTreeSet<&'s Id>,
    /// Ids that those services, and those that went, had.
    gone: Vec<u32>,
}

impl Changed<'_> {
    /// The view after `previous`, or, without one, of everything in `memory`.
    fn view(
        &self,
        previous: Option<&BTreeMap<u32, BackendEntry>>,
        memory: &Memory,
    ) -> BTreeMap<u32, BackendEntry> {
        let of = |known: &Known| -> Vec<_> {
            known.entries.iter().map(|(id, _, entry)| (*id, *entry)).collect()
        };
        let Some(previous) = previous else {
            return memory.of.values().flat_map(of).collect();
        };
        let mut view = previous.clone();
        self.gone.iter().for_each(|id| _ = view.remove(id));
        view.extend(self.services.iter().filter_map(|id| memory.of.get(*id)).flat_map(of));
        view
    }
}

fn known<T: Fn(u32) -> bool>(
    service: &Arc<Service>,
    name: u64,
    ids: &mut Ids<Key, T>,
    ways: &mut Ways<'_>,
) -> Known {
    let mut known = Known {
        service: Arc::clone(service),
        entries: Vec::with_capacity(service.backends.len()),
        obstacles: Vec::new(),
        rings: [None, None],
    };
    for (index, backend) in service.backends.iter().enumerate() {
        let name_of = || BackendId { service: service.id.clone(), address: backend.address };
        let mut entry = entry(service, name, backend);
        let Some(id) = ids.get(key(&entry)) else {
            let limit = ids.limit();
            known.obstacles.push(Obstacle::TooManyBackends { backend: name_of(), limit });
            continue;
        };
        known.obstacles.extend(ways.add(&mut entry, backend.address.ip(), name_of));
        known.entries.push((id, index, entry));
    }
    known
}

pub(super) fn key(entry: &BackendEntry) -> Key {
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
