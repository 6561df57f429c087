//! The model: what lb balances, validated and merged, with health and runtime
//! changes applied. Pure data: no I/O, no tokio, no aya, no hyper (invariant 1).
//! Only `reconcile` makes a [`Snapshot`] (invariant 2).

mod fault;
mod service;
mod settings;
mod update;

use std::{collections::BTreeMap, fmt, net::SocketAddr, sync::Arc};

pub use fault::{Fault, Place};
pub use service::{
    Algorithm, Backend, BackendState, CheckKind, Forwarding, Health, HealthCheck, OnDown, OnEmpty,
    Resolved, Server, Service,
};
pub use settings::{
    ApiSettings, Datapath, FileProvider, InterfaceChoice, LogLevel, LogSettings, MetricsSettings,
    Mode, NatSettings, ReturnPath, Settings, Timeouts,
};

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
    /// By id.
    pub routers: BTreeMap<Id, Router>,
    /// By id.
    pub services: BTreeMap<Id, Arc<Service>>,
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
}

impl Protocol {
    /// The IP protocol number (IANA).
    pub const fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
        }
    }

    /// `tcp` or `udp`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
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
    pub name: String,
    /// Where it comes from: `file`, `docker`, ….
    pub provider: String,
}

impl Id {
    /// Builds an id.
    pub fn new(protocol: Protocol, name: impl Into<String>, provider: impl Into<String>) -> Self {
        Self { protocol, name: name.into(), provider: provider.into() }
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
            Some((name, provider)) => name == self.name && provider == self.provider,
            None => rest == self.name,
        }
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}@{}", self.protocol, self.name, self.provider)
    }
}

/// Where clients connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryPoint {
    /// Name.
    pub name: String,
    /// `None` for `:PORT`: every address of the interfaces.
    pub ip: Option<std::net::IpAddr>,
    /// 1 to 65,535.
    pub port: u16,
    /// TCP unless the address ends in `/udp`.
    pub protocol: Protocol,
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
    pub why: String,
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
