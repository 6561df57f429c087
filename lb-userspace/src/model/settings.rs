//! The static part: settings of the instance.

use std::{net::IpAddr, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use super::{
    AccessLog, ChoiceKey, ConsulCatalog, ConsulKv, DnsProvider, Docker, EventSettings,
    HttpProvider, NatsProvider, Registration, RegistrySettings, Swarm, Tracing, Transport,
};

/// Settings of the instance.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    /// The kernel path.
    pub datapath: Datapath,
    /// `providers.file`, if any.
    pub file: Option<FileProvider>,
    /// `providers.nats`, if any.
    pub nats: Option<NatsProvider>,
    /// `providers.dns`, if any.
    pub dns: Option<DnsProvider>,
    /// `providers.docker`, if any.
    pub docker: Option<Docker>,
    /// `providers.http`, if any.
    pub http: Option<HttpProvider>,
    /// `providers.consulCatalog`, if any.
    pub consul_catalog: Option<ConsulCatalog>,
    /// `providers.consul`, if any.
    pub consul_kv: Option<ConsulKv>,
    /// `providers.swarm`, if any.
    pub swarm: Option<Swarm>,
    /// lb as a service of a Consul, where it is to be one.
    pub register: Option<Registration>,
    /// Longest pause between a source's change and its being applied. Default 0.
    pub throttle: Duration,
    /// The admin API.
    pub api: ApiSettings,
    /// Prometheus.
    pub metrics: MetricsSettings,
    /// The log.
    pub log: LogSettings,
    /// `accessLog`, where requests are logged.
    pub access_log: Option<Arc<AccessLog>>,
    /// `tracing`, where requests become spans.
    pub tracing: Option<Arc<Tracing>>,
    /// `events`, where it says something.
    pub events: Option<Arc<EventSettings>>,
    /// `registry`, where lb runs one.
    pub registry: Option<RegistrySettings>,
    /// `ping`, where it is answered at an entry point too.
    pub ping: Option<PingSettings>,
    /// Names of `certificatesResolvers`.
    pub resolvers: Vec<String>,
    /// `serversTransport` and `tcpServersTransport`: `http/default@internal` and
    /// `tcp/default@internal`, in use where a service names none.
    pub transports: Vec<Transport>,
}

/// `datapath`.
#[derive(Clone, Debug, PartialEq)]
pub struct Datapath {
    /// Where VIP traffic arrives.
    pub interfaces: InterfaceChoice,
    /// How programs are attached.
    pub mode: Mode,
    /// Established connections the table holds. 1,024 to 64,000,000; default 1,000,000.
    pub connections: u32,
    /// Backends of all services at most. Default 16,384.
    pub backends: u32,
    /// Ring slots: a prime up to 65,537, the default.
    pub ring_size: u32,
    /// NAT sources.
    pub nat: NatSettings,
    /// Which way replies go.
    pub return_path: ReturnPath,
    /// Idle time-outs.
    pub timeouts: Timeouts,
    /// Kernel-side trace lines through aya-log.
    pub trace: bool,
    /// `hashKey`: who has the same one chooses the same backend for the same flow. `None`: what the
    /// nodes that share a bucket have agreed on, else one of this host's own.
    pub hash_key: Option<ChoiceKey>,
}

impl Default for Datapath {
    fn default() -> Self {
        Self {
            interfaces: InterfaceChoice::Auto,
            mode: Mode::Auto,
            connections: 1_000_000,
            backends: 16_384,
            ring_size: 65_537,
            nat: NatSettings::default(),
            return_path: ReturnPath::Client,
            timeouts: Timeouts::default(),
            trace: false,
            hash_key: None,
        }
    }
}

/// `datapath.interfaces`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum InterfaceChoice {
    /// Those of the default routes.
    #[default]
    Auto,
    /// By name.
    Named(Vec<String>),
}

