//! The connection table as the daemon reads it.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    net::{IpAddr, SocketAddr},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use aya::maps::{Array, MapData, PerCpuArray};
use ipnet::IpNet;
use lb_common::{
    Addr, BackendEntry, BackendStats, Flow, HashKey, KernelConfig, TcpState, VipEntry, addr,
    backend, maps, vip,
};

use super::{
    clock::{self, Clock},
    error::{KernelError as E, Result},
    layout::Layout,
    mmap::Mapped,
    paths::LayoutPaths,
    pins,
    table::{Ends, FlowTable},
};

/// Reads what the programs count and keep, beside them; shared between threads.
pub struct Reader {
    pub(super) table: FlowTable,
    pub(super) stats: PerCpuArray<MapData, BackendStats>,
    pub(super) drops: PerCpuArray<MapData, u64>,
    pub(super) events: PerCpuArray<MapData, u64>,
    active: Mapped<AtomicU64>,
    config: Array<MapData, KernelConfig>,
    vips: Array<MapData, VipEntry>,
    backends: Array<MapData, BackendEntry>,
    nats: Array<MapData, Addr>,
    clock: Clock,
}

/// One flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowRecord {
    /// IP protocol, 6 or 17.
    pub proto: u8,
    /// The client.
    pub client: SocketAddr,
    /// The VIP it connected to.
    pub vip: SocketAddr,
    /// Hash of the service's name, see [`lb_common::hash::text`].
    pub service: u64,
    /// Backend id.
    pub backend_id: u32,
    /// The backend.
    pub backend: SocketAddr,
    /// Address and port that lb uses towards the backend.
    pub nat: SocketAddr,
    /// Where it stands.
    pub state: TcpState,
    /// Seconds since the latest packet.
    pub idle: u64,
}

/// Which flows to list; every condition that is set must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FlowFilter {
    /// IP protocol.
    pub proto: Option<u8>,
    /// The client is within.
    pub client: Option<IpNet>,
    /// The client's port.
    pub client_port: Option<u16>,
    /// Address of the VIP.
    pub vip: Option<IpAddr>,
    /// Port of the VIP.
    pub vip_port: Option<u16>,
    /// Hash of the service's name.
    pub service: Option<u64>,
    /// Address of the backend.
    pub backend: Option<IpAddr>,
    /// Port of the backend.
    pub backend_port: Option<u16>,
    /// The state.
    pub state: Option<TcpState>,
    /// Flows at most; 0 for all.
    pub limit: usize,
}

impl FlowFilter {
    /// Whether a flow fulfils every condition.
    pub fn matches(&self, flow: &FlowRecord) -> bool {
        self.proto.is_none_or(|p| p == flow.proto)
            && self.client.is_none_or(|net| net.contains(&flow.client.ip()))
            && self.client_port.is_none_or(|port| port == flow.client.port())
            && self.vip.is_none_or(|ip| ip == flow.vip.ip())
            && self.vip_port.is_none_or(|port| port == flow.vip.port())
            && self.service.is_none_or(|service| service == flow.service)
            && self.backend.is_none_or(|ip| ip == flow.backend.ip())
            && self.backend_port.is_none_or(|port| port == flow.backend.port())
            && self.state.is_none_or(|state| state == flow.state)
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("table", &self.table).finish_non_exhaustive()
    }
}

impl Reader {
    /// Reads the maps pinned under `paths`.
    pub(super) fn open(paths: &LayoutPaths, layout: &Layout) -> Result<Self> {
        let active = pins::data(paths, maps::ACTIVE)?;
        let backends = pins::array::<BackendEntry>(paths, maps::BACKENDS)?;
        Ok(Self {
            table: FlowTable::open(paths, layout.table)?,
            stats: pins::per_cpu(paths, maps::STATS)?,
            drops: pins::per_cpu(paths, maps::DROPS)?,
            events: pins::per_cpu(paths, maps::EVENTS)?,
            active: Mapped::new(active.fd(), backends.len())
                .map_err(E::map(maps::ACTIVE, "mapping it into memory"))?,
            config: pins::array(paths, maps::CONFIG)?,
            vips: pins::array(paths, maps::VIPS)?,
            backends,
            nats: pins::array(paths, maps::NATS)?,
            clock: Clock::open(&paths.program(clock::PROGRAM))?,
        })
    }

