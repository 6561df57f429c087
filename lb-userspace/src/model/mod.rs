//! The model: what lb balances, validated and merged, with health and runtime
//! changes applied. Pure data: no I/O, no tokio, no aya, no hyper (invariant 1).
//! Only `reconcile` makes a [`Snapshot`] (invariant 2).

mod access_log;
mod choice_key;
mod entry;
mod events;
mod fault;
mod http;
mod name;
mod per_service;
mod providers;
mod registry;
mod service;
mod settings;
mod shared;
mod tracing;
mod update;

use std::{borrow::Cow, collections::BTreeMap, fmt, net::SocketAddr, sync::Arc};

pub use access_log::{AccessLog, Chosen, HeaderMode};
pub use choice_key::ChoiceKey;
pub use entry::{EntryPoint, EntryPointOptions, Redirection, RespondingTimeouts, Trusted};
pub use events::{EventSettings, EventStream, Login, Nats, Retention};
pub use fault::{Fault, Off, Place};
pub use http::{
    Certificate, ClientAuth, ClientTls, Composed, Cookie, HttpBalancing, Middleware, Observability,
    PassiveCheck, Pem, RouterTls, SameSite, Scheme, ServerOptions, TlsConfig, TlsOptions,
    TlsVersion, Transport,
};
pub use name::Name;
pub use per_service::PerService;
pub use providers::{
    ConsulCatalog, ConsulEndpoint, ConsulKv, DnsKind, DnsProvider, DnsService, Docker, Exposure,
    HttpProvider, NatsProvider, Registration, Swarm, Token,
};
pub use registry::RegistrySettings;
pub use service::{
    Algorithm, Backend, BackendState, CheckKind, Forwarding, Health, HealthCheck, OnDown, OnEmpty,
    Resolved, Server, Service,
};
pub use settings::{
    ApiSettings, Datapath, FileProvider, InterfaceChoice, LogLevel, LogSettings, MetricsSettings,
    Mode, NatSettings, PingSettings, ReturnPath, Settings, Timeouts,
};

pub use crate::rule::Rule;
pub use shared::Shared;
pub use tracing::{Collector, Tracing};
pub use update::{Dynamic, PathChoice, RouterConfig};

/// Everything that is in force, replaced whole and never changed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// Counts up by one with each snapshot; the first in force is 1.
    pub generation: u64,
    /// The static part.
    pub settings: Arc<Settings>,
    /// By name.
    pub entry_points: BTreeMap<String, EntryPoint>,
    /// By id. The same `Arc` as before where none has changed.
    pub routers: Arc<BTreeMap<Id, Router>>,
    /// By id.
    pub services: BTreeMap<Id, Arc<Service>>,
    /// By id, of HTTP and TCP.
    pub middlewares: BTreeMap<Id, Arc<Middleware>>,
    /// `serversTransports`, by id.
    pub transports: BTreeMap<Id, Arc<Transport>>,
    /// `tls`, by provider.
    pub tls: BTreeMap<String, Arc<TlsConfig>>,
    /// What nodes that share a bucket have agreed on; `datapath.hashKey` stands above it.
    pub agreed: Option<ChoiceKey>,
    /// What is wrong now without having been refused whole: routers that are off or wait.
    pub faults: Vec<Fault>,
}

/// Transport of a router or service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// `tcp:` in the configuration, IP protocol 6.
    Tcp,
    /// `udp:` in the configuration, IP protocol 17.
    Udp,
    /// `http:` in the configuration, over TCP.
    Http,
}

impl Protocol {
    /// The IP protocol number (IANA).
    pub const fn number(self) -> u8 {
        match self {
            Self::Tcp | Self::Http => 6,
            Self::Udp => 17,
        }
    }

    /// `tcp`, `udp` or `http`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Http => "http",
        }
    }

    /// The transport of its entry points: HTTP's is TCP.
    pub const fn transport(self) -> Self {
        match self {
            Self::Tcp | Self::Http => Self::Tcp,
            Self::Udp => Self::Udp,
        }
    }

    /// The one that [`Self::name`] names.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Tcp, Self::Udp, Self::Http].into_iter().find(|protocol| protocol.name() == name)
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Names a router or a service: `tcp/name@provider`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id {
    /// Which part of the configuration.
    pub protocol: Protocol,
    /// Name within provider and protocol.
    pub name: Name,
    /// Where it comes from: `file`, `docker`, ….
    pub provider: Name,
}

impl Id {
    /// Builds an id.
    pub fn new(protocol: Protocol, name: impl Into<Name>, provider: impl Into<Name>) -> Self {
        Self { protocol, name: name.into(), provider: provider.into() }
    }

