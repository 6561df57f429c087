//! The flow table: buckets of signatures, and behind them the flows.
//!
//! A forward look-up hashes the 5-tuple (client, client port, VIP, VIP port,
//! protocol) to a bucket of [`WAYS`] signatures, one cache line, and the slot
//! whose signature matches names the flow by position. A signature only
//! nominates: the whole tuple is compared before a packet is sent. Established
//! flows have buckets `0..est_buckets`, half-open ones `est_buckets..`, so that
//! a flood of SYNs can't push out what is established.
//!
//! The way back hashes (backend, backend port, NAT address, NAT port, protocol)
//! to a bucket of [`REPLY_WAYS`] words `signature << 32 | flow index + 1`.

use crate::Addr;

/// Signatures in a forward bucket (64 bytes).
pub const WAYS: usize = 16;
/// Entries in a reply bucket (64 bytes).
pub const REPLY_WAYS: usize = 8;

/// The signatures of a forward bucket.
pub type SigBucket = [u32; WAYS];
/// A reply bucket.
pub type ReplyBucket = [u64; REPLY_WAYS];

/// An unused signature slot.
pub const SIG_FREE: u32 = 0;
/// Low bits of a signature: the flow behind it is complete.
pub const SIG_READY: u32 = 1;
/// Low bits of a signature: its owner is still writing the flow.
pub const SIG_BUSY: u32 = 2;
/// The bits that tell ready from busy.
pub const SIG_STATE: u32 = 3;

/// The signature of a 64-bit hash, marked ready.
#[inline(always)]
pub const fn signature(hash: u64) -> u32 {
    ((hash >> 32) as u32 & !SIG_STATE) | SIG_READY
}

/// The bucket of a hash among `n`, by multiply-shift (no division). `n` may be 0, giving 0.
/// Uses the low half of the hash, the signature the high one.
///
/// ```
/// use lb_common::flow;
/// assert_eq!(flow::bucket(u64::MAX, 1000), 999);
/// assert_eq!(flow::bucket(u64::MAX, 0), 0);
/// ```
#[inline(always)]
pub const fn bucket(hash: u64, n: u32) -> u32 {
    (((hash & 0xffff_ffff) * n as u64) >> 32) as u32
}

/// The word of a reply bucket.
#[inline(always)]
pub const fn reply_word(hash: u64, flow: u32) -> u64 {
    (hash & 0xffff_ffff_0000_0000) | (flow as u64 + 1)
}

/// Where a flow stands. Kept as `u32` in [`Flow::state`]: the low byte is one of
/// these, the bits above are [`flags`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum TcpState {
    /// Half-open: the client's first packet went to the backend. Also a TCP
    /// flow picked up in the middle, and an unanswered UDP flow.
    New = 0,
    /// Half-open: the backend answered with SYN-ACK.
    SynReceived = 1,
    /// Established; a UDP flow that was answered.
    Established = 2,
    /// One side has sent FIN.
    Closing = 3,
    /// Both sides have, or one sent RST: the flow gives up its port under shortage.
    Closed = 4,
    /// Answered with RST by lb itself (dead or removed backend).
    Reset = 5,
}

impl TcpState {
    /// The state in [`Flow::state`], if its low byte is one.
    ///
    /// ```
    /// use lb_common::{TcpState, flow::flags};
    /// assert_eq!(TcpState::from_word(2 | flags::UDP), Some(TcpState::Established));
    /// assert_eq!(TcpState::from_word(99), None);
    /// ```
    pub const fn from_word(word: u32) -> Option<Self> {
        Some(match word & flags::STATE {
            0 => Self::New,
            1 => Self::SynReceived,
            2 => Self::Established,
            3 => Self::Closing,
            4 => Self::Closed,
            5 => Self::Reset,
            _ => return None,
        })
    }

    /// The name shown by `lb flows`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::SynReceived => "syn-received",
            Self::Established => "established",
            Self::Closing => "closing",
            Self::Closed => "closed",
            Self::Reset => "reset",
        }
    }
}

