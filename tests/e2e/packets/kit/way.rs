//! The four kinds of traffic, and a connection of each as packets on both sides.

use std::net::SocketAddr;

use super::{
    super::wire::{L4, Packet, Tcp, Udp},
    BACKEND_SIDE_MAC, CLIENT_MAC, CLIENT_SIDE_MAC, NEXT_HOP_MAC,
    view::NATS,
};

/// A protocol in a family. Its VIP, ring and backend have its number for an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::packets) enum Way {
    Tcp4,
    Udp4,
    Tcp6,
    Udp6,
}

impl Way {
    pub(in crate::packets) const ALL: [Self; 4] = [Self::Tcp4, Self::Udp4, Self::Tcp6, Self::Udp6];

    /// Id of its VIP, ring and backend.
    pub(in crate::packets) fn id(self) -> u32 {
        self as u32
    }

    pub(in crate::packets) fn proto(self) -> u8 {
        if self.is_tcp() { 6 } else { 17 }
    }

    pub(in crate::packets) fn is_tcp(self) -> bool {
        matches!(self, Self::Tcp4 | Self::Tcp6)
    }

    fn pick(self, v4: &str, v6: &str, port: u16) -> SocketAddr {
        let ip = if matches!(self, Self::Tcp4 | Self::Udp4) { v4 } else { v6 };
        SocketAddr::new(ip.parse().expect("an address"), port)
    }

    pub(in crate::packets) fn vip(self) -> SocketAddr {
        self.pick("198.51.100.10", "2001:db8:100::10", if self.is_tcp() { 80 } else { 53 })
    }

    pub(in crate::packets) fn backend(self) -> SocketAddr {
        self.pick("10.0.1.11", "fd00:1::11", if self.is_tcp() { 8080 } else { 5353 })
    }

    /// The usual client.
    pub(in crate::packets) fn client(self) -> SocketAddr {
        self.client_at(4000)
    }

    /// The usual client's address, another port.
    pub(in crate::packets) fn client_at(self, port: u16) -> SocketAddr {
        self.pick("192.0.2.2", "2001:db8:1::2", port)
    }

    /// The NAT address with a port.
    pub(in crate::packets) fn nat(self, port: u16) -> SocketAddr {
        self.pick(NATS[0], NATS[1], port)
    }

    /// A packet of `client` to the VIP; TCP with these flags.
    pub(in crate::packets) fn from(self, client: SocketAddr, flags: u8) -> Packet {
        let l4 = if self.is_tcp() { segment(flags, 1000, 7000) } else { datagram() };
        let packet = Packet::new(client, self.vip(), l4);
        Packet { to: CLIENT_SIDE_MAC, from: CLIENT_MAC, ..packet }
    }

    /// A packet of the usual client.
    pub(in crate::packets) fn up(self, flags: u8) -> Packet {
        self.from(self.client(), flags)
    }

    /// A packet of the backend to the NAT address and a port there.
    pub(in crate::packets) fn answer(self, port: u16, flags: u8) -> Packet {
        let l4 = if self.is_tcp() { segment(flags, 7000, 1000) } else { datagram() };
        let packet = Packet::new(self.backend(), self.nat(port), l4);
        Packet { to: BACKEND_SIDE_MAC, from: NEXT_HOP_MAC, ..packet }
    }

    /// A packet of the backend to the usual client's flow.
    pub(in crate::packets) fn down(self, flags: u8) -> Packet {
        self.answer(self.client().port(), flags)
    }

    /// What a packet of a client becomes on its way to the backend.
    pub(in crate::packets) fn forwarded(self, packet: &Packet) -> Packet {
        Packet {
            to: NEXT_HOP_MAC,
            from: BACKEND_SIDE_MAC,
            tags: Vec::new(),
            src: self.nat(packet.src.port()),
            dst: self.backend(),
            ttl: packet.ttl - 1,
            ..packet.clone()
        }
    }

    /// What a packet of the backend becomes on its way to the usual client.
    pub(in crate::packets) fn replied(self, packet: &Packet) -> Packet {
        Packet {
            to: CLIENT_MAC,
            from: CLIENT_SIDE_MAC,
            src: self.vip(),
            dst: self.client(),
            ttl: packet.ttl - 1,
            ..packet.clone()
        }
    }
}

/// A TCP segment; one with neither SYN, FIN nor RST carries some bytes.
pub(in crate::packets) fn segment(flags: u8, seq: u32, ack: u32) -> L4 {
    let data = if flags & 7 == 0 { b"some bytes, an odd number".to_vec() } else { Vec::new() };
    let ack = if flags & 16 != 0 { ack } else { 0 };
    L4::Tcp(Tcp { flags, seq, ack, window: 64_240, data, ..Tcp::default() })
}

/// A UDP datagram of some bytes.
pub(in crate::packets) fn datagram() -> L4 {
    L4::Udp(Udp { data: b"a question, odd".to_vec(), unsummed: false })
}
