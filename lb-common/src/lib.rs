//! What the kernel programs and the daemon share: map value types, the keyed
//! hash, checksum arithmetic and the named outcomes of a packet.
//!
//! Every map value is `repr(C)`, without implicit padding, and of integers
//! alone, so that the verifier, an adopting daemon of a later version and this
//! one read the same bytes. Sizes and offsets are asserted at compile time.
#![cfg_attr(not(test), no_std)]

pub mod addr;
pub mod backend;
pub mod config;
pub mod csum;
pub mod flow;
pub mod hash;
pub mod peers;
pub mod reason;
pub mod ring;
pub mod verdict;
pub mod vip;

pub use addr::Addr;
pub use backend::{BackendEntry, BackendStats, IfaceEntry};
pub use config::KernelConfig;
pub use flow::{Flow, FragKey, FragValue, TcpState};
pub use hash::HashKey;
pub use peers::HostPeers;
pub use reason::{DropReason, Event};
pub use ring::RingValue;
pub use verdict::Verdict;
pub use vip::{VipEntry, VipMeta, VipSlot};

/// Names of the maps, as pinned and as found in the object.
pub mod maps {
    /// Every map that is pinned, in no particular order.
    pub const PINNED: &[&str] = &[
        CONFIG, VIP_META, VIP_ACTIVE, VIP_DISP, VIP_SLOTS, VIPS, VIP_ADDRS, BACKENDS, ACTIVE,
        STATS, NATS, IFACES, RINGS, CURSORS, FLOWS, REPLIES, FRAGS, DROPS, EVENTS, VERDICT,
        HOST_PEERS,
    ];
    /// `Array<KernelConfig>(1)`.
    pub const CONFIG: &str = "CONFIG";
    /// `Array<VipMeta>(2)`: the two generations of the VIP table.
    pub const VIP_META: &str = "VIP_META";
    /// `Array<u32>(1)`: which generation is in force.
    pub const VIP_ACTIVE: &str = "VIP_ACTIVE";
    /// `Array<u32>`: displacements, both generations one after the other.
    pub const VIP_DISP: &str = "VIP_DISP";
    /// `Array<VipSlot>`: slots, both generations one after the other.
    pub const VIP_SLOTS: &str = "VIP_SLOTS";
    /// `Array<VipEntry>` by VIP id.
    pub const VIPS: &str = "VIPS";
    /// `HashMap<Addr, u32>`: addresses that carry a VIP (consulted for fragments and ICMP only).
    pub const VIP_ADDRS: &str = "VIP_ADDRS";
    /// `Array<BackendEntry>` by backend id.
    pub const BACKENDS: &str = "BACKENDS";
    /// `Array<u64>` by backend id: flows now on that backend, all CPUs, memory-mapped.
    pub const ACTIVE: &str = "ACTIVE";
    /// `PerCpuArray<BackendStats>` by backend id.
    pub const STATS: &str = "STATS";
    /// `Array<Addr>` by NAT address index.
    pub const NATS: &str = "NATS";
    /// `Array<IfaceEntry>`: open addressing by `ifindex`, see [`crate::backend::IFACE_SLOTS`].
    pub const IFACES: &str = "IFACES";
    /// `ArrayOfMaps` by ring id, each an `Array<RingValue>(1)`.
    pub const RINGS: &str = "RINGS";
    /// `PerCpuArray<u32>` by VIP id: the round-robin cursor.
    pub const CURSORS: &str = "CURSORS";
    /// Signatures by bucket, which versions before kept apart from their flows.
    pub const FLOW_SIGS: &str = "FLOW_SIGS";
    /// `Array<FlowBucket>`: flow `n` is way `n % 16` of bucket `n / 16`; memory-mapped.
    pub const FLOWS: &str = "FLOWS";
    /// `Array<[u64; 8]>`: the way back, signature and flow index, memory-mapped.
    pub const REPLIES: &str = "REPLIES";
    /// `LruHashMap<FragKey, FragValue>`.
    pub const FRAGS: &str = "FRAGS";
    /// `Array<HostPeers>(1)`: whom the host itself talks to, memory-mapped.
    pub const HOST_PEERS: &str = "HOST_PEERS";
    /// `PerCpuArray<u64>` by [`crate::DropReason`].
    pub const DROPS: &str = "DROPS";
    /// `PerCpuArray<u64>` by [`crate::Event`].
    pub const EVENTS: &str = "EVENTS";
    /// `Array<Verdict>(1)`: what the dry-run build of the program decided.
    pub const VERDICT: &str = "VERDICT";
}