/// Bits of [`Flow::state`] above the state.
pub mod flags {
    /// Mask of the [`super::TcpState`].
    pub const STATE: u32 = 0xff;
    /// The client has sent FIN.
    pub const FIN_CLIENT: u32 = 0x100;
    /// The backend has sent FIN.
    pub const FIN_BACKEND: u32 = 0x200;
    /// The backend sent its FIN before the client: its socket is in TIME_WAIT.
    pub const BACKEND_FIRST: u32 = 0x400;
    /// Picked up in the middle: no SYN was seen.
    pub const PICKED_UP: u32 = 0x800;
    /// The flow is UDP.
    pub const UDP: u32 = 0x1000;
    /// `Flow::tcp_ts` holds a timestamp.
    pub const HAS_TS: u32 = 0x2000;
}

/// One flow, one cache line.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flow {
    /// The client's address.
    pub client: Addr,
    /// The client's port, network order.
    pub client_port: u16,
    /// The port lb uses towards the backend, network order.
    pub nat_port: u16,
    /// VIP id.
    pub vip: u32,
    /// Backend id.
    pub backend: u32,
    /// Position in the reply table, `bucket * 8 + slot`.
    pub reply_slot: u32,
    /// Jiffies of the latest packet, low half; written at most once a second.
    pub last_seen: u32,
    /// Interface of the client's latest packet.
    pub ifindex: u32,
    /// Source MAC of the client's latest packet.
    pub client_mac: [u8; 6],
    /// VLAN of the client's latest packet: the id, with [`VLAN_TAGGED`] when there was a tag.
    pub vlan: u16,
    /// NAT address index.
    pub nat: u16,
    /// 1 while it is counted in `ACTIVE` of its backend: until it is closed or forgotten. Changed
    /// by compare-and-swap, together with `nat`, so that it is taken out of the count once.
    pub counted: u16,
    /// A [`TcpState`] and [`flags`].
    pub state: u32,
    /// Half-open: the acknowledgement that completes the handshake. Closing:
    /// the client's next sequence number. Host order.
    pub tcp_seq: u32,
    /// Closing: the client's last timestamp (RFC 7323), host order.
    pub tcp_ts: u32,
}

/// A forward bucket: signatures, and the flows that they name. In one piece, since a table is
/// mapped by pages of 4 KiB of which a packet's is in no TLB: a page more is a walk more.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlowBucket {
    /// By way.
    pub sigs: SigBucket,
    /// By way.
    pub flows: [Flow; WAYS],
}

/// Set in a VLAN word when the frame carried a tag (802.1Q; id in the low 12 bits).
pub const VLAN_TAGGED: u16 = 0x1000;
/// Set in a VLAN word when the tag was 802.1ad.
pub const VLAN_AD: u16 = 0x2000;

const _: () = {
    assert!(size_of::<Flow>() == 64);
    assert!(size_of::<FlowBucket>() == 64 * (WAYS + 1));
    assert!(core::mem::offset_of!(Flow, ifindex) == 36);
    assert!(core::mem::offset_of!(Flow, nat) == 48);
    assert!(core::mem::offset_of!(Flow, state) == 52);
    assert!(size_of::<FragKey>() == 40);
    assert!(size_of::<FragValue>() == 16);
};

/// Names a fragmented packet: RFC 791 §3.1, RFC 8200 §4.5.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FragKey {
    /// Source address.
    pub src: Addr,
    /// Destination address.
    pub dst: Addr,
    /// Identification, as in the packet.
    pub id: u32,
    /// IPv4: the protocol. IPv6: 0, the id tells them apart.
    pub proto: u32,
}

/// What became of a first fragment.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FragValue {
    /// One of [`FRAG_PASS`], [`FRAG_FORWARD`], [`FRAG_REPLY`].
    pub kind: u32,
    /// Flow index.
    pub flow: u32,
    /// Signature of that flow, checked again.
    pub sig: u32,
    /// Jiffies when written.
    pub seen: u32,
}

/// The first fragment went to the host.
pub const FRAG_PASS: u32 = 0;
/// The first fragment went to a backend.
pub const FRAG_FORWARD: u32 = 1;
/// The first fragment went to a client.
pub const FRAG_REPLY: u32 = 2;

#[cfg(feature = "user")]
mod pod {
    // SAFETY: repr(C), integers only, no padding (asserted above).
    unsafe impl aya::Pod for super::Flow {}
    // SAFETY: as above.
    unsafe impl aya::Pod for super::FlowBucket {}
    // SAFETY: as above.
    unsafe impl aya::Pod for super::FragKey {}
    // SAFETY: as above.
    unsafe impl aya::Pod for super::FragValue {}
}
