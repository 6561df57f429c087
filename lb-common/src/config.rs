//! What the programs read of the configuration.

use crate::HashKey;

/// Most NAT addresses, of pools and routes together.
pub const NAT_ADDRESSES: u32 = 1024;

/// Bits of [`KernelConfig::flags`].
pub mod flags {
    /// Replies follow the routing table (`datapath.returnPath: route`).
    pub const RETURN_ROUTE: u32 = 1;
    /// Flows of other tables are still being copied into these.
    pub const CARRYING: u32 = 2;
}

/// Settings of the data path; one value, replaced whole.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KernelConfig {
    /// Keys of the flow hash; never change while the tables live.
    pub hash_key: HashKey,
    /// Forward buckets of established flows.
    pub est_buckets: u32,
    /// Forward buckets of half-open flows, behind the established ones.
    pub half_buckets: u32,
    /// Reply buckets.
    pub reply_buckets: u32,
    /// See [`flags`].
    pub flags: u32,
    /// First and last NAT port for clients whose own is taken, host order.
    pub nat_port_first: u16,
    /// See `nat_port_first`.
    pub nat_port_last: u16,
    /// First and last port that the host's own sockets choose (`ip_local_port_range`), host order:
    /// a client's port in it is kept only where no socket of the host holds the tuple.
    pub host_port_first: u16,
    /// See `host_port_first`.
    pub host_port_last: u16,
    /// First and last port that lb's own health checks send from, host order: never used for NAT.
    pub own_port_first: u16,
    /// See `own_port_first`.
    pub own_port_last: u16,
    /// Smallest MTU of all interfaces and routes: shorter packets need no check.
    pub min_mtu: u32,
    /// Jiffies a second.
    pub hz: u32,
    /// Idle time-outs in jiffies: established TCP,
    pub tcp_established: u32,
    /// half-open TCP and unanswered UDP,
    pub half_open: u32,
    /// TCP after the first FIN,
    pub tcp_closing: u32,
    /// TCP after the second FIN or a RST (TIME_WAIT),
    pub tcp_closed: u32,
    /// answered UDP.
    pub udp: u32,
    /// Keys of the hash that chooses a backend for a new flow: nodes that are to choose alike have
    /// the same. They may change; what is in the flow table stays where it is.
    pub choice_key: HashKey,
    /// [`addr::bit`](crate::addr::bit) of every NAT address: a packet to an address whose bit is
    /// missing is no reply.
    pub nat_filter: u64,
}

const _: () = {
    assert!(size_of::<KernelConfig>() == 256);
    assert!(core::mem::offset_of!(KernelConfig, est_buckets) == 96);
    assert!(core::mem::offset_of!(KernelConfig, min_mtu) == 124);
    assert!(core::mem::offset_of!(KernelConfig, choice_key) == 152);
};

#[cfg(feature = "user")]
mod pod {
    // SAFETY: repr(C), integers only, no padding (asserted above).
    unsafe impl aya::Pod for super::KernelConfig {}
}
