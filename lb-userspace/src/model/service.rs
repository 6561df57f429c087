//! Services, their servers and backends.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use super::{Composed, HttpBalancing, Id, ServerOptions, Shared};

/// A load-balanced service, with what is known of its backends now.
#[derive(Clone, Debug, PartialEq)]
pub struct Service {
    /// Its id.
    pub id: Id,
    /// How packets reach the backends.
    pub forwarding: Forwarding,
    /// How a backend is chosen.
    pub algorithm: Algorithm,
    /// Active checks, if any.
    pub health_check: Option<HealthCheck>,
    /// What becomes of the TCP flows of a dead backend.
    pub on_down: OnDown,
    /// What new connections get where no backend is healthy.
    pub on_empty: OnEmpty,
    /// How long a removed or drained backend keeps its flows. Default 5 min.
    pub drain_timeout: Duration,
    /// As configured, in their order.
    pub servers: Vec<Server>,
    /// As resolved, in order of address; removed ones that still drain included.
    pub backends: Vec<Backend>,
    /// What HTTP and TCP services have for the proxy; the default one for those that say nothing.
    pub http: Shared<HttpBalancing>,
    /// What it is made of in place of servers, with the weights in force.
    pub composed: Option<Composed>,
    /// Of a weighted service: the configured weight of each part whose weight was set at run time.
    pub part_weights: BTreeMap<Id, u32>,
    /// Whether the configuration has it no more: it is there for what its backends still do.
    pub gone: bool,
}

impl Service {
    /// One of which only the name is known: defaults, no servers.
    pub fn new(id: Id) -> Self {
        Self {
            id,
            forwarding: Forwarding::default(),
            algorithm: Algorithm::default(),
            health_check: None,
            on_down: OnDown::default(),
            on_empty: OnEmpty::default(),
            drain_timeout: Duration::from_secs(300),
            servers: Vec::new(),
            backends: Vec::new(),
            http: HttpBalancing::usual(),
            composed: None,
            part_weights: BTreeMap::new(),
            gone: false,
        }
    }
}

/// A server as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// IP address or host name.
    pub host: String,
    /// 1 to 65,535.
    pub port: u16,
    /// 0 to 65,535; 0 takes no new connections. Default 1.
    pub weight: u32,
    /// What the proxy needs to know of it.
    pub options: ServerOptions,
}

impl Server {
    /// Whether its host is a name, which has to be resolved.
    pub fn is_named(&self) -> bool {
        self.host.parse::<std::net::IpAddr>().is_err()
    }

    /// `host:port`, IPv6 in brackets: what commands call it.
    ///
    /// ```
    /// use lb_userspace::model::Server;
    /// let server = |host: &str| Server { host: host.into(), port: 53, weight: 1, options: Default::default() };
    /// assert_eq!(server("2001:db8::1").address(), "[2001:db8::1]:53");
    /// assert_eq!(server("dns.example.net").address(), "dns.example.net:53");
    /// ```
    pub fn address(&self) -> String {
        match self.host.parse::<std::net::Ipv6Addr>() {
            Ok(v6) => format!("[{v6}]:{}", self.port),
            Err(_) => format!("{}:{}", self.host, self.port),
        }
    }
}

/// What a host name resolved to last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resolved {
    /// By host name: its addresses, sorted.
    pub names: BTreeMap<String, Vec<std::net::IpAddr>>,
}

/// A backend: one address of one server.
#[derive(Clone, Debug, PartialEq)]
pub struct Backend {
    /// Its address.
    pub address: SocketAddr,
    /// The configured `host:port` it comes from.
    pub server: String,
    /// What the proxy needs to know of it.
    pub options: ServerOptions,
    /// Weight in the configuration.
    pub configured_weight: u32,
    /// `lb weight`, until reset.
    pub weight_override: Option<u32>,
    /// `lb drain`, until undrained.
    pub drained: bool,
    /// No longer configured (or no longer in DNS): keeps flows until `drain_timeout`.
    pub leaving: bool,
    /// The drain time is over: its flows are answered with RST.
    pub expired: bool,
    /// What checks say.
    pub health: Health,
}

