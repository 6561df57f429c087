//! The static part.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv6Addr, SocketAddr},
    path::Path,
    time::Duration,
};

use super::{Reference, Spots, access_log, entry, events, providers, registry, tracing, transport};
use crate::{
    config::{
        HostPorts,
        decode::{At, Field, Spot},
        names::nearest,
        raw,
        trail::Trail,
    },
    model::{
        ApiSettings, Datapath, EntryPoint, Fault, InterfaceChoice, LogSettings, MetricsSettings,
        NatSettings, PingSettings, Protocol, Settings, Timeouts,
    },
    rule::Syntax,
};

/// The static part, validated.
#[derive(Clone, Debug, Default)]
pub(crate) struct Instance {
    pub(crate) settings: Settings,
    /// Those that routers may name.
    pub(crate) entry_points: BTreeMap<String, EntryPoint>,
    /// Those that lb itself listens on, and for what.
    pub(crate) taken: BTreeMap<String, &'static str>,
    /// Those whose fault is reported already: references to them are not at fault.
    pub(crate) faulty: BTreeSet<String>,
    /// Whether `entryPoints` couldn't be read at all.
    pub(crate) unknown: bool,
    /// Middlewares and TLS options that entry points name.
    pub(crate) references: Vec<Reference>,
    /// Entry points that others redirect to.
    pub(crate) redirected: Vec<At<String>>,
    /// Certificates resolvers that entry points name.
    pub(crate) resolved_by: Vec<At<String>>,
    /// `core.defaultRuleSyntax`.
    pub(crate) rule_syntax: Syntax,
    /// Worth knowing.
    pub(crate) warnings: Vec<Fault>,
}

/// Traefik's name of the entry point that `api.insecure` uses.
const API_ENTRY_POINT: &str = "traefik";
const API_PORT: u16 = 8080;

pub(super) fn build(
    main: &raw::Main,
    file: &Path,
    origin: &Spot,
    provider: &str,
    host: &HostPorts,
    faults: &mut Vec<Fault>,
) -> Instance {
    let mut instance = Instance::default();
    let folder = file.parent().unwrap_or(Path::new(""));
    let spots = entry::build(&main.entry_points, provider, &mut instance, faults);
    instance.settings.datapath = datapath(&main.datapath, origin, host, faults);
    if let Some(raw) = main.providers.get() {
        let Instance { settings, warnings, .. } = &mut instance;
        providers::build(raw, file, settings, faults, warnings);
        let named = providers::registered_entry_points(raw);
        instance.redirected.extend(named.into_iter().cloned());
    }
    instance.settings.api = api(&main.api, &mut instance);
    instance.settings.metrics = metrics(&main.metrics, &mut instance, &spots, faults);
    if let Some(log) = main.log.get() {
        instance.settings.log = LogSettings {
            level: log.level.or_default(),
            json: log.format.get() == Some(&raw::LogFormat::Json),
        };
    }
    instance.settings.access_log = access_log::build(&main.access_log, folder);
    instance.settings.tracing = tracing::build(&main.tracing, folder, faults);
    instance.settings.events = events::build(&main.events, folder, faults);
    instance.settings.registry = registry::build(&main.registry, faults);
    instance.settings.ping = ping(&main.ping, &mut instance);
    instance.settings.transports = transport::defaults(main, folder, faults);
    if let Some(resolvers) = main.resolvers.get() {
        let names = resolvers.objects.iter().map(|(name, _)| name);
        instance.settings.resolvers = names.chain(&resolvers.faulty).cloned().collect();
    }
    let syntax = main.core.get().and_then(|core| core.rule_syntax.get());
    instance.rule_syntax = syntax.copied().unwrap_or_default();
    global(main, faults);
    instance
}

/// lb never looks for new versions and sends no usage data.
fn global(main: &raw::Main, faults: &mut Vec<Fault>) {
    let Some(raw) = main.global.get() else { return };
    for at in [&raw.check_new_version, &raw.send_usage].into_iter().filter_map(Field::at) {
        if at.value {
            faults.push(at.spot.fault("lb never does that: remove this, or write false"));
        }
    }
}

/// `ping.entryPoint` is checked with the routers' own, by [`super::super::resolve`].
fn ping(raw: &Field<raw::Ping>, instance: &mut Instance) -> Option<PingSettings> {
    let raw = raw.get()?;
    let at = raw.entry_point.at()?;
    instance.redirected.push(at.clone());
    Some(PingSettings {
        entry_point: at.value.clone(),
        manual_routing: raw.manual_routing.or(false),
    })
}

