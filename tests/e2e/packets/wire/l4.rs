//! What IP carries: TCP, UDP, ICMP of both families, and anything else as bytes.

use std::net::SocketAddr;

use super::sum;

/// TCP flags.
pub(in crate::packets) mod flag {
    pub(in crate::packets) const FIN: u8 = 1;
    pub(in crate::packets) const SYN: u8 = 2;
    pub(in crate::packets) const RST: u8 = 4;
    pub(in crate::packets) const PSH: u8 = 8;
    pub(in crate::packets) const ACK: u8 = 16;
    pub(in crate::packets) const URG: u8 = 32;
}

/// The upper layer.
#[derive(Clone, Debug)]
pub(in crate::packets) enum L4 {
    Tcp(Tcp),
    Udp(Udp),
    Icmp(Icmp),
    /// Protocol and bytes.
    Other(u8, Vec<u8>),
}

#[derive(Clone, Debug, Default)]
pub(in crate::packets) struct Tcp {
    pub(in crate::packets) flags: u8,
    pub(in crate::packets) seq: u32,
    pub(in crate::packets) ack: u32,
    pub(in crate::packets) window: u16,
    /// Whole words.
    pub(in crate::packets) options: Vec<u8>,
    pub(in crate::packets) data: Vec<u8>,
}

#[derive(Clone, Debug, Default)]
pub(in crate::packets) struct Udp {
    /// Sent with a checksum of zero: none.
    pub(in crate::packets) unsummed: bool,
    pub(in crate::packets) data: Vec<u8>,
}

/// ICMP, or ICMPv6 between IPv6 addresses.
#[derive(Clone, Debug, Default)]
pub(in crate::packets) struct Icmp {
    pub(in crate::packets) kind: u8,
    pub(in crate::packets) code: u8,
    /// The second word: MTU, identifier.
    pub(in crate::packets) rest: u32,
    pub(in crate::packets) body: Vec<u8>,
}

impl L4 {
    pub(super) fn protocol(&self, v6: bool) -> u8 {
        match self {
            Self::Tcp(_) => 6,
            Self::Udp(_) => 17,
            Self::Icmp(_) if v6 => 58,
            Self::Icmp(_) => 1,
            Self::Other(protocol, _) => *protocol,
        }
    }

    /// The segment with its checksum.
    pub(super) fn build(&self, src: SocketAddr, dst: SocketAddr) -> Vec<u8> {
        match self {
            Self::Tcp(tcp) => tcp.build(src, dst),
            Self::Udp(udp) => udp.build(src, dst),
            Self::Icmp(icmp) => icmp.build(src, dst),
            Self::Other(_, bytes) => bytes.clone(),
        }
    }
}

impl Tcp {
    fn build(&self, src: SocketAddr, dst: SocketAddr) -> Vec<u8> {
        let mut bytes = ports(src, dst);
        bytes.extend(self.seq.to_be_bytes());
        bytes.extend(self.ack.to_be_bytes());
        bytes.extend([(((20 + self.options.len()) / 4) << 4) as u8, self.flags]);
        bytes.extend(self.window.to_be_bytes());
        bytes.extend([0; 4]);
        bytes.extend(&self.options);
        bytes.extend(&self.data);
        let sum = sum::segment(src.ip(), dst.ip(), 6, &bytes);
        bytes[16..18].copy_from_slice(&sum.to_be_bytes());
        bytes
    }
}

impl Udp {
    fn build(&self, src: SocketAddr, dst: SocketAddr) -> Vec<u8> {
        let mut bytes = ports(src, dst);
        bytes.extend((8 + self.data.len() as u16).to_be_bytes());
        bytes.extend([0; 2]);
        bytes.extend(&self.data);
        if !self.unsummed {
            let sum = match sum::segment(src.ip(), dst.ip(), 17, &bytes) {
                0 => 0xffff,
                sum => sum,
            };
            bytes[6..8].copy_from_slice(&sum.to_be_bytes());
        }
        bytes
    }
}

impl Icmp {
    fn build(&self, src: SocketAddr, dst: SocketAddr) -> Vec<u8> {
        let mut bytes = vec![self.kind, self.code, 0, 0];
        bytes.extend(self.rest.to_be_bytes());
        bytes.extend(&self.body);
        let sum = match src.is_ipv6() {
            true => sum::segment(src.ip(), dst.ip(), 58, &bytes),
            false => sum::checksum(&[&bytes]),
        };
        bytes[2..4].copy_from_slice(&sum.to_be_bytes());
        bytes
    }
}

fn ports(src: SocketAddr, dst: SocketAddr) -> Vec<u8> {
    [src.port().to_be_bytes(), dst.port().to_be_bytes()].concat()
}
