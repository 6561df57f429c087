//! Events in, snapshots out.

mod adoption;
mod backends;
mod changes;
mod merged;
mod routers;
mod sharing;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::{Adopted, Event, Reconciler};
use crate::model::{
    Backend, BackendId, BackendState, CheckKind, Dynamic, EntryPoint, Health, HealthCheck, Id,
    PathChoice, Place, Protocol, RouterConfig, Server, Service, Settings, Shared, Snapshot,
};

pub(super) const A: &str = "10.0.0.1:80";
pub(super) const B: &str = "10.0.0.2:80";

/// A reconciler, its clock, and what the file says.
pub(super) struct Case {
    pub(super) reconciler: Reconciler,
    pub(super) now: u64,
    pub(super) entry_points: BTreeMap<String, EntryPoint>,
    pub(super) dynamic: Dynamic,
}

impl Case {
    /// Entry points `web` (198.51.100.1:80), `any` (:81), `local` (127.0.0.1:82) and `dns`
    /// (198.51.100.1:53/udp); no routers, no services; nothing told yet.
    pub(super) fn new() -> Self {
        let point = |name: &str, ip: Option<&str>, port, protocol| {
            let ip = ip.map(|ip| ip.parse().unwrap());
            (
                name.to_owned(),
                EntryPoint {
                    name: name.to_owned(),
                    ip,
                    port,
                    protocol,
                    options: Default::default(),
                },
            )
        };
        let entry_points = [
            point("web", Some("198.51.100.1"), 80, Protocol::Tcp),
            point("any", None, 81, Protocol::Tcp),
            point("local", Some("127.0.0.1"), 82, Protocol::Tcp),
            point("dns", Some("198.51.100.1"), 53, Protocol::Udp),
        ];
        let (reconciler, dynamic) = Default::default();
        Self { reconciler, now: 1_000, entry_points: entry_points.into(), dynamic }
    }

    /// As [`Case::new`], with a service `web` with these servers and a router from `web` to it,
    /// all told.
    pub(super) fn web(servers: &[&str]) -> Self {
        let mut case = Self::new();
        case.dynamic.services.push(service("web", servers).into());
        case.dynamic.routers.push(router("web", &["web"], "web").into());
        case.start();
        case
    }

    /// As [`Case::web`], with checks.
    pub(super) fn checked(servers: &[&str]) -> Self {
        let mut case = Self::web(&[]);
        case.dynamic.services[0] =
            Service { health_check: Some(check()), ..service("web", servers) }.into();
        case.reload();
        case
    }

    /// Tells everything at once, as at the daemon's start.
    pub(super) fn start(&mut self) -> Option<Arc<Snapshot>> {
        let settings = Box::new(Settings::default());
        let fixed = Event::Static { settings, entry_points: self.entry_points.clone() };
        self.reconciler.handle_all([fixed, self.update()], Duration::from_secs(self.now))
    }

    fn update(&self) -> Event {
        Event::Update { provider: "file".into(), dynamic: self.dynamic.clone() }
    }

    /// Tells what the file says now.
    pub(super) fn reload(&mut self) -> Option<Arc<Snapshot>> {
        self.tell(self.update())
    }

    pub(super) fn servers(&mut self, servers: &[&str]) -> Option<Arc<Snapshot>> {
        self.dynamic.services[0].servers = servers.iter().map(|text| server(text)).collect();
        self.reload()
    }

    pub(super) fn tell(&mut self, event: Event) -> Option<Arc<Snapshot>> {
        self.reconciler.handle(event, Duration::from_secs(self.now))
    }

    pub(super) fn verdict(&mut self, address: &str, state: BackendState) -> Option<Arc<Snapshot>> {
        let health = Health { state, ..Health::default() };
        self.tell(Event::Health { backend: id(address), health })
    }

    pub(super) fn drain(&mut self, address: &str, drain: bool) -> Option<Arc<Snapshot>> {
        self.tell(Event::Drain { backend: id(address), drain })
    }

    pub(super) fn resolve(&mut self, host: &str, addresses: &[&str]) -> Option<Arc<Snapshot>> {
        let addresses = addresses.iter().map(|ip| ip.parse().unwrap()).collect();
        self.tell(Event::Resolved { host: host.into(), addresses })
    }

    /// So many seconds later.
    pub(super) fn pass(&mut self, seconds: u64) -> Option<Arc<Snapshot>> {
        self.now += seconds;
        self.tell(Event::Tick)
    }

    /// The backends of `web`, by address.
    pub(super) fn backends(&self) -> BTreeMap<String, Backend> {
        let service = self.reconciler.snapshot().services.get(&service_id("web"));
        let backends = service.into_iter().flat_map(|service| &service.backends);
        backends.map(|backend| (backend.address.to_string(), backend.clone())).collect()
    }

    pub(super) fn backend(&self, address: &str) -> Backend {
        self.backends().remove(address).unwrap()
    }

    /// Addresses of `web` that are configured, and of those that leave.
    pub(super) fn present_and_leaving(&self) -> (Vec<String>, Vec<String>) {
        let (leaving, present): (Vec<Backend>, Vec<Backend>) =
            self.backends().into_values().partition(|backend| backend.leaving);
        let names = |list: Vec<Backend>| list.iter().map(|b| b.address.to_string()).collect();
        (names(present), names(leaving))
    }

    pub(super) fn faults(&self) -> Vec<String> {
        self.reconciler.snapshot().faults.iter().map(ToString::to_string).collect()
    }
}

pub(super) fn service_id(name: &str) -> Id {
    Id::new(Protocol::Tcp, name, "file")
}

/// A backend of `web`.
pub(super) fn id(address: &str) -> BackendId {
    BackendId { service: service_id("web"), address: address.parse().unwrap() }
}

pub(super) fn server(text: &str) -> Server {
    let (host, port) = text.rsplit_once(':').unwrap();
    Server {
        host: host.into(),
        port: port.parse().unwrap(),
        weight: 1,
        options: Default::default(),
    }
}

pub(super) fn service(name: &str, servers: &[&str]) -> Service {
    Service {
        servers: servers.iter().map(|text| server(text)).collect(),
        ..Service::new(service_id(name))
    }
}

pub(super) fn router(name: &str, entry_points: &[&str], service: &str) -> RouterConfig {
    RouterConfig {
        id: service_id(name),
        entry_points: entry_points.iter().map(|&name| name.to_owned()).collect(),
        service: service.into(),
        priority: 0,
        datapath: PathChoice::Auto,
        rule: None,
        middlewares: Vec::new(),
        tls: None,
        observability: Default::default(),
        place: Place { file: "lb.yaml".into(), line: 7, column: 5 },
    }
}

pub(super) fn check() -> HealthCheck {
    HealthCheck {
        kind: CheckKind::Tcp,
        interval: Duration::from_secs(10),
        unhealthy_interval: None,
        timeout: Duration::from_secs(2),
        rise: 2,
        fall: 2,
        port: None,
    }
}
