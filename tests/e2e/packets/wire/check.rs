//! Whether a frame that came out is sound: lengths, and every checksum summed up again.

use std::net::IpAddr;

use super::{AD, Q, checksum, ext, sum};

/// Panics unless lengths and checksums of the frame are right, those of a quoted IPv4 header too.
pub(in crate::packets) fn assert_sound(frame: &[u8]) {
    if let Err(fault) = sound(frame) {
        panic!("{fault}: {frame:02x?}");
    }
}

fn sound(frame: &[u8]) -> Result<(), String> {
    let mut at = 12;
    while matches!(word(frame, at), Some(Q | AD)) {
        at += 4;
    }
    let packet = &frame[at + 2..];
    match word(frame, at) {
        Some(0x0800) => v4(packet),
        Some(0x86dd) => v6(packet),
        other => Err(format!("EtherType {other:04x?} was not to be sent")),
    }
}

fn v4(packet: &[u8]) -> Result<(), String> {
    let header = usize::from(packet[0] & 15) * 4;
    let length = usize::from(word(packet, 2).ok_or("no length")?);
    if packet[0] >> 4 != 4 || length > packet.len() || header > length {
        return Err(format!("an IPv4 length of {length}"));
    }
    if checksum(&[&packet[..header]]) != 0 {
        return Err("a wrong IPv4 header checksum".into());
    }
    let (src, dst) = (address(&packet[12..16]), address(&packet[16..20]));
    match word(packet, 6).unwrap_or(0) & 0x3fff {
        0 => segment(src, dst, packet[9], &packet[header..length]),
        _ => Ok(()), // the sum covers all fragments
    }
}

fn v6(packet: &[u8]) -> Result<(), String> {
    let length = usize::from(word(packet, 4).ok_or("no length")?) + 40;
    if packet[0] >> 4 != 6 || length > packet.len() {
        return Err(format!("an IPv6 length of {length}"));
    }
    let (src, dst) = (address(&packet[8..24]), address(&packet[24..40]));
    let (mut next, mut at) = (packet[6], 40);
    loop {
        let size = usize::from(packet[at + 1]);
        let step = match next {
            ext::HOP_BY_HOP | ext::ROUTING | ext::DESTINATION => (size + 1) * 8,
            ext::AUTHENTICATION => (size + 2) * 4,
            ext::FRAGMENT if word(packet, at + 2).unwrap_or(0) & 0xfff9 != 0 => return Ok(()),
            ext::FRAGMENT => 8,
            _ => return segment(src, dst, next, &packet[at..length]),
        };
        (next, at) = (packet[at], at + step);
    }
}

fn segment(src: IpAddr, dst: IpAddr, protocol: u8, bytes: &[u8]) -> Result<(), String> {
    let right = match protocol {
        17 if word(bytes, 6) == Some(0) => true,
        17 if word(bytes, 4) != Some(bytes.len() as u16) => false,
        6 | 17 | 58 => sum::segment(src, dst, protocol, bytes) == 0,
        1 => checksum(&[bytes]) == 0,
        _ => return Err(format!("protocol {protocol} was not to be sent")),
    };
    if !right {
        return Err(format!("a wrong checksum or length of protocol {protocol}"));
    }
    match (protocol, bytes[0]) {
        (1, 3 | 4 | 11 | 12) => quoted(&bytes[8..]),
        _ => Ok(()),
    }
}

fn quoted(packet: &[u8]) -> Result<(), String> {
    let header = usize::from(packet[0] & 15) * 4;
    match checksum(&[&packet[..header]]) {
        0 => Ok(()),
        _ => Err("a wrong header checksum of the quoted packet".into()),
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]))
}

fn address(bytes: &[u8]) -> IpAddr {
    match <[u8; 4]>::try_from(bytes) {
        Ok(v4) => v4.into(),
        Err(_) => <[u8; 16]>::try_from(bytes).expect("four or sixteen bytes").into(),
    }
}
