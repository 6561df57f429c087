//! The keyed hash of flows.
//!
//! Multilinear hashing over 32-bit words with random 64-bit keys is strongly
//! universal in its high half (Lemire and Kaser, "Strongly universal string
//! hashing is fast", 2014); the finaliser (Stafford's variant 13 of
//! MurmurHash3's) spreads that over all bits, so that bucket, signature and
//! ring slot can take different parts. A client that does not know the keys
//! can't aim its flows at one bucket or one backend.

use crate::{Addr, addr};

/// Keys of the hash; every word random.
pub type HashKey = [u64; 12];

/// Stafford's variant 13 of MurmurHash3's 64-bit finaliser.
#[inline(always)]
pub const fn finish(mut h: u64) -> u64 {
    h ^= h >> 30;
    h = h.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    h ^= h >> 27;
    h = h.wrapping_mul(0x94d0_49bb_1331_11eb);
    h ^ h >> 31
}

/// Hash of a 5-tuple. `ports` is `source | destination << 16`, both as they
/// stand in the packet.
#[inline(always)]
pub fn flow(key: &HashKey, src: &Addr, dst: &Addr, ports: u32, proto: u32) -> u64 {
    let mut h = key[0]
        .wrapping_add(key[1].wrapping_mul(src[3] as u64))
        .wrapping_add(key[2].wrapping_mul(dst[3] as u64))
        .wrapping_add(key[3].wrapping_mul(ports as u64))
        .wrapping_add(key[4].wrapping_mul(proto as u64));
    if !addr::is_v4(dst) {
        h = h
            .wrapping_add(key[5].wrapping_mul(src[0] as u64))
            .wrapping_add(key[6].wrapping_mul(src[1] as u64))
            .wrapping_add(key[7].wrapping_mul(src[2] as u64))
            .wrapping_add(key[8].wrapping_mul(dst[0] as u64))
            .wrapping_add(key[9].wrapping_mul(dst[1] as u64))
            .wrapping_add(key[10].wrapping_mul(dst[2] as u64));
    }
    finish(h)
}

/// Hash of a client's address alone (`sourceHash`).
#[inline(always)]
pub const fn source(key: &HashKey, src: &Addr) -> u64 {
    peer(key, src, 0)
}

/// Hash of an address and a port.
#[inline(always)]
pub const fn peer(key: &HashKey, addr: &Addr, port: u32) -> u64 {
    finish(
        key[11]
            .wrapping_add(key[1].wrapping_mul(addr[3] as u64))
            .wrapping_add(key[3].wrapping_mul(port as u64))
            .wrapping_add(key[5].wrapping_mul(addr[0] as u64))
            .wrapping_add(key[6].wrapping_mul(addr[1] as u64))
            .wrapping_add(key[7].wrapping_mul(addr[2] as u64)),
    )
}

/// Index below `n` from a hash, by multiply-shift over its high half.
///
/// ```
/// use lb_common::hash;
/// assert_eq!(hash::index(0, 7), 0);
/// assert_eq!(hash::index(u64::MAX, 7), 6);
/// ```
#[inline(always)]
pub const fn index(hash: u64, n: u32) -> u32 {
    (((hash >> 32) * n as u64) >> 32) as u32
}

/// Hash of a text (FNV-1a with a finaliser): names of services and backends,
/// the same on every host and in every version.
pub const fn text(bytes: &[u8]) -> u64 {
    let mut h = 0xcbf2_9ce4_8422_2325u64;
    let mut i = 0;
    while i < bytes.len() {
        h = (h ^ bytes[i] as u64).wrapping_mul(0x0100_0000_01b3);
        i += 1;
    }
    finish(h)
}
