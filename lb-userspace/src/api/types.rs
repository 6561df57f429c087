//! Bodies of lb's own part of the API: what the daemon sends and what the CLI
//! prints with `-o json`. Fields are only ever added.

mod explain;
mod registry;
mod shift;

pub use registry::{RegistryInstance, RegistryStatus};
use serde::{Deserialize, Serialize};

pub use explain::{
    ExplainHttpQuery, ExplainQuery, Explained, ExplainedHttp, ExplainedServer, PassedOver,
};
pub use shift::{ShiftGroup, ShiftOrder, ShiftRow};

/// `GET /api/status`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// Name of the instance.
    pub instance: String,
    /// Version of the daemon.
    pub version: String,
    /// Its process id.
    pub pid: u32,
    /// Seconds since it started.
    pub uptime_seconds: u64,
    /// Whether a first snapshot is in force, in the kernel too.
    pub ready: bool,
    /// Generation of the snapshot in force, 0 for none.
    pub generation: u64,
    /// The kernel path.
    pub datapath: DatapathStatus,
    /// Where clients connect.
    pub entry_points: Vec<EntryPointStatus>,
    /// How many of each.
    pub counts: Counts,
    /// Packets dropped since the maps were made, reasons that never occurred left out.
    pub drops: Vec<DropCount>,
    /// The latest reading of the files.
    pub last_reload: Option<ReloadStatus>,
    /// lb's own registry, where there is one.
    #[serde(default)]
    pub registry: Option<RegistryStatus>,
    /// Where configuration comes from.
    pub providers: Vec<ProviderStatus>,
    /// Traffic that is being moved, or was last.
    #[serde(default)]
    pub shifts: Vec<ShiftRow>,
    /// What is wrong now: refused sources, routers that are off or wait, what the kernel refused.
    pub faults: Vec<String>,
}

/// The kernel path in [`Status`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DatapathStatus {
    /// Whether programs and maps are in the kernel.
    pub loaded: bool,
    /// In one sentence: why not, whether adopted, what was carried over.
    pub detail: String,
    /// Interfaces it is attached to.
    pub interfaces: Vec<InterfaceStatus>,
    /// Programs.
    pub programs: Vec<ProgramStatus>,
    /// VIP addresses.
    pub addresses: Vec<AddressStatus>,
    /// Flows in the table now.
    pub flows: u64,
    /// Established flows it can hold.
    pub capacity: u64,
}

/// An interface in [`DatapathStatus`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InterfaceStatus {
    /// Its name.
    pub name: String,
    /// `native`, `generic`, `tc`, or `detached`.
    pub mode: String,
    /// Why that one.
    pub reason: String,
}

/// A program in [`DatapathStatus`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProgramStatus {
    /// `lb_xdp` or `lb_tc`.
    pub name: String,
    /// Kernel id.
    pub id: u32,
}

/// A VIP address in [`DatapathStatus`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AddressStatus {
    /// The address.
    pub address: String,
    /// Interface it stands on.
    pub interface: String,
    /// Whether lb put it there, and so removes it.
    pub added: bool,
}

/// An entry point in [`Status`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EntryPointStatus {
    /// Its name.
    pub name: String,
    /// `198.51.100.10:53/udp`, as configured.
    pub address: String,
    /// `kernel`, `proxy`, or `unused`.
    pub path: String,
}

/// How many of each.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// Routers.
    pub routers: usize,
    /// Services.
    pub services: usize,
    /// Backends.
    pub backends: usize,
    /// Backends that take new connections.
    pub backends_up: usize,
    /// VIPs in the kernel.
    pub vips: usize,
}

/// One reason of `lb_l4_drops_total` that occurred.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DropCount {
    /// Label of the metric.
    pub reason: String,
    /// Packets.
    pub count: u64,
    /// What it means.
    pub description: String,
}

/// One reading of the files.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReloadStatus {
    /// Seconds since the epoch.
    pub time: u64,
    /// Whether everything was taken.
    pub success: bool,
    /// Every fault, as `lb check` prints it.
    pub faults: Vec<String>,
}