impl Backend {
    /// The weight in force: 0 while drained or leaving.
    pub fn weight(&self) -> u32 {
        if self.drained || self.leaving {
            0
        } else {
            self.weight_override.unwrap_or(self.configured_weight)
        }
    }

    /// Whether new connections may go to it.
    pub fn takes_new(&self) -> bool {
        self.weight() > 0 && self.health.state.is_up()
    }
}

/// What checks say of a backend.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Health {
    /// The verdict.
    pub state: BackendState,
    /// One line from the latest check: `200 OK in 3 ms`, `connection refused`.
    pub last_output: String,
    /// Changes of verdict since the daemon first saw it.
    pub transitions: u64,
    /// Seconds since the epoch of the last change, 0 for none.
    pub since: u64,
}

/// A verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum BackendState {
    /// No check is configured: taken as healthy.
    #[default]
    Unchecked,
    /// Checked, but not passed once yet: takes nothing.
    Pending,
    /// Passing.
    Up,
    /// Failing.
    Down,
}

impl BackendState {
    /// Whether it may take connections.
    pub const fn is_up(self) -> bool {
        matches!(self, Self::Unchecked | Self::Up)
    }

    /// The name shown.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unchecked => "unchecked",
            Self::Pending => "pending",
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}

/// How packets reach backends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Forwarding {
    /// Source and destination rewritten.
    #[default]
    Nat,
}

/// How a backend is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Algorithm {
    /// Consistent hashing of the 5-tuple (Eisenbud et al., NSDI 2016).
    #[default]
    Maglev,
    /// Smooth weighted rotation; also `wrr`.
    RoundRobin,
    /// Fewest active connections by weight.
    LeastConn,
    /// Consistent hashing of the client's address; also `hrw`.
    SourceHash,
    /// At random, by weight.
    Random,
    /// The less busy of two drawn at random (Mitzenmacher 2001); the proxy alone.
    P2c,
    /// Least expected time to answer, from active requests and moving latency; the proxy alone.
    LeastTime,
}

impl Algorithm {
    /// The name shown and configured.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Maglev => "maglev",
            Self::RoundRobin => "roundRobin",
            Self::LeastConn => "leastConn",
            Self::SourceHash => "sourceHash",
            Self::Random => "random",
            Self::P2c => "p2c",
            Self::LeastTime => "leastTime",
        }
    }
}

/// `onDown`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnDown {
    /// TCP flows stay where they are.
    #[default]
    Keep,
    /// TCP flows are reset.
    Reset,
}

/// `onEmpty`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnEmpty {
    /// RST (TCP) or port unreachable (UDP).
    #[default]
    Reset,
    /// Silence.
    Drop,
}

/// An active check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthCheck {
    /// What is asked.
    pub kind: CheckKind,
    /// Between checks, jittered by 10%. Default 10 s.
    pub interval: Duration,
    /// Between checks while it is down; as `interval` when `None`.
    pub unhealthy_interval: Option<Duration>,
    /// Longest wait for one check. Default 2 s.
    pub timeout: Duration,
    /// Passes in a row before up. Default 2.
    pub rise: u32,
    /// Failures in a row before down. Default 2.
    pub fall: u32,
    /// Port, where not the server's own.
    pub port: Option<u16>,
}

/// What a check asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckKind {
    /// A TCP handshake.
    Tcp,
    /// An HTTP request.
    Http {
        /// `GET` unless configured.
        method: String,
        /// With query, beginning with `/`.
        path: String,
        /// `https` rather than `http`; as the server has it when `None`.
        tls: Option<bool>,
        /// `Host` header and SNI, where not the server's host.
        hostname: Option<String>,
        /// Sent along, in their order.
        headers: Vec<(String, String)>,
        /// The one status that passes; 200 to 399 when `None`.
        status: Option<u16>,
        /// Whether redirects are followed. Default true.
        follow_redirects: bool,
    },
    /// `grpc.health.v1.Health/Check` of the whole server.
    Grpc {
        /// TLS or none; as the server has it when `None`.
        tls: Option<bool>,
        /// `:authority` and SNI, where not the server's host.
        hostname: Option<String>,
        /// Sent along, in their order.
        headers: Vec<(String, String)>,
    },
}