    /// The flows that `filter` lets through, in no particular order. Reads the whole table:
    /// some milliseconds for each million slots.
    ///
    /// # Errors
    /// A map or the clock can't be read.
    pub fn flows(&self, filter: &FlowFilter) -> Result<Vec<FlowRecord>> {
        let mut names = self.names()?;
        let limit = if filter.limit == 0 { usize::MAX } else { filter.limit };
        Ok(self
            .table
            .ready(0, self.table.slots())
            .filter_map(|(_, _, flow)| names.record(&flow))
            .filter(|record| filter.matches(record))
            .take(limit)
            .collect())
    }

    /// Flows in the table by backend id; those without any are absent.
    pub fn flows_by_backend(&self) -> BTreeMap<u32, u64> {
        let mut counts = BTreeMap::new();
        for (_, _, flow) in self.table.ready(0, self.table.slots()) {
            *counts.entry(flow.backend).or_insert(0) += 1;
        }
        counts
    }

    /// Jiffies now.
    ///
    /// # Errors
    /// The clock program can't be run.
    pub fn now(&self) -> Result<u64> {
        self.clock.now()
    }

    /// The settings in force.
    ///
    /// # Errors
    /// The map can't be read.
    pub fn config(&self) -> Result<KernelConfig> {
        self.config.get(&0, 0).map_err(E::aya_map(maps::CONFIG, "read of 0"))
    }

    /// Flows now on a backend, as the programs count them for `leastConn`.
    pub fn active(&self, backend: u32) -> u64 {
        // Never below zero for long: a flow may be counted off on one CPU before the count of
        // another is seen.
        self.active.get(backend as usize).map_or(0, |n| (n.load(Relaxed) as i64).max(0) as u64)
    }

    /// What turns flows into records, as of now.
    pub(super) fn names(&self) -> Result<Names<'_>> {
        let config = self.config()?;
        Ok(Names {
            reader: self,
            now: self.now()? as u32,
            hz: config.hz.max(1),
            hash_key: config.hash_key,
            vips: HashMap::new(),
            backends: HashMap::new(),
            nats: HashMap::new(),
        })
    }

    pub(super) fn set_active(&self, backend: u32, flows: u64) {
        if let Some(count) = self.active.get(backend as usize) {
            count.store(flows, Relaxed);
        }
    }

    pub(super) fn count_off(&self, backend: u32) {
        if let Some(count) = self.active.get(backend as usize) {
            // Never below zero: leastConn would take that for the most of all.
            let _zero_already = count.fetch_update(Relaxed, Relaxed, |n| n.checked_sub(1));
        }
    }

    pub(super) fn count_on(&self, backend: u32) {
        if let Some(count) = self.active.get(backend as usize) {
            count.fetch_add(1, Relaxed);
        }
    }
}

/// Looks up what flows name by id, each once.
pub(super) struct Names<'a> {
    reader: &'a Reader,
    now: u32,
    hz: u32,
    hash_key: HashKey,
    vips: HashMap<u32, Option<VipEntry>>,
    backends: HashMap<u32, Option<BackendEntry>>,
    nats: HashMap<u16, Option<Addr>>,
}

