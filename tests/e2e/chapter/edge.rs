//! The edge router, its registry, and the replicas of the API behind it.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use lb_tests::{
    Daemon,
    client::http1::{Connection, connect, request},
    server::Origin,
};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, pki_types::ServerName};
use serde_json::{Value, json};

use super::bus::{Bus, Publisher};
use crate::{
    discovery::{
        agent::{ask, until},
        consul::Consul,
    },
    events::kit::Nats,
    l7::kit::{PATIENCE, WEB, World, local},
};

/// What makes a service routed.
pub(super) const EDGE_TAG: &str = "traefik.enable=true";
/// The header that a load asks with.
pub(super) const HOST: &[(&str, &str)] = &[("Host", "api.example.com")];
/// As [`HOST`], of the clients that want what is new.
pub(super) const CANARY: &[(&str, &str)] = &[("Host", "api.example.com"), ("X-Canary", "true")];

/// Of a replica that is asked to end.
const GRACE: Duration = Duration::from_millis(200);

const CONFIG: &str = r#"
entryPoints:
  web: { address: "127.0.0.1:8080" }
  websecure: { address: "127.0.0.1:8443", http: { tls: {} } }
tls: { certificates: [ { certFile: c.crt, keyFile: c.key } ] }
events: { node: edge, nats: { servers: "nats://127.0.0.1:4222" } }
"#;

/// Who keeps the services.
#[derive(Clone, Copy)]
pub(super) enum Registry {
    Own,
    Consul,
}

impl Registry {
    fn config(self) -> String {
        let more = "exposedByDefault: false, defaultRule: \"Host(`{{ .Name }}.example.com`)\"";
        match self {
            Self::Own => format!("registry: {{ address: \"127.0.0.1:8500\", {more} }}\n"),
            Self::Consul => format!(
                "providers: {{ consulCatalog: {{ endpoint: {{ address: \"127.0.0.1:8500\" }}, {more} }} }}\n"
            ),
        }
    }

    /// Behind the `@` of what it says.
    fn provider(self) -> &'static str {
        match self {
            Self::Own => "registry",
            Self::Consul => "consulCatalog",
        }
    }
}

/// Everything of the chapter's picture.
pub(super) struct Edge<'a> {
    pub(super) bus: Bus,
    pub(super) nats: Nats<'a>,
    pub(super) world: &'a World,
    registry: Registry,
    replicas: BTreeMap<String, (u16, Origin)>,
    daemon: Daemon<'a>,
    _consul: Option<Consul<'a>>,
    client: Arc<ClientConfig>,
}

