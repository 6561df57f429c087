//! Packets that the daemon makes itself: for `explain`, and to wake clients whose
//! backend is gone.

use std::net::{IpAddr, SocketAddr};

use lb_common::csum;

/// TCP flag: synchronize (RFC 9293 §3.1).
pub(super) const SYN: u8 = 0x02;
/// TCP flag: acknowledgement.
pub(super) const ACK: u8 = 0x10;

/// Length of an Ethernet header.
const ETHERNET: usize = 14;
/// TTL or hop limit (RFC 1700, "Assigned numbers").
const TTL: u8 = 64;
/// Bytes of payload in a UDP packet, so that a frame has no need of padding.
const PAYLOAD: [u8; 18] = [0; 18];

/// An IP packet from `src` to `dst` with a TCP header: no payload, sequence numbers 0.
/// Both must be of one family.
pub(super) fn tcp(src: SocketAddr, dst: SocketAddr, flags: u8) -> Vec<u8> {
    let mut segment = vec![0; 20];
    ports(&mut segment, src, dst);
    segment[12] = 5 << 4;
    segment[13] = flags;
    // Window.
    segment[14..16].copy_from_slice(&1024u16.to_be_bytes());
    let sum = checksum(src.ip(), dst.ip(), 6, &segment);
    segment[16..18].copy_from_slice(&sum.to_ne_bytes());
    ip(src.ip(), dst.ip(), 6, &segment)
}

/// An IP packet from `src` to `dst` with a UDP header and 18 zero bytes.
pub(super) fn udp(src: SocketAddr, dst: SocketAddr) -> Vec<u8> {
    let mut datagram = vec![0; 8];
    ports(&mut datagram, src, dst);
    datagram.extend(PAYLOAD);
    let length = datagram.len() as u16;
    datagram[4..6].copy_from_slice(&length.to_be_bytes());
    // 0 would say that there is none (RFC 768).
    let sum = match checksum(src.ip(), dst.ip(), 17, &datagram) {
        0 => 0xffff,
        sum => sum,
    };
    datagram[6..8].copy_from_slice(&sum.to_ne_bytes());
    ip(src.ip(), dst.ip(), 17, &datagram)
}

/// The packet in a frame to `mac`, padded to the least length.
pub(super) fn frame(mac: [u8; 6], packet: &[u8]) -> Vec<u8> {
    let ethertype: u16 = if packet.first().is_some_and(|b| b >> 4 == 4) { 0x0800 } else { 0x86dd };
    let mut frame = vec![0; ETHERNET];
    frame[..6].copy_from_slice(&mac);
    // Locally administered, of no one in particular.
    frame[6] = 2;
    frame[12..14].copy_from_slice(&ethertype.to_be_bytes());
    frame.extend(packet);
    frame.resize(frame.len().max(60), 0);
    frame
}

fn ports(header: &mut [u8], src: SocketAddr, dst: SocketAddr) {
    header[..2].copy_from_slice(&src.port().to_be_bytes());
    header[2..4].copy_from_slice(&dst.port().to_be_bytes());
}

fn ip(src: IpAddr, dst: IpAddr, proto: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = match (src, dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => {
            let mut header = vec![0x45, 0, 0, 0, 0, 0, 0x40, 0, TTL, proto, 0, 0];
            header.extend(src.octets());
            header.extend(dst.octets());
            let length = (header.len() + payload.len()) as u16;
            header[2..4].copy_from_slice(&length.to_be_bytes());
            let sum = csum::of(&[&header]);
            header[10..12].copy_from_slice(&sum.to_ne_bytes());
            header
        }
        (src, dst) => {
            let mut header = vec![0x60, 0, 0, 0, 0, 0, proto, TTL];
            header[4..6].copy_from_slice(&(payload.len() as u16).to_be_bytes());
            header.extend(v6(src));
            header.extend(v6(dst));
            header
        }
    };
    packet.extend(payload);
    packet
}

/// Over the pseudo header (RFC 793 §3.1, RFC 8200 §8.1) and the payload.
fn checksum(src: IpAddr, dst: IpAddr, proto: u8, payload: &[u8]) -> u16 {
    let (src, dst) = match (src, dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => (src.octets().to_vec(), dst.octets().to_vec()),
        (src, dst) => (v6(src).to_vec(), v6(dst).to_vec()),
    };
    let length = (payload.len() as u32).to_be_bytes();
    csum::of(&[&src, &dst, &length, &[0, 0, 0, proto], payload])
}

fn v6(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn socket(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_tcp_packet_has_sound_checksums() {
        let (src, dst) = (socket("10.0.0.1:4000"), socket("198.51.100.10:80"));
        let packet = tcp(src, dst, SYN);
        assert_eq!(packet.len(), 40);
        assert_eq!(csum::of(&[&packet[..20]]), 0);
        assert_eq!(checksum(src.ip(), dst.ip(), 6, &packet[20..]), 0);
        assert_eq!(packet[33], SYN);
        assert_eq!(packet[20..24], [0x0f, 0xa0, 0, 80]);
    }

    #[test]
    fn an_ipv6_packet_has_a_sound_checksum() {
        let (src, dst) = (socket("[2001:db8::1]:4000"), socket("[2001:db8::2]:80"));
        let packet = tcp(src, dst, ACK);
        assert_eq!(packet.len(), 60);
        assert_eq!(checksum(src.ip(), dst.ip(), 6, &packet[40..]), 0);
    }

    #[test]
    fn a_udp_packet_has_a_sound_checksum() {
        let (src, dst) = (socket("10.0.0.1:4000"), socket("198.51.100.10:53"));
        let packet = udp(src, dst);
        assert_eq!(packet.len(), 46);
        assert_eq!(checksum(src.ip(), dst.ip(), 17, &packet[20..]), 0);
        assert_eq!(packet[24..26], [0, 26]);
    }

    #[test]
    fn a_frame_names_what_it_carries_and_is_long_enough() {
        let v4 = frame([1; 6], &tcp(socket("10.0.0.1:1"), socket("10.0.0.2:2"), SYN));
        assert_eq!((v4.len(), &v4[..6], &v4[12..14]), (60, &[1u8; 6][..], &[8u8, 0][..]));
        let v6 = frame([1; 6], &tcp(socket("[::1]:1"), socket("[::2]:2"), SYN));
        assert_eq!((v6.len(), &v6[12..14]), (74, &[0x86u8, 0xdd][..]));
    }
}
