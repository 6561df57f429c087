//! Frames of 80 bytes, Ethernet to the end of a payload that fills them.

use std::net::{IpAddr, SocketAddr};

use lb_common::csum;

/// Bytes of a frame: what the wrapper writes.
pub(crate) const LEN: usize = 80;

/// A frame.
pub(crate) type Frame = [u8; LEN];

/// Flags of TCP.
pub(crate) const FIN: u8 = 1;
pub(crate) const SYN: u8 = 2;
pub(crate) const ACK: u8 = 16;

/// What a frame carries.
#[derive(Clone, Copy)]
pub(crate) enum L4 {
    /// Flags, sequence number, acknowledgement.
    Tcp(u8, u32, u32),
    Udp,
}

/// An IP packet from `src` to `dst`, checksums included.
pub(crate) fn ip(macs: [[u8; 6]; 2], src: SocketAddr, dst: SocketAddr, l4: L4) -> Frame {
    let [to, from] = macs;
    let mut out = [to, from].concat();
    let (proto, header) = l4_header(src.port(), dst.port(), l4);
    match (src.ip(), dst.ip()) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => {
            out.extend([0x08, 0x00, 0x45, 0]);
            out.extend(((LEN - 14) as u16).to_be_bytes());
            out.extend([0x12, 0x34, 0x40, 0, 64, proto, 0, 0]);
            out.extend(src.octets().iter().chain(&dst.octets()));
            let sum = csum::of(&[&out[14..34]]);
            out[24..26].copy_from_slice(&sum.to_ne_bytes());
        }
        (IpAddr::V6(src), IpAddr::V6(dst)) => {
            out.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
            out.extend(((LEN - 54) as u16).to_be_bytes());
            out.extend([proto, 64]);
            out.extend(src.octets().iter().chain(&dst.octets()));
        }
        _ => unreachable!("both ends of a flow are of one family"),
    }
    let l4_at = out.len();
    out.extend(header);
    out.resize(LEN, b'.');
    seal(&mut out, l4_at, proto);
    out.try_into().expect("80 bytes")
}

/// A frame that is no IP packet.
pub(crate) fn arp(macs: [[u8; 6]; 2]) -> Frame {
    let mut out = [0; LEN];
    out[..12].copy_from_slice(&macs.concat());
    out[12..16].copy_from_slice(&[0x08, 0x06, 0, 1]);
    out
}

fn l4_header(src: u16, dst: u16, l4: L4) -> (u8, Vec<u8>) {
    let mut out = [src.to_be_bytes(), dst.to_be_bytes()].concat();
    match l4 {
        L4::Tcp(flags, seq, ack) => {
            out.extend(seq.to_be_bytes().iter().chain(&ack.to_be_bytes()));
            out.extend([0x50, flags, 0xfa, 0xf0, 0, 0, 0, 0]);
            (6, out)
        }
        L4::Udp => {
            out.extend([0; 4]);
            (17, out)
        }
    }
}

/// Fills in the length of UDP and the checksum.
fn seal(out: &mut [u8], at: usize, proto: u8) {
    let length = (out.len() - at) as u16;
    if proto == 17 {
        out[at + 4..at + 6].copy_from_slice(&length.to_be_bytes());
    }
    let addresses = if at == 34 { 26..34 } else { 22..54 };
    let pseudo = [&[0, proto], length.to_be_bytes().as_slice()].concat();
    let sum = csum::of(&[&out[addresses], &pseudo, &out[at..]]);
    let field = if proto == 17 { at + 6 } else { at + 16 };
    out[field..field + 2].copy_from_slice(&sum.to_ne_bytes());
}
