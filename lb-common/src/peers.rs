//! Whom the host itself has TCP connections to, as far as a filter tells: where nobody of the
//! host talks to a backend, no socket can hold a tuple towards it, and none need be looked for.

use crate::{Addr, HashKey, hash};

/// Bytes of [`HostPeers::seen`].
pub const PEERS: usize = 1 << 16;

/// A filter as Bloom's, with one hash (Bloom, "Space/time trade-offs in hash coding with
/// allowable errors", 1970): a peer whose byte is 0 is none.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostPeers {
    /// 1 while all that the host talks to is in `seen`; with 0 nothing follows from it.
    pub complete: u64,
    /// By [`slot`]: 1 where a peer has answered the host with SYN-ACK, or had a connection when
    /// the programs came to an interface; not to a port of lb's own checks.
    pub seen: [u8; PEERS],
}

/// Where an address and its port (network order) stand in [`HostPeers::seen`].
///
/// ```
/// use lb_common::{addr, peers};
/// let key = std::array::from_fn(|i| (i as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
/// let server = addr::v4(u32::from_ne_bytes([10, 0, 0, 1]));
/// assert_ne!(peers::slot(&key, &server, 80), peers::slot(&key, &server, 443));
/// ```
#[inline(always)]
pub const fn slot(key: &HashKey, addr: &Addr, port: u32) -> usize {
    hash::index(hash::peer(key, addr, port), PEERS as u32) as usize
}

const _: () = {
    assert!(core::mem::offset_of!(HostPeers, seen) == 8);
    assert!(size_of::<HostPeers>() == 8 + PEERS);
};