/// A provider in [`Status`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ProviderStatus {
    /// `file`, ….
    pub name: String,
    /// What it reads.
    pub source: String,
    /// Whether it follows something over a network; what is below is said of such alone.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub follows: bool,
    /// Seconds since the epoch; `null` while there is no connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connected_since: Option<u64>,
    /// The latest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// Failures since the start.
    #[serde(skip_serializing_if = "is_zero")]
    pub failures: u64,
    /// States taken since the start.
    #[serde(skip_serializing_if = "is_zero")]
    pub updates: u64,
    /// Seconds since the epoch of the latest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_update: Option<u64>,
    /// Whether what applies was kept from an earlier run.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub kept: bool,
    /// Instances (or keys) that serve.
    pub serving: usize,
    /// Instances that serve nothing, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<SkippedInstance>,
}

/// An instance that a provider found and that serves nothing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SkippedInstance {
    /// `docker container "api-1"`.
    pub instance: String,
    /// `not_enabled`, `constraint`, `unhealthy`, `no_address`, `no_port`, `bad_label` or `conflict`.
    pub reason: String,
    /// In a sentence, where there is more to say.
    pub detail: String,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// `GET /api/l4/services`: a row of `lb services`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceRow {
    /// `name@provider`.
    pub service: String,
    /// `tcp` or `udp`.
    pub proto: String,
    /// `up`, `degraded` (some backends take nothing), or `down` (none takes new connections).
    pub state: String,
    /// How a backend is chosen.
    pub algorithm: String,
    /// How packets reach them.
    pub forwarding: String,
    /// Backends.
    pub backends: usize,
    /// Those that take new connections.
    pub backends_up: usize,
    /// Flows now; requests of an HTTP service.
    pub active_connections: u64,
    /// Flows begun; requests of an HTTP service.
    pub connections: u64,
    /// Requests a second, over the last seconds; 0 in the kernel.
    #[serde(default)]
    pub rate: f64,
    /// How many milliseconds the last requests took; 0 before the first, and in the kernel.
    #[serde(default)]
    pub latency_ms: f64,
    /// `kernel`, `proxy`, or `unused`.
    pub path: String,
    /// Why that path.
    pub why: String,
    /// Routers that name it.
    pub used_by: Vec<String>,
}

/// `GET /api/l4/backends`: a row of `lb backends`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BackendRow {
    /// `name@provider`.
    pub service: String,
    /// `tcp` or `udp`.
    pub proto: String,
    /// Where packets go: `IP:PORT`.
    pub address: String,
    /// The configured `host:port`.
    pub server: String,
    /// Weight in force: 0 while drained or leaving.
    pub weight: u32,
    /// Weight in the configuration.
    pub configured_weight: u32,
    /// Set by `lb weight`, until reset.
    pub weight_override: Option<u32>,
    /// Set by `lb drain`, until undrained.
    pub drained: bool,
    /// No longer configured, keeping its flows until `drainTimeout`.
    pub leaving: bool,
    /// `unchecked`, `pending`, `up` or `down`.
    pub state: String,
    /// One line from the latest check: why it is unhealthy.
    pub last_check: String,
    /// Why the kernel path can't reach it now, if so.
    pub obstacle: Option<String>,
    /// Changes of verdict.
    pub transitions: u64,
    /// Seconds since the epoch of the last change, 0 for none.
    pub since: u64,
    /// Flows now; requests of an HTTP service.
    pub active_connections: u64,
    /// Flows begun; requests of an HTTP service.
    pub connections: u64,
    /// Requests a second, over the last seconds; 0 in the kernel.
    #[serde(default)]
    pub rate: f64,
    /// How many milliseconds the last requests took; 0 before the first, and in the kernel.
    #[serde(default)]
    pub latency_ms: f64,
    /// Packets to the backend.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Packets back to clients.
    pub reply_packets: u64,
    /// Their bytes.
    pub reply_bytes: u64,
    /// Handshakes that the backend refused.
    pub refused: u64,
    /// `kernel`, `proxy`, or `unused`.
    pub path: String,
    /// Why that path.
    pub why: String,
}