fn datapath(
    raw: &Field<raw::Datapath>,
    origin: &Spot,
    host: &HostPorts,
    faults: &mut Vec<Fault>,
) -> Datapath {
    let none = raw::Datapath::default();
    let raw = raw.get().unwrap_or(&none);
    let default = Datapath::default();
    if let Some(at) = raw.ring_size.at() {
        let size = at.value.u32();
        if !is_prime(size) {
            let below = (2..size).rev().find(|&n| is_prime(n)).unwrap_or(2);
            faults.push(at.spot.fault(format!(
                "expected a prime up to 65537, found the number {size}; {below} is the next below"
            )));
        }
    }
    Datapath {
        interfaces: interfaces(&raw.interfaces, faults),
        mode: raw.mode.or_default(),
        connections: raw.connections.get().map_or(default.connections, |n| n.u32()),
        backends: raw.backends.get().map_or(default.backends, |n| n.u32()),
        ring_size: raw.ring_size.get().map_or(default.ring_size, |n| n.u32()),
        nat: nat(&raw.nat, origin, host, faults),
        return_path: raw.return_path.or_default(),
        timeouts: timeouts(&raw.timeouts, faults),
        trace: raw.trace.or(false),
        hash_key: raw.hash_key.get().map(|secret| secret.0),
    }
}

fn is_prime(n: u32) -> bool {
    n >= 2 && (2..).take_while(|d| d * d <= n).all(|d| !n.is_multiple_of(d))
}

fn interfaces(raw: &Field<raw::Interfaces>, faults: &mut Vec<Fault>) -> InterfaceChoice {
    let Some(raw::Interfaces::Named(list)) = raw.get() else {
        return InterfaceChoice::Auto;
    };
    let mut names: Vec<String> = Vec::new();
    for at in list {
        if names.contains(&at.value.0) {
            faults.push(at.spot.fault(format!("{:?} stands twice; keep one", at.value.0)));
        } else {
            names.push(at.value.0.clone());
        }
    }
    InterfaceChoice::Named(names)
}

fn nat(
    raw: &Field<raw::Nat>,
    origin: &Spot,
    host: &HostPorts,
    faults: &mut Vec<Fault>,
) -> NatSettings {
    let none = raw::Nat::default();
    let raw = raw.get().unwrap_or(&none);
    let default = NatSettings::default();
    let mut addresses = Vec::new();
    for at in raw.addresses.get().map(Vec::as_slice).unwrap_or_default() {
        let ip = at.value;
        let is_broadcast = matches!(ip, IpAddr::V4(v4) if v4.is_broadcast());
        if ip.is_unspecified() || ip.is_multicast() || ip.is_loopback() || is_broadcast {
            faults.push(at.spot.fault(format!("backends couldn't answer to {ip}")));
        } else if addresses.contains(&ip) {
            faults.push(at.spot.fault(format!("{ip} stands twice; keep one")));
        }
        addresses.push(ip);
    }
    let ports = raw.ports.get().map_or(default.ports, |ports| (ports.0, ports.1));
    if let (Some((first, last)), Some(local)) = (host.overlap(ports.0, ports.1), host.local) {
        let spot = raw.ports.at().map(|at| at.spot.clone());
        let spot = spot
            .unwrap_or_else(|| Spot { path: Trail::whole("datapath.nat.ports"), ..origin.clone() });
        faults.push(spot.fault(format!(
            "ports {}-{} overlap those that the host's own sockets choose from ({}-{}, \
             net.ipv4.ip_local_port_range): choose others, or reserve {first}-{last} in \
             net.ipv4.ip_local_reserved_ports",
            ports.0, ports.1, local.0, local.1
        )));
    }
    NatSettings { addresses, ports }
}

/// Longest idle time: half of what 32 bits of jiffies count at 1000 Hz, in full days.
const LONGEST: Duration = Duration::from_secs(24 * 86_400);

