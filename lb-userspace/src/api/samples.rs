//! Snapshots for tests.

use std::sync::Arc;

use crate::{
    config,
    model::{
        Backend, BackendState, EntryPoint, Health, Id, Path, Protocol, Router, Server, Service,
        Snapshot,
    },
    reconcile::{Event, Reconciler},
};

/// `tcp/pg` with a plain backend, a host name of two addresses and one without any; `dns` by
/// TCP and UDP, without backends; `pg` and `dns` routed by entry points of their names.
pub(crate) fn snapshot() -> Snapshot {
    let mut pg = service(Protocol::Tcp, "pg");
    pg.servers = vec![server("10.0.1.5"), server("db"), server("later")];
    pg.backends = vec![
        backend("10.0.1.5:5432", "10.0.1.5:5432"),
        backend("10.0.2.1:5432", "db:5432"),
        backend("10.0.2.2:5432", "db:5432"),
    ];
    let services = [pg, service(Protocol::Tcp, "dns"), service(Protocol::Udp, "dns")];
    let routers = [router(Protocol::Tcp, "pg"), router(Protocol::Udp, "dns")];
    let entry_points =
        [entry_point("pg", Protocol::Tcp, 5432), entry_point("dns", Protocol::Udp, 53)];
    Snapshot {
        generation: 3,
        services: services.into_iter().map(|s| (s.id.clone(), Arc::new(s))).collect(),
        routers: Arc::new(routers.into_iter().map(|r| (r.id.clone(), r)).collect()),
        entry_points: entry_points.into_iter().map(|e| (e.name.clone(), e)).collect(),
        ..Snapshot::default()
    }
}

/// `http/web` behind a rule, TLS and a middleware, and `all` made of it.
pub(crate) fn http() -> Snapshot {
    let text = r#"
entryPoints: { web: { address: ":443" } }
http:
  routers:
    web: { rule: "Host(`a.example`)", service: web, middlewares: [prefix], tls: { options: strict } }
  middlewares: { prefix: { addPrefix: { prefix: /v1 } } }
  services:
    web: { loadBalancer: { servers: [ { url: "https://10.0.1.5:8443/app" } ] } }
    all: { weighted: { services: [ { name: web, weight: 3 } ] } }
tls: { options: { strict: { minVersion: VersionTLS13 } } }
"#;
    let path = std::path::Path::new("lb.yaml");
    let loaded = config::load_bytes(path, text.as_bytes(), &config::HostPorts::default());
    let loaded = loaded.expect("a sound file");
    let fixed =
        Event::Static { settings: Box::new(loaded.settings), entry_points: loaded.entry_points };
    let update = Event::Update { provider: "file".into(), dynamic: loaded.dynamic };
    let snapshot = Reconciler::new().handle_all([fixed, update], Default::default());
    Snapshot::clone(&snapshot.expect("a snapshot"))
}

pub(crate) fn service(protocol: Protocol, name: &str) -> Service {
    Service { ..Service::new(Id::new(protocol, name, "file")) }
}

pub(crate) fn backend(address: &str, server: &str) -> Backend {
    Backend {
        address: address.parse().unwrap(),
        server: server.to_owned(),
        options: Default::default(),
        configured_weight: 1,
        weight_override: None,
        drained: false,
        leaving: false,
        expired: false,
        health: Health { state: BackendState::Up, ..Health::default() },
    }
}

fn server(host: &str) -> Server {
    Server { host: host.to_owned(), port: 5432, weight: 1, options: Default::default() }
}

fn router(protocol: Protocol, name: &str) -> Router {
    Router {
        id: Id::new(protocol, name, "file"),
        entry_points: vec![name.to_owned()],
        service: Id::new(protocol, name, "file"),
        path: Path::Kernel,
        why: "nothing needs userspace".into(),
        rule: None,
        priority: 0,
        middlewares: Vec::new(),
        tls: None,
        observability: Default::default(),
    }
}

fn entry_point(name: &str, protocol: Protocol, port: u16) -> EntryPoint {
    let ip = Some("198.51.100.10".parse().unwrap());
    EntryPoint { name: name.to_owned(), ip, port, protocol, options: Default::default() }
}
