//! Backends, what they count, and the interfaces packets leave by.

use crate::Addr;

/// Bits of [`BackendEntry::flags`].
pub mod flags {
    /// The entry is in use.
    pub const USED: u32 = 1;
    /// The next hop's MAC is known.
    pub const RESOLVED: u32 = 2;
    /// XDP may redirect to its interface; without it the packet is left to TC.
    pub const XDP: u32 = 4;
    /// Not healthy: UDP flows and unanswered TCP ones are selected anew.
    pub const DOWN: u32 = 8;
    /// Its TCP flows are answered with RST.
    pub const RESET: u32 = 16;
}

/// One server of one service.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BackendEntry {
    /// Address.
    pub addr: Addr,
    /// Port, network order.
    pub port: u16,
    /// VLAN of the next hop, as in `Flow::vlan`.
    pub vlan: u16,
    /// See [`flags`].
    pub flags: u32,
    /// Interface towards the next hop (the parent, where `vlan` is tagged).
    pub ifindex: u32,
    /// MAC of the next hop.
    pub dst_mac: [u8; 6],
    /// MAC of that interface.
    pub src_mac: [u8; 6],
    /// MTU of the route: longest IP packet in bytes.
    pub mtu: u32,
    /// First index of its NAT addresses.
    pub nat_first: u16,
    /// How many, 0 when there is none of its family.
    pub nat_count: u16,
    /// Hash of the service's name ([`crate::hash::text`]).
    pub service: u64,
    /// Weight, 0 to 65,535.
    pub weight: u32,
    /// IP protocol, 6 or 17.
    pub proto: u32,
}

/// What one CPU counted of one backend.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BackendStats {
    /// Packets to the backend.
    pub packets: u64,
    /// Their bytes, L3 and up.
    pub bytes: u64,
    /// Packets back to clients.
    pub reply_packets: u64,
    /// Their bytes, L3 and up.
    pub reply_bytes: u64,
    /// Flows begun.
    pub connections: u64,
    /// RSTs from the backend to flows not yet established.
    pub refused: u64,
}

/// Slots of the interface table: an interface stands in one of
/// [`IFACE_PROBES`] slots from `ifindex & (IFACE_SLOTS - 1)` on.
pub const IFACE_SLOTS: u32 = 1024;
/// See [`IFACE_SLOTS`].
pub const IFACE_PROBES: u32 = 4;

/// An interface that lb is attached to or sends by.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IfaceEntry {
    /// 0 when the slot is empty.
    pub ifindex: u32,
    /// Longest IP packet in bytes.
    pub mtu: u32,
    /// Its MAC.
    pub mac: [u8; 6],
    /// Bit 0: XDP may redirect to it.
    pub flags: u16,
}

/// `IfaceEntry::flags`: XDP may redirect to it.
pub const IFACE_XDP: u16 = 1;

const _: () = {
    assert!(size_of::<BackendEntry>() == 64);
    assert!(core::mem::offset_of!(BackendEntry, service) == 48);
    assert!(size_of::<BackendStats>() == 48);
    assert!(size_of::<IfaceEntry>() == 16);
};

#[cfg(feature = "user")]
mod pod {
    // SAFETY: repr(C), integers only, no padding (asserted above).
    unsafe impl aya::Pod for super::BackendEntry {}
    // SAFETY: as above.
    unsafe impl aya::Pod for super::BackendStats {}
    // SAFETY: as above.
    unsafe impl aya::Pod for super::IfaceEntry {}
}