impl Names<'_> {
    /// The keys of the flow hash.
    pub(super) fn hash_key(&self) -> HashKey {
        self.hash_key
    }

    /// The VIP `id`, if it is in use.
    pub(super) fn vip(&mut self, id: u32) -> Option<VipEntry> {
        let vips = &self.reader.vips;
        *self.vips.entry(id).or_insert_with(|| {
            vips.get(&id, 0).ok().filter(|entry| entry.flags & vip::flags::USED != 0)
        })
    }

    /// The backend `id`, if it is in use.
    pub(super) fn backend(&mut self, id: u32) -> Option<BackendEntry> {
        let backends = &self.reader.backends;
        *self.backends.entry(id).or_insert_with(|| {
            backends.get(&id, 0).ok().filter(|entry| entry.flags & backend::flags::USED != 0)
        })
    }

    fn nat(&mut self, id: u16) -> Option<Addr> {
        let nats = &self.reader.nats;
        *self.nats.entry(id).or_insert_with(|| nats.get(&u32::from(id), 0).ok())
    }

    /// The addresses of a flow; `None` when an id it names is out of use.
    pub(super) fn ends(&mut self, flow: &Flow) -> Option<Ends> {
        let (vip, backend) = (self.vip(flow.vip)?, self.backend(flow.backend)?);
        Some(Ends {
            vip: vip.addr,
            vip_port: vip.port,
            backend: backend.addr,
            backend_port: backend.port,
            nat: self.nat(flow.nat)?,
            proto: u32::from(vip.proto),
        })
    }

    /// The flow in words; `None` when an id it names is out of use.
    pub(super) fn record(&mut self, flow: &Flow) -> Option<FlowRecord> {
        let ends = self.ends(flow)?;
        Some(FlowRecord {
            proto: ends.proto as u8,
            client: socket(&flow.client, flow.client_port),
            vip: socket(&ends.vip, ends.vip_port),
            service: self.vip(flow.vip)?.service,
            backend_id: flow.backend,
            backend: socket(&ends.backend, ends.backend_port),
            nat: socket(&ends.nat, flow.nat_port),
            state: TcpState::from_word(flow.state)?,
            idle: u64::from(idle(self.now, flow.last_seen) / self.hz),
        })
    }
}

/// Jiffies since `last_seen`; 0 where a packet has come since `now` was read.
pub(super) fn idle(now: u32, last_seen: u32) -> u32 {
    (now.wrapping_sub(last_seen) as i32).max(0) as u32
}

/// Address and port (network order) as one.
pub(super) fn socket(address: &Addr, port: u16) -> SocketAddr {
    SocketAddr::new(addr::to_ip(address), u16::from_be(port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> FlowRecord {
        FlowRecord {
            proto: 6,
            client: "10.9.0.7:4000".parse().unwrap(),
            vip: "198.51.100.10:80".parse().unwrap(),
            service: 5,
            backend_id: 1,
            backend: "10.0.1.5:8080".parse().unwrap(),
            nat: "10.0.1.1:4000".parse().unwrap(),
            state: TcpState::Established,
            idle: 3,
        }
    }

    macro_rules! filters {
        ($($test:ident: { $($field:ident: $value:expr),* } => $passes:literal,)+) => {
            $(#[test]
            fn $test() {
                let filter = FlowFilter { $($field: $value,)* ..FlowFilter::default() };
                assert_eq!(filter.matches(&record()), $passes);
            })+
        };
    }

    filters! {
        no_condition_lets_all_through: {} => true,
        the_protocol_is_compared: { proto: Some(17) } => false,
        a_client_within_the_network_passes: { client: Some("10.9.0.0/16".parse().unwrap()) } => true,
        a_client_outside_is_left_out: { client: Some("10.8.0.0/16".parse().unwrap()) } => false,
        the_clients_port_is_compared: { client_port: Some(4001) } => false,
        the_vip_is_compared: { vip: Some("198.51.100.10".parse().unwrap()) } => true,
        the_port_of_the_vip_is_compared: { vip_port: Some(443) } => false,
        the_service_is_compared: { service: Some(6) } => false,
        the_backend_is_compared: { backend: Some("10.0.1.6".parse().unwrap()) } => false,
        the_backend_is_found_on_any_port: { backend: Some("10.0.1.5".parse().unwrap()) } => true,
        the_backends_port_is_compared: { backend: Some("10.0.1.5".parse().unwrap()), backend_port: Some(8081) } => false,
        the_state_is_compared: { state: Some(TcpState::Established) } => true,
        every_condition_must_hold: { state: Some(TcpState::Established), proto: Some(17) } => false,
    }

    #[test]
    fn idle_time_survives_the_wrap_of_jiffies() {
        assert_eq!(idle(5, u32::MAX - 4), 10);
        assert_eq!(idle(100, 90), 10);
        assert_eq!(idle(90, 100), 0);
    }
}