/// `datapath.mode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Native XDP where the driver brings whole packets, else TC.
    #[default]
    Auto,
    /// Native XDP.
    Native,
    /// Generic XDP; TC on veth.
    Generic,
    /// TC (TCX).
    Tc,
}

impl Mode {
    /// The name shown and configured.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Native => "native",
            Self::Generic => "generic",
            Self::Tc => "tc",
        }
    }
}

/// `datapath.nat`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NatSettings {
    /// The pool; empty: the source address of the host's route to the backend.
    pub addresses: Vec<IpAddr>,
    /// Ports for clients whose own is taken, inclusive. Default 1024 to 32767.
    pub ports: (u16, u16),
}

impl Default for NatSettings {
    fn default() -> Self {
        Self { addresses: Vec::new(), ports: (1024, 32_767) }
    }
}

/// `datapath.returnPath`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReturnPath {
    /// Interface, VLAN and MAC of the client's latest packet.
    #[default]
    Client,
    /// The routing table.
    Route,
}

/// `datapath.timeouts`: idle times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Established TCP. Default 2 h 4 min (RFC 5382 REQ-5).
    pub tcp_established: Duration,
    /// TCP handshakes. Default 30 s.
    pub tcp_half_open: Duration,
    /// TCP after the first FIN. Default 4 min (RFC 5382 REQ-5).
    pub tcp_closing: Duration,
    /// TCP after both FINs or a RST. Default 60 s.
    pub tcp_closed: Duration,
    /// UDP answered. Default 2 min (RFC 4787 REQ-5).
    pub udp: Duration,
    /// UDP not answered yet. Default 30 s.
    pub udp_unanswered: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            tcp_established: Duration::from_secs(2 * 3600 + 4 * 60),
            tcp_half_open: Duration::from_secs(30),
            tcp_closing: Duration::from_secs(240),
            tcp_closed: Duration::from_secs(60),
            udp: Duration::from_secs(120),
            udp_unanswered: Duration::from_secs(30),
        }
    }
}

/// `providers.file`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileProvider {
    /// One file, or a folder whose `.yaml`, `.yml`, `.toml` and `.json` files are read.
    pub path: PathBuf,
    /// Whether `path` is a folder.
    pub is_directory: bool,
    /// Whether changes are followed. Default true.
    pub watch: bool,
}

/// `api`. The unix socket always answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ApiSettings {
    /// TCP address, where configured (`api.address`).
    pub listen: Option<SocketAddr>,
    /// `api.dashboard`.
    pub dashboard: bool,
}

/// `metrics`.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricsSettings {
    /// TCP address of `/metrics`: `metrics.prometheus.address`, or that of
    /// `metrics.prometheus.entryPoint`.
    pub listen: Option<SocketAddr>,
    /// `buckets` of times in seconds, rising. Default 0.1, 0.3, 1.2, 5.
    pub buckets: Vec<f64>,
    /// `addEntryPointsLabels`: whether requests are counted by entry point. Default true.
    pub entry_points: bool,
    /// `addRoutersLabels`: by router. Default false.
    pub routers: bool,
    /// `addServicesLabels`: by service. Default true.
    pub services: bool,
}

impl Default for MetricsSettings {
    fn default() -> Self {
        Self {
            listen: None,
            buckets: vec![0.1, 0.3, 1.2, 5.0],
            entry_points: true,
            routers: false,
            services: true,
        }
    }
}

/// `ping.entryPoint`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PingSettings {
    /// The entry point's name.
    pub entry_point: String,
    /// `manualRouting`: routers name `ping@internal`, none is made.
    pub manual_routing: bool,
}

/// `log`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogSettings {
    /// Level.
    pub level: LogLevel,
    /// JSON lines rather than text.
    pub json: bool,
}

/// `log.level`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogLevel {
    /// And everything above.
    Trace,
    /// And everything above.
    Debug,
    /// And everything above. The default.
    #[default]
    Info,
    /// And everything above.
    Warn,
    /// Errors alone.
    Error,
}
