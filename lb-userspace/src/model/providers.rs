//! `providers`, but for `file`.

use std::time::Duration;

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

/// How a Consul is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
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
