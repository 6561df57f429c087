//! From snapshot and counters to the bodies of lb's own part of the API.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use super::{
    Troubles,
    counts::{BackendCount, Counts},
    types::{BackendRow, HealthRow, RouterRow, ServiceRow, VipRow},
};
use crate::model::{
    Backend, Composed, EntryPoint, Forwarding, Id, Path, Protocol, Router, Server, Service,
    Snapshot,
};

/// Of all services, or of those that `keep` takes.
pub(crate) fn backends<'a>(
    snapshot: &'a Snapshot,
    counts: &'a Counts,
    obstacles: &BTreeMap<IpAddr, String>,
    keep: impl Fn(&Service, &Backend) -> bool + 'a,
) -> Vec<BackendRow> {
    let mut rows = Vec::new();
    for service in snapshot.services.values() {
        let (path, why) = path_of(snapshot, &service.id);
        for b in service.backends.iter().filter(|b| keep(service, b)) {
            let count = counts.of(&service.id, b.address);
            let obstacle = obstacles.get(&b.address.ip()).filter(|_| path == "kernel");
            rows.push(BackendRow {
                obstacle: obstacle.cloned(),
                path: path.to_owned(),
                why: why.to_owned(),
                ..backend(service, b, count)
            });
        }
    }
    rows
}

fn backend(service: &Service, b: &Backend, count: BackendCount) -> BackendRow {
    BackendRow {
        service: service.id.qualified(),
        proto: service.id.protocol.name().to_owned(),
        address: b.address.to_string(),
        server: b.server.clone(),
        weight: b.weight(),
        configured_weight: b.configured_weight,
        weight_override: b.weight_override,
        drained: b.drained,
        leaving: b.leaving,
        state: b.health.state.name().to_owned(),
        last_check: b.health.last_output.clone(),
        transitions: b.health.transitions,
        since: b.health.since,
        active_connections: count.active,
        connections: count.stats.connections,
        rate: count.rate,
        latency_ms: count.latency,
        packets: count.stats.packets,
        bytes: count.stats.bytes,
        reply_packets: count.stats.reply_packets,
        reply_bytes: count.stats.reply_bytes,
        refused: count.stats.refused,
        ..BackendRow::default()
    }
}

/// A part of a weighted service, as a backend is shown.
pub(crate) fn part(snapshot: &Snapshot, service: &Id, part: &Id) -> Option<BackendRow> {
    let whole = snapshot.services.get(service)?;
    let Some(Composed::Weighted { services, .. }) = &whole.composed else { return None };
    let weight = services.iter().find(|(id, _)| id == part)?.1;
    let set = whole.part_weights.get(part);
    let up = snapshot.services.get(part).is_some_and(|part| up(snapshot, part).0 > 0);
    Some(BackendRow {
        service: service.qualified(),
        proto: service.protocol.name().to_owned(),
        address: part.qualified(),
        server: part.qualified(),
        weight,
        configured_weight: set.copied().unwrap_or(weight),
        weight_override: set.map(|_| weight),
        state: if up { "up" } else { "down" }.to_owned(),
        path: "proxy".to_owned(),
        ..BackendRow::default()
    })
}

/// Rows of `lb services`.
pub(crate) fn services(snapshot: &Snapshot, counts: &Counts) -> Vec<ServiceRow> {
    snapshot.services.values().map(|s| service(snapshot, s, counts)).collect()
}

fn service(snapshot: &Snapshot, s: &Service, counts: &Counts) -> ServiceRow {
    let (up, present) = up(snapshot, s);
    let (active, begun) = counts.connections(s);
    let (rate, latency_ms) = counts.rate(&s.id);
    let (path, why) = path_of(snapshot, &s.id);
    ServiceRow {
        service: s.id.qualified(),
        proto: s.id.protocol.name().to_owned(),
        state: match up {
            0 => "down",
            n if n < present => "degraded",
            _ => "up",
        }
        .to_owned(),
        algorithm: match s.composed {
            Some(_) => kind(s),
            None => s.algorithm.name(),
        }
        .to_owned(),
        forwarding: match path {
            "proxy" => "proxy",
            _ => forwarding(s.forwarding),
        }
        .to_owned(),
        backends: present,
        backends_up: up,
        active_connections: active,
        connections: begun,
        rate,
        latency_ms,
        path: path.to_owned(),
        why: why.to_owned(),
        used_by: users(snapshot, &s.id).map(|r| r.id.qualified()).collect(),
    }
}

/// Rows of `lb routers`: those in force, and those that are not and why.
pub(crate) fn routers(snapshot: &Snapshot, troubles: &Troubles) -> Vec<RouterRow> {
    let off = troubles.routers.keys().filter(|id| !snapshot.routers.contains_key(id));
    let ids: BTreeSet<&Id> = snapshot.routers.keys().chain(off).collect();
    ids.into_iter()
        .map(|id| {
            let (faults, notes) = troubles.of_router(id);
            RouterRow {
                router: id.qualified(),
                proto: id.protocol.name().to_owned(),
                state: if faults.is_empty() { "enabled" } else { "disabled" }.to_owned(),
                faults: faults.to_vec(),
                notes: notes.to_vec(),
                ..snapshot.routers.get(id).map(router).unwrap_or_default()
            }
        })
        .collect()
}

