//! `providers`, but for `file`.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use super::{ClientTls, Nats};

/// Which instances count and what they serve where labels don't say: of every provider that finds
/// instances.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exposure {
    /// `exposedByDefault`: whether instances without `traefik.enable` count. Default true.
    pub exposed_by_default: bool,
    /// `defaultRule`: a template, sound.
    pub default_rule: String,
    /// `constraints`: an expression, sound.
    pub constraints: String,
    /// `allowEmptyServices`: whether unhealthy instances keep their routers and services.
    pub allow_empty_services: bool,
    /// What labels begin with, without the dot.
    pub prefixes: Vec<String>,
}

impl Default for Exposure {
    fn default() -> Self {
        Self {
            exposed_by_default: true,
            default_rule: Self::DEFAULT_RULE.to_owned(),
            constraints: String::new(),
            allow_empty_services: false,
            prefixes: vec!["traefik".to_owned(), "lb".to_owned()],
        }
    }
}

impl Exposure {
    /// Traefik's.
    pub const DEFAULT_RULE: &str = "Host(`{{ normalize .Name }}`)";
}

/// `providers.http`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpProvider {
    /// The URL.
    pub endpoint: String,
    /// `pollInterval`. Default 5 s.
    pub interval: Duration,
    /// `pollTimeout`. Default 5 s.
    pub timeout: Duration,
    /// Sent along.
    pub headers: Vec<(String, String)>,
    /// Towards an https endpoint.
    pub tls: Option<ClientTls>,
}

/// `providers.nats`: a key-value bucket.
#[derive(Clone, Debug, PartialEq)]
pub struct NatsProvider {
    /// Which instances count.
    pub exposure: Exposure,
    /// How NATS is reached.
    pub server: Nats,
    /// `bucket`. Default `lb`.
    pub bucket: String,
    /// `rootKey`: what keys begin with; nothing by default.
    pub root: String,
}

/// `providers.dns`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsProvider {
    /// By name.
    pub services: BTreeMap<String, DnsService>,
    /// `resolvers`; none for the host's own.
    pub resolvers: Vec<SocketAddr>,
    /// `minTTL`: shortest time an answer is believed. Default 1 s.
    pub min_ttl: Duration,
    /// `maxTTL`. Default 5 min.
    pub max_ttl: Duration,
    /// How long a look-up may take. Default 4 s.
    pub timeout: Duration,
    /// `defaultRule`.
    pub exposure: Exposure,
}

/// `providers.dns.services.NAME`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsService {
    /// The name that is asked for.
    pub name: String,
    /// `type`: which records.
    pub kind: DnsKind,
    /// In place of what SRV records say.
    pub port: Option<u16>,
    /// What routers and services it makes.
    pub labels: BTreeMap<String, String>,
}

/// `providers.dns.services.NAME.type`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DnsKind {
    /// A and AAAA.
    #[default]
    Addresses,
    /// IPv4 alone.
    A,
    /// IPv6 alone.
    Aaaa,
    /// Servers with ports, weights and priorities.
    Srv,
}

impl DnsKind {
    /// The name configured.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Addresses => "A and AAAA",
            Self::A => "A",
            Self::Aaaa => "AAAA",
            Self::Srv => "SRV",
        }
    }
}

/// `providers.docker`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Docker {
    /// Which containers count.
    pub exposure: Exposure,
    /// `unix:///var/run/docker.sock`, `tcp://host:2375`, `http://…`, `https://…`.
    pub endpoint: String,
    /// Towards a TCP endpoint.
    pub tls: Option<ClientTls>,
    /// The network whose address is used where a container has several.
    pub network: Option<String>,
    /// Whether changes are followed. Default true.
    pub watch: bool,
    /// How long an answer may take. Default 10 s.
    pub timeout: Duration,
}

/// `providers.swarm`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Swarm {
    /// How a manager is reached, and what Docker's own provider has, too.
    pub docker: Docker,
    /// `refreshSeconds`: between lists while nothing is told. Default 15 s.
    pub refresh: Duration,
}

/// A word that no log shows. Two of them look different where they are.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Token(pub String);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        use std::hash::{BuildHasher, RandomState};
        // Keyed anew in each run, so that nothing can be learnt of it.
        static KEYS: std::sync::LazyLock<RandomState> = std::sync::LazyLock::new(RandomState::new);
        write!(f, "Token({:016x})", KEYS.hash_one(&self.0))
    }
}

/// `register` of a Consul's provider: lb and its entry points as services there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Registration {
    /// Where.
    pub endpoint: ConsulEndpoint,
    /// `name`. Default `lb`; an entry point's service is `NAME-ENTRYPOINT`.
    pub name: String,
    /// `id`; `None` for the name and the node's.
    pub id: Option<String>,
    /// `address` of what has none of its own; `None` for the agent's.
    pub address: Option<String>,
    /// `tags`, with the one that keeps lb from being routed to.
    pub tags: Vec<String>,
    /// `ttl` of the checks. Default 15 s.
    pub ttl: Duration,
    /// `deregisterCriticalServiceAfter`. Default 1 min.
    pub deregister_after: Duration,
    /// `entryPoints`; `None` for all.
    pub entry_points: Option<Vec<String>>,
}

/// How a Consul is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConsulEndpoint {
    /// `http://host:port` or `https://…`, in turn.
    pub urls: Vec<String>,
    /// `X-Consul-Token`.
    pub token: Option<Token>,
    /// Towards `https`.
    pub tls: ClientTls,
    /// `datacenter`, then those to fall back to; empty: the agent's own.
    pub datacenters: Vec<String>,
    /// How long a query waits for a change. Default 5 min.
    pub wait: Duration,
}

/// `providers.consulCatalog`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsulCatalog {
    /// Which instances count.
    pub exposure: Exposure,
    /// Where.
    pub endpoint: ConsulEndpoint,
    /// `strictChecks`: states that serve. Default `passing` alone.
    pub states: Vec<String>,
    /// Changes are read no faster.
    pub refresh: Duration,
}

/// `providers.consul`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsulKv {
    /// Where.
    pub endpoint: ConsulEndpoint,
    /// `rootKey`. Default `traefik`.
    pub root: String,
}
