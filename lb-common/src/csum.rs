//! Checksum arithmetic: RFC 1071, updated by differences as RFC 1624 has it.

/// Adds with end-around carry.
#[inline(always)]
pub const fn add(sum: u64, word: u32) -> u64 {
    sum + word as u64
}

/// The difference that replacing `old` by `new` makes, to be added to a sum.
#[inline(always)]
pub const fn diff(sum: u64, old: u32, new: u32) -> u64 {
    sum + (!old) as u64 + new as u64
}

/// Folds a sum of up to 2^31 words to 16 bits.
#[inline(always)]
pub const fn fold(mut sum: u64) -> u16 {
    sum = (sum & 0xffff_ffff) + (sum >> 32);
    sum = (sum & 0xffff_ffff) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    sum as u16
}

/// Applies a difference (see [`diff`]) to a checksum field (RFC 1624 eqn. 3).
///
/// A NAT that replaces an address leaves the checksum as right as it was:
/// ```
/// use lb_common::csum;
/// let before = [0x4500, 0x0a00_0001u32];
/// let after = [0x4500, 0xc633_640a_u32];
/// let of = |words: [u32; 2]| !csum::fold(csum::add(csum::add(0, words[0]), words[1]));
/// assert_eq!(csum::apply(of(before), csum::diff(0, before[1], after[1])), of(after));
/// ```
#[inline(always)]
pub const fn apply(field: u16, difference: u64) -> u16 {
    !fold((!field) as u64 + difference)
}

/// As [`apply`], for UDP: 0 stays 0 (no checksum), and a result of 0 becomes all ones (RFC 768).
///
/// ```
/// use lb_common::csum;
/// assert_eq!(csum::apply_udp(0, csum::diff(0, 1, 2)), 0);
/// ```
#[inline(always)]
pub const fn apply_udp(field: u16, difference: u64) -> u16 {
    if field == 0 {
        return 0;
    }
    match apply(field, difference) {
        0 => 0xffff,
        sum => sum,
    }
}

/// Checksum of bytes, for tests and for packets built in userspace.
#[cfg(any(test, feature = "user"))]
pub fn of(parts: &[&[u8]]) -> u16 {
    let mut sum = 0u64;
    for part in parts {
        let mut words = part.chunks_exact(2);
        for word in &mut words {
            sum += u16::from_ne_bytes([word[0], word[1]]) as u64;
        }
        if let [last] = words.remainder() {
            sum += u16::from_ne_bytes([*last, 0]) as u64;
        }
    }
    !fold(sum)
}