fn timeouts(raw: &Field<raw::Timeouts>, faults: &mut Vec<Fault>) -> Timeouts {
    let none = raw::Timeouts::default();
    let raw = raw.get().unwrap_or(&none);
    let default = Timeouts::default();
    let mut time = |field: &Field<Duration>, default: Duration| {
        if let Some(at) = field.at()
            && !(Duration::from_secs(1)..=LONGEST).contains(&at.value)
        {
            faults.push(at.spot.fault("expected an idle time from \"1s\" to \"576h\""));
        }
        field.or(default)
    };
    Timeouts {
        tcp_established: time(&raw.tcp_established, default.tcp_established),
        tcp_half_open: time(&raw.tcp_half_open, default.tcp_half_open),
        tcp_closing: time(&raw.tcp_closing, default.tcp_closing),
        tcp_closed: time(&raw.tcp_closed, default.tcp_closed),
        udp: time(&raw.udp, default.udp),
        udp_unanswered: time(&raw.udp_unanswered, default.udp_unanswered),
    }
}

/// Relative paths start at the main file's folder.
fn api(raw: &Field<raw::Api>, instance: &mut Instance) -> ApiSettings {
    let Some(raw) = raw.get() else {
        return ApiSettings::default();
    };
    if let Some(at) = raw.dashboard.at().filter(|at| at.value) {
        let message = "lb's dashboard isn't done yet: its API is there, /dashboard/ isn't";
        instance.warnings.push(at.spot.fault(message));
    }
    let mut api = ApiSettings { listen: None, dashboard: raw.dashboard.or(false) };
    if let Some(address) = raw.address.get() {
        api.listen = Some(address.0);
    } else if raw.insecure.or(false) {
        api.listen = Some(match instance.entry_points.remove(API_ENTRY_POINT) {
            Some(entry_point) => {
                instance.taken.insert(API_ENTRY_POINT.to_owned(), "the API");
                listen(&entry_point)
            }
            None => SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), API_PORT),
        });
    }
    api
}

fn metrics(
    raw: &Field<raw::Metrics>,
    instance: &mut Instance,
    spots: &Spots,
    faults: &mut Vec<Fault>,
) -> MetricsSettings {
    let default = MetricsSettings::default();
    let Some(prometheus) = raw.get().and_then(|metrics| metrics.prometheus.get()) else {
        return default;
    };
    MetricsSettings {
        listen: metrics_address(prometheus, instance, spots, faults),
        buckets: buckets(prometheus, faults).unwrap_or(default.buckets),
        entry_points: prometheus.entry_points_labels.or(default.entry_points),
        routers: prometheus.routers_labels.or(default.routers),
        services: prometheus.services_labels.or(default.services),
    }
}

fn buckets(raw: &raw::Prometheus, faults: &mut Vec<Fault>) -> Option<Vec<f64>> {
    let list = raw.buckets.at()?;
    let buckets: Vec<f64> = list.value.iter().map(|at| at.value.0).collect();
    if let Some(at) = list.value.windows(2).find(|two| two[0].value.0 >= two[1].value.0) {
        faults.push(at[1].spot.fault("buckets rise: this one isn't above the one before it"));
    }
    (!buckets.is_empty()).then_some(buckets)
}

fn metrics_address(
    prometheus: &raw::Prometheus,
    instance: &mut Instance,
    spots: &Spots,
    faults: &mut Vec<Fault>,
) -> Option<SocketAddr> {
    if let (Some(_), Some(at)) = (prometheus.address.get(), prometheus.entry_point.at()) {
        faults.push(at.spot.fault("stands beside `address`; give one of them"));
    }
    if let Some(address) = prometheus.address.get() {
        return Some(address.0);
    }
    let at = prometheus.entry_point.at()?;
    if at.value == API_ENTRY_POINT && !spots.contains_key(API_ENTRY_POINT) {
        return instance.settings.api.listen;
    }
    match instance.entry_points.remove(&at.value) {
        Some(entry_point) if entry_point.protocol == Protocol::Tcp => {
            instance.taken.insert(at.value.clone(), "metrics");
            Some(listen(&entry_point))
        }
        Some(_) => {
            faults.push(at.spot.fault(format!("entry point {:?} is UDP", at.value)));
            None
        }
        None if instance.taken.contains_key(&at.value) => instance.settings.api.listen,
        None if instance.unknown || instance.faulty.contains(&at.value) => None,
        None => {
            let mut fault = at.spot.fault(format!("no entry point {:?}", at.value));
            fault.hint = nearest(&at.value, spots.keys().map(String::as_str));
            faults.push(fault);
            None
        }
    }
}

fn listen(entry_point: &EntryPoint) -> SocketAddr {
    let ip = entry_point.ip.unwrap_or(Ipv6Addr::UNSPECIFIED.into());
    SocketAddr::new(ip, entry_point.port)
}
