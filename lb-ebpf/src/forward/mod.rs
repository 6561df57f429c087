//! Forwarding modes: how a packet gets to its backend and back.

pub(crate) mod nat;

use lb_common::Addr;

/// What becomes of a packet: its new tuple and its way out.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Rewrite {
    pub(crate) src: Addr,
    pub(crate) dst: Addr,
    /// As `Packet::ports`.
    pub(crate) ports: u32,
    pub(crate) ifindex: u32,
    /// As `Eth::macs`.
    pub(crate) macs: [u32; 3],
    pub(crate) vlan: u16,
}