fn router(r: &Router) -> RouterRow {
    RouterRow {
        entry_points: r.entry_points.clone(),
        service: r.service.qualified(),
        rule: rule(r),
        priority: r.priority,
        middlewares: r.middlewares.iter().map(Id::qualified).collect(),
        tls: r.tls.is_some(),
        path: path_name(r.path).to_owned(),
        why: r.why.to_string(),
        ..RouterRow::default()
    }
}

/// Rows of `/api/health`.
pub(crate) fn health(snapshot: &Snapshot) -> Vec<HealthRow> {
    let of = |s: &Service, b: &Backend| HealthRow {
        service: s.id.qualified(),
        proto: s.id.protocol.name().to_owned(),
        address: b.address.to_string(),
        state: b.health.state.name().to_owned(),
        last_check: b.health.last_output.clone(),
        transitions: b.health.transitions,
        since: b.health.since,
    };
    snapshot.services.values().flat_map(|s| s.backends.iter().map(move |b| of(s, b))).collect()
}

/// Rows of `/api/l4/vips`, from what is in the kernel: address, transport, service.
pub(crate) fn vips(
    snapshot: &Snapshot,
    in_kernel: impl Iterator<Item = (std::net::SocketAddr, Protocol, Id)>,
) -> Vec<VipRow> {
    in_kernel
        .map(|(address, protocol, id)| {
            let service = snapshot.services.get(&id);
            VipRow {
                address: address.to_string(),
                proto: protocol.name().to_owned(),
                service: id.qualified(),
                algorithm: service.map_or("", |s| s.algorithm.name()).to_owned(),
                backends_up: service.map_or(0, |s| up(snapshot, s).0),
            }
        })
        .collect()
}

/// How many backends take new connections, of how many; of a composed service those of its parts.
pub(crate) fn up(snapshot: &Snapshot, service: &Service) -> (usize, usize) {
    backends_up(snapshot, service, DEEPEST)
}

/// Longest way from a composed service to servers.
const DEEPEST: u32 = 16;

fn backends_up(snapshot: &Snapshot, service: &Service, depth: u32) -> (usize, usize) {
    let parts = match &service.composed {
        // Mirrors answer nobody.
        Some(Composed::Mirroring { service, .. }) => vec![service],
        Some(composed) => composed.parts(),
        None => {
            let up = service.backends.iter().filter(|b| b.takes_new()).count();
            return (up, service.backends.iter().filter(|b| !b.leaving).count());
        }
    };
    let parts = parts.into_iter().filter(|_| depth > 0);
    let found = parts.filter_map(|id| snapshot.services.get(id));
    found
        .map(|part| backends_up(snapshot, part, depth - 1))
        .fold((0, 0), |(up, of), part| (up + part.0, of + part.1))
}

/// What a service is, as the configuration calls it.
pub(crate) const fn kind(service: &Service) -> &'static str {
    match service.composed {
        None => "loadBalancer",
        Some(Composed::Weighted { .. }) => "weighted",
        Some(Composed::Mirroring { .. }) => "mirroring",
        Some(Composed::Failover { .. }) => "failover",
        Some(Composed::HighestRandomWeight { .. }) => "highestRandomWeight",
    }
}

/// A router's rule; that of a TCP router that takes all is left out of the model.
pub(crate) fn rule(router: &Router) -> Option<String> {
    match (&router.rule, router.id.protocol) {
        (Some(rule), _) => Some(rule.text().to_owned()),
        (None, Protocol::Tcp) => Some("HostSNI(`*`)".to_owned()),
        (None, Protocol::Udp | Protocol::Http) => None,
    }
}

/// An HTTP server's URL.
pub(crate) fn url(server: &Server) -> String {
    format!("{}://{}{}", server.options.scheme.name(), server.address(), server.options.path)
}

/// Who forwards to a service, and why: as its routers have it.
pub(crate) fn path_of<'a>(snapshot: &'a Snapshot, service: &Id) -> (&'static str, &'a str) {
    match users(snapshot, service).min_by_key(|r| r.path) {
        Some(router) => (path_name(router.path), &router.why),
        None if is_used(snapshot, service, DEEPEST) => ("proxy", "a part of another service"),
        None => ("unused", "no router names it"),
    }
}

/// Whether a router leads to a service, by way of others too.
fn is_used(snapshot: &Snapshot, service: &Id, depth: u32) -> bool {
    let is_part = |other: &&std::sync::Arc<Service>| {
        other.composed.as_ref().is_some_and(|composed| composed.parts().contains(&service))
    };
    users(snapshot, service).next().is_some()
        || depth > 0
            && snapshot
                .services
                .values()
                .filter(is_part)
                .any(|other| is_used(snapshot, &other.id, depth - 1))
}