    /// The services of lb's own that HTTP routers may name.
    pub const INTERNAL_SERVICES: [&str; 5] = ["api", "dashboard", "ping", "prometheus", "noop"];
    /// The provider of what lb itself makes: `api@internal`.
    pub const INTERNAL: &str = "internal";

    /// Whether it is one of [`Self::INTERNAL_SERVICES`], which exist without being configured.
    ///
    /// ```
    /// use lb_userspace::model::{Id, Protocol};
    /// assert!(Id::refer(Protocol::Http, "api@internal", "file").is_internal_service());
    /// assert!(!Id::refer(Protocol::Http, "api", "file").is_internal_service());
    /// ```
    pub fn is_internal_service(&self) -> bool {
        self.protocol == Protocol::Http
            && self.provider == Self::INTERNAL
            && Self::INTERNAL_SERVICES.contains(&self.name.as_str())
    }

    /// The object that `written` (`name` or `name@provider`) means where an object of `provider`
    /// refers to it.
    ///
    /// ```
    /// use lb_userspace::model::{Id, Protocol};
    /// let id = Id::refer(Protocol::Http, "auth@docker", "file");
    /// assert_eq!(id.to_string(), "http/auth@docker");
    /// ```
    pub fn refer(protocol: Protocol, written: &str, provider: impl Into<Name>) -> Self {
        match written.rsplit_once('@') {
            Some((name, provider)) => Self::new(protocol, name, provider),
            None => Self::new(protocol, written, provider),
        }
    }

    /// Reads what [`Self::to_string`] writes.
    ///
    /// ```
    /// use lb_userspace::model::{Id, Protocol};
    /// let id = Id::new(Protocol::Http, "a/b@c", "file");
    /// assert_eq!(Id::parse(&id.to_string()), Some(id));
    /// assert_eq!(Id::parse("http/a"), None);
    /// ```
    pub fn parse(text: &str) -> Option<Self> {
        let (protocol, rest) = text.split_once('/')?;
        let (name, provider) = rest.rsplit_once('@')?;
        Some(Self::new(Protocol::from_name(protocol)?, name, provider))
    }

    /// `name@provider`, as Traefik writes it.
    pub fn qualified(&self) -> String {
        format!("{}@{}", self.name, self.provider)
    }

    /// Whether an operator's words (`name`, `name@provider`, `tcp/name`,
    /// `tcp/name@provider`) mean this.
    ///
    /// ```
    /// use lb_userspace::model::{Id, Protocol};
    /// let id = Id::new(Protocol::Tcp, "pg", "file");
    /// assert!(id.answers_to("pg") && id.answers_to("pg@file") && id.answers_to("tcp/pg"));
    /// assert!(!id.answers_to("udp/pg") && !id.answers_to("pg@docker"));
    /// ```
    pub fn answers_to(&self, words: &str) -> bool {
        let rest = match words.split_once('/') {
            Some((protocol, rest)) if protocol == self.protocol.name() => rest,
            Some(("tcp" | "udp" | "http", _)) => return false,
            _ => words,
        };
        match rest.rsplit_once('@') {
            Some((name, provider)) => self.name == name && self.provider == provider,
            None => self.name == rest,
        }
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}@{}", self.protocol, self.name, self.provider)
    }
}

/// What sends an entry point's connections to a service.
#[derive(Clone, Debug, PartialEq)]
pub struct Router {
    /// Its id.
    pub id: Id,
    /// Names of the entry points that it has; those that a router of higher priority has are left out.
    pub entry_points: Vec<String>,
    /// The service it names, resolved.
    pub service: Id,
    /// Who forwards.
    pub path: Path,
    /// Why that one, in half a sentence.
    pub why: Cow<'static, str>,
    /// `None` for a UDP router, and for a TCP one that takes all.
    pub rule: Option<Arc<Rule>>,
    /// As configured, or the length of the rule where it is 0.
    pub priority: i64,
    /// Its middlewares, resolved, in their order.
    pub middlewares: Vec<Id>,
    /// Whether and how TLS is terminated.
    pub tls: Option<Arc<RouterTls>>,
    /// What is told of its requests, where it says so itself.
    pub observability: Observability,
}

/// Who forwards a router's connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Path {
    /// XDP or TC.
    Kernel,
    /// The L7 proxy.
    Proxy,
}

/// One backend of one service, as identified in the kernel and in commands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BackendId {
    /// Its service.
    pub service: Id,
    /// Its address.
    pub address: SocketAddr,
}