impl<'a> Edge<'a> {
    pub(super) fn start(world: &'a World, registry: Registry) -> Result<Self> {
        let ns = &world.ns;
        let nats = Nats::start(ns)?;
        let bus = Bus::start(ns)?;
        let consul = match registry {
            Registry::Own => None,
            Registry::Consul => Some(Consul::start(ns)?),
        };
        let cert = rcgen::generate_simple_self_signed(["api.example.com".to_owned()])?;
        let config = format!("{CONFIG}{}", registry.config());
        let mut daemon = Daemon::prepare(ns, &lb_tests::daemon::binary(), &config)?;
        std::fs::write(daemon.folder().join("c.crt"), cert.cert.pem())?;
        std::fs::write(daemon.folder().join("c.key"), cert.signing_key.serialize_pem())?;
        daemon.run(&[])?;
        let mut roots = RootCertStore::empty();
        roots.add(cert.cert.der().clone())?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self {
            bus,
            nats,
            world,
            registry,
            replicas: BTreeMap::new(),
            daemon,
            _consul: consul,
            client: Arc::new(client),
        })
    }

    /// Starts a replica; nobody knows of it yet.
    pub(super) fn replica(&mut self, name: &str, port: u16) -> Result<()> {
        let hook = orders(self.bus.publisher(), name.to_owned());
        let origin = Origin::hooked(&self.world.ns, local(port), name, Some(Box::new(hook)))?;
        self.replicas.insert(name.to_owned(), (port, origin));
        Ok(())
    }

    pub(super) fn origin(&self, name: &str) -> &Origin {
        &self.replicas[name].1
    }

    /// As the chapter's service does it: no address, a check by the host's name.
    pub(super) fn register(&self, name: &str, service: &str, tags: &[&str]) -> Result<()> {
        let port = self.replicas[name].0;
        let check = format!("http://localhost:{port}/health");
        let body = json!({
            "ID": name, "Name": service, "Port": port, "Tags": tags,
            "Check": { "HTTP": check, "Interval": "100ms", "Timeout": "3s" },
        });
        ask(&self.world.ns, "PUT", "/v1/agent/service/register", &body.to_string()).map(drop)
    }

    pub(super) fn deregister(&self, name: &str) -> Result<()> {
        let path = format!("/v1/agent/service/deregister/{name}");
        ask(&self.world.ns, "PUT", &path, "").map(drop)
    }

    /// Deregisters, waits until it takes no more, lets open requests be answered, and ends it.
    pub(super) fn retire(&mut self, name: &str) -> Result<()> {
        self.deregister(name)?;
        let (port, mut origin) = self.replicas.remove(name).context("a replica")?;
        let address = local(port).to_string();
        until("it takes no more", || {
            let is_in = |row: &Value| row["address"] == address.as_str() && !is_leaving(row);
            Ok(!self.backends()?.iter().any(is_in))
        })?;
        std::thread::sleep(GRACE);
        origin.tcp.kill();
        Ok(())
    }

    /// One request of its own: status and body.
    pub(super) fn visit(&self, more: &[(&str, &str)]) -> Result<(u16, String)> {
        let headers = [HOST, more, &[("Connection", "close")]].concat();
        Ok(self.world.connect()?.get("/", &headers)?.brief())
    }

    /// Who answered so many requests of one connection.
    pub(super) fn names(&self, count: usize) -> Result<Vec<String>> {
        let mut connection = self.world.connect()?;
        let mut names = Vec::new();
        for _ in 0..count {
            let answer = connection.get("/", HOST)?;
            ensure!(answer.status == 200, "answered {}: {}", answer.status, answer.text());
            names.push(answer.text().trim().to_owned());
        }
        Ok(names)
    }

    /// Sends a request whose answer is still to be read.
    pub(super) fn begin(&self, path: &str) -> Result<Connection> {
        let mut connection = self.world.ns.run(|| Connection::open(WEB))?;
        connection.send(&request("GET", path, HOST, b""))?;
        Ok(connection)
    }

    /// `POST /api/orders` over TLS.
    pub(super) fn order(&self) -> Result<()> {
        let stream = self.world.ns.run(|| connect(local(8443)))?;
        let name = ServerName::try_from("api.example.com")?;
        let session = ClientConnection::new(Arc::clone(&self.client), name)?;
        let mut connection = Connection::over(StreamOwned::new(session, stream));
        let headers = [HOST, &[("Connection", "close")]].concat();
        let answer = connection.ask("POST", "/api/orders", &headers, br#"{"item":"book"}"#)?;
        ensure!(answer.status == 201, "answered {}: {}", answer.status, answer.text());
        let order: Value = serde_json::from_str(&answer.text())?;
        ensure!(order["order_id"].is_string(), "{order}");
        Ok(())
    }

    fn backends(&self) -> Result<Vec<Value>> {
        let rows = self.daemon.json(&["backends"])?;
        let of = format!("api@{}", self.registry.provider());
        let rows = rows.as_array().context("rows")?.iter();
        Ok(rows.filter(|row| row["service"] == of.as_str()).cloned().collect())
    }

    /// How many replicas of `api` take new requests.
    pub(super) fn serving(&self) -> Result<usize> {
        Ok(self.backends()?.iter().filter(|row| row["weight"] != 0 && !is_leaving(row)).count())
    }

    /// Whether these are the weights, all serving, by port.
    pub(super) fn weighs(&self, weights: &[u32]) -> Result<bool> {
        let rows = self.backends()?;
        let seen: Vec<_> = rows.iter().map(|row| row["weight"].as_u64()).collect();
        let wanted: Vec<_> = weights.iter().map(|&weight| Some(u64::from(weight))).collect();
        Ok(seen == wanted && !rows.iter().any(is_leaving))
    }

    /// `lb shift` between replicas of `api`, until it is finished.
    pub(super) fn shift(&self, from: &[&str], to: &[&str]) -> Result<()> {
        let servers = |names: &[&str]| {
            let all = names.iter().map(|name| local(self.replicas[*name].0).to_string());
            all.collect::<Vec<_>>().join(",")
        };
        let service = format!("api@{}", self.registry.provider());
        let line = ["shift", &service, &servers(from), &servers(to)];
        let more = "--steps 75,100 --every 1s --max-errors 1% --max-p99 30s";
        let line: Vec<&str> = line.into_iter().chain(more.split(' ')).collect();
        self.daemon.ok(&line)?;
        self.daemon.wait_for("the shift is finished", PATIENCE, |daemon| {
            Ok(daemon.json(&["shift", "status"])?[0]["state"] == "finished")
        })
    }

    /// `lb routers`.
    pub(super) fn routers(&self) -> Result<String> {
        self.daemon.ok(&["routers"])
    }
}

fn is_leaving(row: &Value) -> bool {
    row["state"].as_str().is_some_and(|state| state.contains("leaving"))
}

/// The text that answers what [`Edge::begin`] asked.
pub(super) fn finish(mut connection: Connection) -> Result<String> {
    let answer = connection.answer("GET")?;
    ensure!(answer.status == 200, "answered {}: {}", answer.status, answer.text());
    Ok(answer.text().trim().to_owned())
}

/// Answers `POST /api/orders` once the others can hear of the order.
fn orders(
    publisher: Publisher,
    name: String,
) -> impl Fn(&str, &str) -> Option<(u16, Vec<u8>)> + Send + Sync {
    let count = AtomicU64::new(0);
    move |method, path| {
        if (method, path) != ("POST", "/api/orders") {
            return None;
        }
        let id = format!("order-{name}-{}", count.fetch_add(1, Ordering::Relaxed));
        let order = json!({ "order_id": id, "user_id": "user-456", "total": 99.99 });
        publisher.publish(&order);
        Some((201, order.to_string().into_bytes()))
    }
}
