//! One address type for both families.

/// An IPv6 address, or an IPv4 one as IPv4-mapped (`::ffff:a.b.c.d`, RFC 4291
/// §2.5.5.2), as four words holding the bytes in network order (loaded and
/// stored without swapping).
pub type Addr = [u32; 4];

/// Third word of an IPv4-mapped address.
pub const V4_MAPPED: u32 = 0x0000_ffff_u32.to_be();

/// The address of an IPv4 word as it stands in a packet.
///
/// ```
/// use lb_common::addr;
/// let word = u32::from_ne_bytes([10, 0, 0, 1]);
/// assert!(addr::is_v4(&addr::v4(word)));
/// ```
#[inline(always)]
pub const fn v4(word: u32) -> Addr {
    [0, 0, V4_MAPPED, word]
}

/// Whether the address is IPv4-mapped.
#[inline(always)]
pub const fn is_v4(a: &Addr) -> bool {
    a[0] == 0 && a[1] == 0 && a[2] == V4_MAPPED
}

/// Word-wise equality, cheap for the verifier.
#[inline(always)]
pub const fn eq(a: &Addr, b: &Addr) -> bool {
    ((a[0] ^ b[0]) | (a[1] ^ b[1]) | (a[2] ^ b[2]) | (a[3] ^ b[3])) == 0
}

/// One of 64 bits, by address: a word of such bits tells of most addresses that they are not in a
/// small set (Bloom, "Space/time trade-offs in hash coding with allowable errors", 1970).
///
/// ```
/// use lb_common::addr;
/// let own = addr::v4(u32::from_ne_bytes([10, 0, 0, 1]));
/// assert_eq!(addr::bit(&own).count_ones(), 1);
/// ```
#[inline(always)]
pub const fn bit(a: &Addr) -> u64 {
    1 << ((a[0] ^ a[1] ^ a[2] ^ a[3]).wrapping_mul(0x85eb_ca6b) >> 26)
}

/// The [`Addr`] of a std address.
#[cfg(any(test, feature = "user"))]
pub fn from_ip(ip: core::net::IpAddr) -> Addr {
    let octets = match ip {
        core::net::IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        core::net::IpAddr::V6(v6) => v6.octets(),
    };
    let mut out = [0; 4];
    for (word, chunk) in out.iter_mut().zip(octets.chunks_exact(4)) {
        *word = u32::from_ne_bytes([chunk[0], chunk[1], chunk[2], chunk[3]]);
    }
    out
}

/// The std address of an [`Addr`]; IPv4-mapped ones come back as IPv4.
#[cfg(any(test, feature = "user"))]
pub fn to_ip(a: &Addr) -> core::net::IpAddr {
    let mut octets = [0u8; 16];
    for (chunk, word) in octets.chunks_exact_mut(4).zip(a) {
        chunk.copy_from_slice(&word.to_ne_bytes());
    }
    core::net::IpAddr::V6(octets.into()).to_canonical()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn v4_and_v6_survive_the_round_trip() {
        for text in ["10.0.0.1", "255.255.255.255", "2001:db8::1", "::1", "::"] {
            let ip: core::net::IpAddr = text.parse().unwrap();
            assert_eq!(to_ip(&from_ip(ip)), ip);
            assert_eq!(is_v4(&from_ip(ip)), ip.is_ipv4(), "{text}");
        }
    }
}