/// Who forwards what comes in by an entry point.
pub(crate) fn entry_point_path(snapshot: &Snapshot, entry_point: &EntryPoint) -> &'static str {
    snapshot
        .routers
        .values()
        .filter(|r| r.id.protocol.transport() == entry_point.protocol)
        .find(|r| r.entry_points.contains(&entry_point.name))
        .map_or("unused", |r| path_name(r.path))
}

/// An entry point's address as it is configured.
pub(crate) fn entry_point_address(e: &EntryPoint) -> String {
    let suffix = if e.protocol == Protocol::Udp { "/udp" } else { "" };
    match e.ip {
        Some(ip) => format!("{}{suffix}", std::net::SocketAddr::new(ip, e.port)),
        None => format!(":{}{suffix}", e.port),
    }
}

/// Routers that name a service.
pub(crate) fn users<'a>(snapshot: &'a Snapshot, service: &Id) -> impl Iterator<Item = &'a Router> {
    let service = service.clone();
    snapshot.routers.values().filter(move |r| r.service == service)
}

/// `kernel` or `proxy`.
pub(crate) const fn path_name(path: Path) -> &'static str {
    match path {
        Path::Kernel => "kernel",
        Path::Proxy => "proxy",
    }
}

const fn forwarding(forwarding: Forwarding) -> &'static str {
    match forwarding {
        Forwarding::Nat => "nat",
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use lb_common::BackendStats;

    use super::*;
    use crate::{
        api::samples,
        model::{BackendId, BackendState},
    };

    fn changed(change: impl Fn(&mut Service)) -> Snapshot {
        let mut snapshot = samples::snapshot();
        let pg = snapshot.services.get_mut(&Id::new(Protocol::Tcp, "pg", "file")).unwrap();
        change(Arc::make_mut(pg));
        snapshot
    }

    macro_rules! states {
        ($($test:ident: $change:expr => $state:expr, $up:expr, $of:expr;)+) => {
            $(#[test]
            fn $test() {
                let change: fn(&mut Service) = $change;
                let rows = services(&changed(change), &Counts::default());
                let row = rows.iter().find(|r| r.service == "pg@file").unwrap();
                assert_eq!((row.state.as_str(), row.backends_up, row.backends), ($state, $up, $of));
            })+
        };
    }

    states! {
        service_with_all_backends_is_up: |_| {} => "up", 3, 3;
        service_with_one_down_is_degraded:
            |s| s.backends[0].health.state = BackendState::Down => "degraded", 2, 3;
        service_with_one_drained_is_degraded: |s| s.backends[1].drained = true => "degraded", 2, 3;
        service_does_not_miss_a_leaving_backend: |s| s.backends[2].leaving = true => "up", 2, 2;
        service_without_backends_is_down: |s| s.backends.clear() => "down", 0, 0;
    }

    #[test]
    fn backend_row_carries_its_counters() {
        let snapshot = samples::snapshot();
        let address: std::net::SocketAddr = "10.0.1.5:5432".parse().unwrap();
        let id = BackendId { service: Id::new(Protocol::Tcp, "pg", "file"), address };
        let stats = BackendStats { packets: 9, bytes: 900, connections: 2, ..Default::default() };
        let counts = Counts {
            backends: [(id, BackendCount { stats, active: 1, ..BackendCount::default() })].into(),
            ..Counts::default()
        };
        let obstacles = [(address.ip(), "the host has no route to it".to_owned())].into();
        let rows = backends(&snapshot, &counts, &obstacles, |s, _| s.id.name == "pg");
        assert_eq!(rows.len(), 3);
        assert_eq!((rows[0].packets, rows[0].active_connections), (9, 1));
        assert_eq!((rows[1].packets, rows[1].connections), (0, 0));
        assert_eq!(rows[0].path, "kernel");
        assert_eq!(rows[0].obstacle.as_deref(), Some("the host has no route to it"));
        assert_eq!(rows[1].obstacle, None);
    }

    #[test]
    fn service_without_router_is_unused() {
        let snapshot = samples::snapshot();
        assert_eq!(path_of(&snapshot, &Id::new(Protocol::Tcp, "dns", "file")).0, "unused");
        assert_eq!(path_of(&snapshot, &Id::new(Protocol::Udp, "dns", "file")).0, "kernel");
    }

    #[test]
    fn entry_points_read_as_configured() {
        let snapshot = samples::snapshot();
        assert_eq!(entry_point_address(&snapshot.entry_points["dns"]), "198.51.100.10:53/udp");
        let bare = EntryPoint { ip: None, ..snapshot.entry_points["pg"].clone() };
        assert_eq!(entry_point_address(&bare), ":5432");
    }
}
