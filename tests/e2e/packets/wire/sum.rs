//! The Internet checksum in its plainest form.

use std::net::IpAddr;

use super::octets;

/// RFC 1071 over big-endian words, an odd byte padded with zero.
pub(in crate::packets) fn checksum(parts: &[&[u8]]) -> u16 {
    let bytes = parts.concat();
    let mut sum = 0u32;
    for pair in bytes.chunks(2) {
        sum += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
        if sum > 0xffff {
            sum -= 0xffff;
        }
    }
    !(sum as u16)
}

/// A segment's checksum with its pseudo header (RFC 9293 §3.1, RFC 768, RFC 8200 §8.1).
pub(super) fn segment(src: IpAddr, dst: IpAddr, protocol: u8, segment: &[u8]) -> u16 {
    let length = (segment.len() as u32).to_be_bytes();
    checksum(&[&octets(src), &octets(dst), &length, &[0, 0, 0, protocol], segment])
}

#[test]
fn the_example_of_rfc_1071_comes_out() {
    assert_eq!(checksum(&[&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]]), !0xddf2);
}

#[test]
fn a_header_from_a_textbook_comes_out() {
    let header = [
        0x45, 0x00, 0x00, 0x73, 0x00, 0x00, 0x40, 0x00, 0x40, 0x11, 0, 0, 0xc0, 0xa8, 0x00, 0x01,
        0xc0, 0xa8, 0x00, 0xc7,
    ];
    assert_eq!(checksum(&[&header]), 0xb861);
}
