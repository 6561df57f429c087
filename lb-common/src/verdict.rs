//! What the dry-run build of the program writes for `lb explain`.

use crate::Addr;

/// [`Verdict::action`] values.
pub mod action {
    /// Nothing decided yet.
    pub const NONE: u32 = 0;
    /// Left to the host: not lb's.
    pub const PASS: u32 = 1;
    /// Sent on to the backend.
    pub const FORWARD: u32 = 2;
    /// Sent back to the client.
    pub const REPLY: u32 = 3;
    /// Answered by lb itself (RST or ICMP).
    pub const ANSWER: u32 = 4;
    /// Dropped, for `reason`.
    pub const DROP: u32 = 5;
}

/// The fate of one packet.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// One of [`action`].
    pub action: u32,
    /// A `DropReason`, where dropped or answered.
    pub reason: u32,
    /// VIP id plus one; 0 when no VIP matched.
    pub vip: u32,
    /// Backend id plus one; 0 when none was chosen.
    pub backend: u32,
    /// Flow index plus one; 0 when the flow is new.
    pub flow: u32,
    /// The flow's state, as `Flow::state`.
    pub state: u32,
    /// Slot of the ring that was read, plus one; 0 when none was.
    pub ring_slot: u32,
    /// NAT port, network order.
    pub nat_port: u32,
    /// NAT address.
    pub nat: Addr,
    /// Interface the packet leaves by.
    pub ifindex: u32,
    /// Zero.
    pub pad: u32,
}

const _: () = assert!(size_of::<Verdict>() == 56);

#[cfg(feature = "user")]
mod pod {
    // SAFETY: repr(C), integers only, no padding (asserted above).
    unsafe impl aya::Pod for super::Verdict {}
}
