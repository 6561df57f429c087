//! VIPs and their look-up by displacement hashing ("hash, displace, and
//! compress", Belazzougui, Botelho, Dietzfelbinger 2009): one read gives the
//! displacement of the key's group, a second the slot.

use crate::{Addr, hash};

/// Most VIPs (address, port, protocol) at a time.
pub const MAX_VIPS: u32 = 65_536;
/// Displacements of one generation.
pub const DISPS: u32 = 32_768;
/// Slots of one generation.
pub const SLOTS: u32 = 131_072;
/// `VipEntry::ring` where no backend can be chosen.
pub const NO_RING: u32 = u32::MAX;

/// Selection, in [`VipEntry::algorithm`].
pub mod algorithm {
    /// Ring slot by the flow's hash (5-tuple).
    pub const MAGLEV: u32 = 0;
    /// Ring slot by a per-CPU cursor.
    pub const ROUND_ROBIN: u32 = 1;
    /// Fewest active flows by weight among a window of the ring.
    pub const LEAST_CONN: u32 = 2;
    /// Ring slot by the hash of the client's address.
    pub const SOURCE_HASH: u32 = 3;
    /// Ring slot at random.
    pub const RANDOM: u32 = 4;
}

/// Bits of [`VipEntry::flags`].
pub mod flags {
    /// The entry is in use.
    pub const USED: u32 = 1;
    /// With no backend: drop in silence, not RST or port unreachable.
    pub const EMPTY_DROP: u32 = 2;
    /// Some backend is reached by an interface that XDP can't redirect to: XDP
    /// leaves all of this VIP to TC, before anything is decided or counted.
    pub const LEAVE_TO_TC: u32 = 4;
}

/// Consecutive ring slots that least-connections compares.
pub const LEAST_CONN_WINDOW: u32 = 4;

/// What a VIP does.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VipEntry {
    /// Address.
    pub addr: Addr,
    /// Port, network order.
    pub port: u16,
    /// IP protocol, 6 or 17.
    pub proto: u16,
    /// One of [`algorithm`].
    pub algorithm: u32,
    /// Ring id, or [`NO_RING`].
    pub ring: u32,
    /// Slots in use of that ring.
    pub ring_len: u32,
    /// See [`flags`].
    pub flags: u32,
    /// Zero.
    pub pad: u32,
    /// Hash of the service's name, as in `BackendEntry::service`.
    pub service: u64,
}

/// A slot of the VIP table; all zero when empty.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VipSlot {
    /// Address.
    pub addr: Addr,
    /// `port | proto << 16`, the port as in the packet.
    pub port_proto: u32,
    /// VIP id plus one; 0 when empty.
    pub vip: u32,
}

/// One generation of the VIP table.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VipMeta {
    /// Seed of this generation's hash.
    pub seed: u64,
    /// Number of displacements in use less one; a power of two less one, below [`DISPS`].
    pub disp_mask: u32,
    /// Number of slots in use less one; a power of two less one, below [`SLOTS`].
    pub slot_mask: u32,
}

const _: () = {
    assert!(size_of::<VipEntry>() == 48);
    assert!(core::mem::offset_of!(VipEntry, service) == 40);
    assert!(size_of::<VipSlot>() == 24);
    assert!(size_of::<VipMeta>() == 16);
};

/// Hash of a VIP's key under a generation's seed.
#[inline(always)]
pub fn key_hash(seed: u64, addr: &Addr, port_proto: u32) -> u64 {
    let mut h = seed ^ (addr[3] as u64 | (port_proto as u64) << 32);
    h = h.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    if !crate::addr::is_v4(addr) {
        h ^= (addr[0] as u64 | (addr[1] as u64) << 32).wrapping_mul(0xc2b2_ae3d_27d4_eb4f);
        h = (h ^ h >> 29).wrapping_mul(0x1656_67b1_9e37_79f9) ^ addr[2] as u64;
    }
    hash::finish(h)
}

/// Group of a key: index into the displacements.
#[inline(always)]
pub const fn group(hash: u64, meta: &VipMeta) -> u32 {
    hash as u32 & meta.disp_mask
}

/// Slot of a key whose group has displacement `disp`. A displacement of 0 says
/// that the group is empty; one of `d` rotates the group by `d - 1` under an odd stride of the key.
#[inline(always)]
pub const fn slot(hash: u64, disp: u32, meta: &VipMeta) -> u32 {
    let start = (hash >> 32) as u32;
    let stride = (hash >> 15) as u32 | 1;
    start.wrapping_add(disp.wrapping_mul(stride)) & meta.slot_mask
}

#[cfg(feature = "user")]
mod pod {
    // SAFETY: repr(C), integers only, no padding (asserted above).
    unsafe impl aya::Pod for super::VipEntry {}
    // SAFETY: as above.
    unsafe impl aya::Pod for super::VipSlot {}
    // SAFETY: as above.
    unsafe impl aya::Pod for super::VipMeta {}
}
