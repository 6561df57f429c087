//! What lb sends in place of a packet, built from scratch.

use super::wire::{Icmp, L4, Packet, Tcp};

/// The RST that answers a packet.
pub(super) fn reset(to: &Packet, flags: u8, seq: u32, ack: u32) -> Vec<u8> {
    turned(to, L4::Tcp(Tcp { flags, seq, ack, ..Tcp::default() })).build()
}

/// The ICMP error that answers a packet: its headers quoted as they came.
pub(super) fn error(to: &Packet, kind: u8, code: u8, rest: u32) -> Vec<u8> {
    let body = to.quoted(if matches!(to.l4, L4::Tcp(_)) { 20 } else { 8 });
    let error = turned(to, L4::Icmp(Icmp { kind, code, rest, body }));
    let bare = Packet { options: vec![], extensions: vec![], inner_extensions: vec![], ..error };
    Packet { df: true, id: 0, tos: 0, frag: None, ..bare }.build()
}

/// A packet the other way round, with another content.
fn turned(packet: &Packet, l4: L4) -> Packet {
    Packet {
        to: packet.from,
        from: packet.to,
        src: packet.dst,
        dst: packet.src,
        ttl: 64,
        df: false,
        trailer: 0,
        l4,
        ..packet.clone()
    }
}
