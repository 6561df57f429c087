//! What the kernel maps hold, as values.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use lb_common::{Addr, BackendEntry, IfaceEntry, KernelConfig, VipEntry, addr};

/// What is known of the host's network: routes to backends, neighbours, interfaces.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NetView {
    /// By backend address: the way there. Absent: no route. Shared, so that two views with the
    /// same are the same at a glance.
    pub next_hops: Arc<BTreeMap<IpAddr, NextHop>>,
    /// Interfaces that lb is attached to or sends by, by index.
    pub ifaces: BTreeMap<u32, IfaceView>,
    /// `ip_local_port_range` of this network namespace.
    pub host_ports: (u16, u16),
    /// Addresses of the interfaces, for VIPs written `:PORT`.
    pub addresses: Vec<IpAddr>,
}

/// The way to one backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NextHop {
    /// Interface that carries the frame: of a VLAN device, its parent.
    pub ifindex: u32,
    /// VLAN as `lb_common::Flow::vlan` has it, 0 for none.
    pub vlan: u16,
    /// MAC of the next hop, once resolved.
    pub mac: Option<[u8; 6]>,
    /// MAC of the interface.
    pub source_mac: [u8; 6],
    /// Longest IP packet of the route in bytes.
    pub mtu: u32,
    /// Address the host would send from.
    pub source: Option<IpAddr>,
}

/// An interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IfaceView {
    /// Its name.
    pub name: String,
    /// Its MAC.
    pub mac: [u8; 6],
    /// Longest IP packet in bytes.
    pub mtu: u32,
    /// Whether XDP may redirect to it: lb's own native XDP program is attached there.
    pub xdp: bool,
}

/// Contents of a ring.
#[derive(Clone, Debug, Default)]
pub struct RingView {
    /// Backend ids.
    pub members: Vec<u32>,
    /// Indices into `members`; 1 to 65,537 of them.
    pub slots: Vec<u16>,
    /// Hash of what it was filled from (algorithm, size, members, weights), so that the same is
    /// not filled again; 0 where that is unknown, as for a ring read back from the kernel.
    pub recipe: u64,
}

/// By content: the recipe is not in the kernel.
impl PartialEq for RingView {
    fn eq(&self, other: &Self) -> bool {
        self.members == other.members && self.slots == other.slots
    }
}

impl Eq for RingView {}

/// Everything that userspace writes into the kernel maps, under its ids.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KernelView {
    /// Settings.
    pub config: KernelConfig,
    /// NAT addresses by index.
    pub nats: BTreeMap<u16, Addr>,
    /// Interface table by slot.
    pub ifaces: BTreeMap<u32, IfaceEntry>,
    /// Backends by id.
    pub backends: BTreeMap<u32, BackendEntry>,
    /// Rings by id; equal ones are shared between services.
    pub rings: BTreeMap<u32, Arc<RingView>>,
    /// VIPs by id.
    pub vips: BTreeMap<u32, VipEntry>,
}

impl KernelView {
    /// With [`KernelConfig::nat_filter`] as the NAT addresses want it.
    pub fn with_nat_filter(mut self) -> Self {
        self.config.nat_filter = self.nats.values().fold(0, |bits, nat| bits | addr::bit(nat));
        self
    }
}

/// One step of a plan. Order: settings, NAT addresses, interfaces, backends,
/// rings, VIPs, the VIP table; then deletions in the opposite order.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// Replace the settings.
    Config(KernelConfig),
    /// Set a NAT address (all zero: forget it).
    Nat(u16, Addr),
    /// Set a slot of the interface table (a default entry empties it).
    Iface(u32, IfaceEntry),
    /// Set a backend.
    Backend(u32, BackendEntry),
    /// Fill a ring that is not in use.
    Ring(u32, Arc<RingView>),
    /// Set a VIP.
    Vip(u32, VipEntry),
    /// Rebuild the look-up of these VIPs in the idle generation and put it in force.
    VipTable(BTreeMap<u32, VipEntry>),
    /// Forget a VIP.
    DropVip(u32),
    /// Free a ring.
    DropRing(u32),
    /// Forget a backend. Its counters are zeroed.
    DropBackend(u32),
}

/// Where a plan is carried out.
pub trait MapSink {
    /// Carries out one step. After an error the steps that follow are not tried.
    fn apply(&mut self, op: &Op) -> anyhow::Result<()>;
}

/// `port | proto << 16` of a VIP or backend as [`lb_common::VipSlot`] has it.
pub fn port_proto(address: SocketAddr, proto: u8) -> u32 {
    u32::from(address.port().to_be()) | u32::from(proto) << 16
}
