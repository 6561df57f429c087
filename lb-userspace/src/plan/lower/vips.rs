//! VIPs: the entry points of routers that the kernel forwards.

use std::{
    collections::{BTreeMap, HashMap},
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use lb_common::{
    VipEntry,
    addr::from_ip,
    hash,
    vip::{MAX_VIPS, NO_RING, algorithm, flags},
};

use super::{Obstacle, ids::Ids, rings::Rings};
use crate::{
    model::{Algorithm, EntryPoint, OnEmpty, Path, Protocol, Service, Snapshot},
    plan::{KernelView, NetView},
};

/// A VIP and the service behind it.
pub(super) struct Route<'a> {
    pub(super) vip: SocketAddr,
    pub(super) protocol: Protocol,
    pub(super) service: &'a Arc<Service>,
}

/// What the kernel forwards, each address and port once: those written out come
/// before those that `:PORT` stands for.
pub(super) fn routes<'a>(
    snapshot: &'a Snapshot,
    net: &NetView,
    obstacles: &mut Vec<Obstacle>,
) -> Vec<Route<'a>> {
    let mut points: Vec<(&EntryPoint, &Arc<Service>)> = snapshot
        .routers
        .values()
        .filter(|router| router.path == Path::Kernel)
        .filter_map(|router| Some((router, snapshot.services.get(&router.service)?)))
        .flat_map(|(router, service)| router.entry_points.iter().map(move |name| (name, service)))
        .filter_map(|(name, service)| Some((snapshot.entry_points.get(name)?, service)))
        .collect();
    points.sort_by_key(|(point, _)| point.ip.is_none());
    let mut taken: HashMap<(SocketAddr, Protocol), &EntryPoint> = HashMap::new();
    let mut routes = Vec::new();
    for (point, service) in points {
        for vip in addresses(point, net, obstacles) {
            let key = (vip, point.protocol);
            match taken.get(&key) {
                None => {
                    taken.insert(key, point);
                    routes.push(Route { vip, protocol: point.protocol, service });
                }
                Some(other) if point.ip.is_none() && other.ip.is_some() => {}
                Some(_) => obstacles.push(Obstacle::VipTaken {
                    entry_point: point.name.clone(),
                    vip,
                    protocol: point.protocol,
                }),
            }
        }
    }
    routes
}

fn addresses(point: &EntryPoint, net: &NetView, obstacles: &mut Vec<Obstacle>) -> Vec<SocketAddr> {
    let socket = |ip: &IpAddr| SocketAddr::new(ip.to_canonical(), point.port);
    match &point.ip {
        Some(ip) => vec![socket(ip)],
        None if net.addresses.is_empty() => {
            obstacles.push(Obstacle::NoAddress { entry_point: point.name.clone() });
            Vec::new()
        }
        None => net.addresses.iter().map(socket).collect(),
    }
}

/// The entries, under the ids they had.
pub(super) fn lower(
    routes: &[Route<'_>],
    rings: &Rings,
    previous: &KernelView,
    obstacles: &mut Vec<Obstacle>,
) -> BTreeMap<u32, VipEntry> {
    let key = |vip: &VipEntry| (vip.addr, vip.port, vip.proto);
    let mut ids = Ids::new(previous.vips.iter().map(|(&id, vip)| (key(vip), id)), MAX_VIPS);
    let mut view = BTreeMap::new();
    for route in routes {
        let entry = entry(route, rings);
        match ids.get(key(&entry)) {
            Some(id) => _ = view.insert(id, entry),
            None => {
                obstacles.push(Obstacle::TooManyVips { vip: route.vip, protocol: route.protocol })
            }
        }
    }
    view
}

fn entry(route: &Route<'_>, rings: &Rings) -> VipEntry {
    let (ring, ring_len) = rings.of(route).unwrap_or((NO_RING, 0));
    let empty = match route.service.on_empty {
        OnEmpty::Reset => 0,
        OnEmpty::Drop => flags::EMPTY_DROP,
    };
    VipEntry {
        addr: from_ip(route.vip.ip()),
        port: route.vip.port().to_be(),
        proto: u16::from(route.protocol.number()),
        algorithm: algorithm(route.service.algorithm),
        ring,
        ring_len,
        flags: flags::USED | empty,
        pad: 0,
        service: hash::text(route.service.id.to_string().as_bytes()),
    }
}

fn algorithm(algorithm: Algorithm) -> u32 {
    match algorithm {
        Algorithm::Maglev => algorithm::MAGLEV,
        Algorithm::RoundRobin => algorithm::ROUND_ROBIN,
        Algorithm::LeastConn | Algorithm::P2c | Algorithm::LeastTime => algorithm::LEAST_CONN,
        Algorithm::SourceHash => algorithm::SOURCE_HASH,
        Algorithm::Random => algorithm::RANDOM,
    }
}
