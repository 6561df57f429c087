//! Rings: what selection reads, filled by userspace.

/// Slots of a ring at most, a prime (Maglev, NSDI 2016, §3.4).
pub const RING_SLOTS: usize = 65_537;
/// Backends of one service at most.
pub const RING_MEMBERS: usize = 16_384;

/// Most rings at a time.
pub const MAX_RINGS: u32 = crate::vip::MAX_VIPS;

/// One ring, written whole as one map value.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct RingValue {
    /// Backend ids, by what the slots hold.
    pub members: [u32; RING_MEMBERS],
    /// Index into `members`; `VipEntry::ring_len` of them count.
    pub slots: [u16; RING_SLOTS + 3],
}

const _: () = assert!(size_of::<RingValue>() == RING_MEMBERS * 4 + (RING_SLOTS + 3) * 2);

#[cfg(feature = "user")]
mod pod {
    // SAFETY: repr(C), integers only, no padding (asserted above).
    unsafe impl aya::Pod for super::RingValue {}
}