/// `GET /api/l4/vips`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VipRow {
    /// `IP:PORT`.
    pub address: String,
    /// `tcp` or `udp`.
    pub proto: String,
    /// `name@provider` of its service.
    pub service: String,
    /// How a backend is chosen.
    pub algorithm: String,
    /// Backends that take new connections.
    pub backends_up: usize,
}

/// `GET /api/l4/routers`: a row of `lb routers`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RouterRow {
    /// `name@provider`.
    pub router: String,
    /// `tcp` or `udp`.
    pub proto: String,
    /// Names of entry points.
    pub entry_points: Vec<String>,
    /// `name@provider`.
    pub service: String,
    /// Its rule; none of a UDP router.
    #[serde(default)]
    pub rule: Option<String>,
    /// In the proxy the higher one is asked first.
    #[serde(default)]
    pub priority: i64,
    /// `name@provider`, in their order.
    #[serde(default)]
    pub middlewares: Vec<String>,
    /// Whether it takes TLS.
    #[serde(default)]
    pub tls: bool,
    /// `kernel` or `proxy`; empty where it was never in force.
    pub path: String,
    /// Why that path.
    pub why: String,
    /// `enabled` or `disabled`.
    #[serde(default)]
    pub state: String,
    /// Why it is off.
    #[serde(default)]
    pub faults: Vec<String>,
    /// What may surprise of one that is on: whose certificate is served.
    #[serde(default)]
    pub notes: Vec<String>,
}

/// `GET /api/l4/flows`: one entry of the connection table.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FlowRow {
    /// `tcp` or `udp`.
    pub proto: String,
    /// `IP:PORT`.
    pub client: String,
    /// `IP:PORT`.
    pub vip: String,
    /// `name@provider`.
    pub service: String,
    /// `IP:PORT`.
    pub backend: String,
    /// `new`, `syn-received`, `established`, `closing`, `closed` or `reset`.
    pub state: String,
    /// `IP:PORT` that the backend sees.
    pub nat: String,
    /// Seconds since its latest packet, within a second.
    pub idle_seconds: u64,
}

/// `GET /api/health`: what checks say of one backend.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HealthRow {
    /// `name@provider`.
    pub service: String,
    /// `tcp` or `udp`.
    pub proto: String,
    /// `IP:PORT`.
    pub address: String,
    /// `unchecked`, `pending`, `up` or `down`.
    pub state: String,
    /// One line from the latest check.
    pub last_check: String,
    /// Changes of verdict.
    pub transitions: u64,
    /// Seconds since the epoch of the last change, 0 for none.
    pub since: u64,
}

/// `PUT /api/backends/SERVICE/BACKEND`: what to change; at least one of the two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackendChange {
    /// Whether it drains.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain: Option<bool>,
    /// Weight from 0 to 65,535; `null` takes the configured one again.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub weight: Option<Option<u16>>,
}

/// Tells `"weight": null` from no `weight`.
fn present<'de, D: serde::Deserializer<'de>>(d: D) -> Result<Option<Option<u16>>, D::Error> {
    Option::<u16>::deserialize(d).map(Some)
}

/// `POST /api/reload`: what changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reloaded {
    /// Generation in force now.
    pub generation: u64,
    /// In words, one for each object.
    pub changes: Vec<String>,
    /// What is wrong with containers, keys and others that are no files.
    #[serde(default)]
    pub faults: Vec<String>,
}

/// Every answer that is not 2xx: `message` as Traefik's API has it, and what a program may branch on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ErrorBody {
    /// In a sentence, with what to do next.
    pub message: String,
    /// `bad_request`, `not_found`, `ambiguous`, `invalid`, `refused` or `unavailable`.
    #[serde(default)]
    pub code: String,
    /// `ambiguous`: the names to choose from. `invalid`: every fault, as `lb check` prints it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<String>,
}
