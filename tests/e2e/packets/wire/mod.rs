//! Packets as values: built to bytes with every length and checksum computed from scratch, and
//! checked likewise. Nothing here is shared with the code under test.

mod check;
mod l4;
mod sum;

use std::net::{IpAddr, SocketAddr};

pub(super) use check::assert_sound;
pub(super) use l4::{Icmp, L4, Tcp, Udp, flag};
pub(super) use sum::checksum;

/// A MAC address.
pub(super) type Mac = [u8; 6];

/// 802.1Q and 802.1ad.
pub(super) const Q: u16 = 0x8100;
pub(super) const AD: u16 = 0x88a8;

/// IPv6 extension headers.
pub(super) mod ext {
    pub(in crate::packets) const HOP_BY_HOP: u8 = 0;
    pub(in crate::packets) const ROUTING: u8 = 43;
    pub(in crate::packets) const FRAGMENT: u8 = 44;
    pub(in crate::packets) const AUTHENTICATION: u8 = 51;
    pub(in crate::packets) const DESTINATION: u8 = 60;
}

/// An IPv6 extension header: its kind, and its bytes, of which the first is filled in.
pub(super) type Extension = (u8, Vec<u8>);

/// A frame with one packet.
#[derive(Clone, Debug)]
pub(super) struct Packet {
    /// Destination and source MAC.
    pub(super) to: Mac,
    pub(super) from: Mac,
    /// TPID and TCI, the outer tag first.
    pub(super) tags: Vec<(u16, u16)>,
    /// Addresses of one family; ports where the protocol has some.
    pub(super) src: SocketAddr,
    pub(super) dst: SocketAddr,
    /// TTL or hop limit.
    pub(super) ttl: u8,
    /// Type of service, or traffic class.
    pub(super) tos: u8,
    /// Identification of fragments.
    pub(super) id: u32,
    /// IPv4: may not be fragmented.
    pub(super) df: bool,
    /// Offset in bytes, and whether more follow. In IPv6 this makes a fragment header.
    pub(super) frag: Option<(u16, bool)>,
    /// IPv4 options, whole words.
    pub(super) options: Vec<u8>,
    /// IPv6 extension headers before the fragment header, and behind it.
    pub(super) extensions: Vec<Extension>,
    pub(super) inner_extensions: Vec<Extension>,
    pub(super) l4: L4,
    /// Bytes behind the packet.
    pub(super) trailer: usize,
}

impl Packet {
    /// A packet between two ends, with nothing unusual.
    pub(super) fn new(src: SocketAddr, dst: SocketAddr, l4: L4) -> Self {
        Self {
            to: [0; 6],
            from: [0; 6],
            tags: Vec::new(),
            src,
            dst,
            ttl: 64,
            tos: 0,
            id: 0x1234,
            df: false,
            frag: None,
            options: Vec::new(),
            extensions: Vec::new(),
            inner_extensions: Vec::new(),
            l4,
            trailer: 0,
        }
    }

    /// The frame.
    pub(super) fn build(&self) -> Vec<u8> {
        self.frame(&self.payload(), self.frag)
    }

    /// The frames of the packet cut in two, `cut` bytes into what IP carries.
    pub(super) fn cut(&self, cut: usize) -> [Vec<u8>; 2] {
        let payload = self.payload();
        let (first, later) = payload.split_at(cut);
        [self.frame(first, Some((0, true))), self.frame(later, Some((cut as u16, false)))]
    }

    /// What IP carries: extension headers that are cut with the rest, and the segment.
    pub(super) fn payload(&self) -> Vec<u8> {
        let protocol = self.l4.protocol(self.src.is_ipv6());
        let mut bytes = chain(&self.inner_extensions, protocol);
        bytes.extend(self.l4.build(self.src, self.dst));
        bytes
    }

    /// The IP packet without its link header.
    pub(super) fn packet(&self) -> Vec<u8> {
        self.ip(&self.payload(), self.frag)
    }

    /// The IP packet as errors quote it: headers, and so many bytes of the segment.
    pub(super) fn quoted(&self, bytes: usize) -> Vec<u8> {
        let whole = self.packet();
        let headers = whole.len() - self.payload().len();
        whole[..(headers + bytes).min(whole.len())].to_vec()
    }

    fn frame(&self, payload: &[u8], frag: Option<(u16, bool)>) -> Vec<u8> {
        let mut frame = [self.to, self.from].concat();
        for (tpid, tci) in &self.tags {
            frame.extend(tpid.to_be_bytes());
            frame.extend(tci.to_be_bytes());
        }
        let ethertype: u16 = if self.src.is_ipv4() { 0x0800 } else { 0x86dd };
        frame.extend(ethertype.to_be_bytes());
        frame.extend(self.ip(payload, frag));
        frame.resize(frame.len() + self.trailer, 0xee);
        frame
    }

    fn ip(&self, payload: &[u8], frag: Option<(u16, bool)>) -> Vec<u8> {
        match self.src.is_ipv4() {
            true => self.v4(payload, frag),
            false => self.v6(payload, frag),
        }
    }

    /// RFC 791 §3.1.
    fn v4(&self, payload: &[u8], frag: Option<(u16, bool)>) -> Vec<u8> {
        let header = 20 + self.options.len();
        let mut ip = vec![0x40 | (header / 4) as u8, self.tos];
        ip.extend(((header + payload.len()) as u16).to_be_bytes());
        ip.extend((self.id as u16).to_be_bytes());
        let (offset, more) = frag.unwrap_or((0, false));
        let flags = u16::from(self.df) << 14 | u16::from(more) << 13 | (offset / 8);
        ip.extend(flags.to_be_bytes());
        ip.extend([self.ttl, self.l4.protocol(false), 0, 0]);
        ip.extend(octets(self.src.ip()));
        ip.extend(octets(self.dst.ip()));
        ip.extend(&self.options);
        let sum = checksum(&[&ip]);
        ip[10..12].copy_from_slice(&sum.to_be_bytes());
        ip.extend(payload);
        ip
    }

    /// RFC 8200 §3 to §4.5.
    fn v6(&self, payload: &[u8], frag: Option<(u16, bool)>) -> Vec<u8> {
        let protocol = self.l4.protocol(true);
        let mut extensions = self.extensions.clone();
        if let Some((offset, more)) = frag {
            let mut header = vec![0, 0];
            header.extend((offset | u16::from(more)).to_be_bytes());
            header.extend(self.id.to_be_bytes());
            extensions.push((ext::FRAGMENT, header));
        }
        let behind = first_of(&self.inner_extensions, protocol);
        let next = first_of(&extensions, behind);
        let chain = chain(&extensions, behind);
        let mut ip = ((6 << 28) | u32::from(self.tos) << 20).to_be_bytes().to_vec();
        ip.extend(((chain.len() + payload.len()) as u16).to_be_bytes());
        ip.extend([next, self.ttl]);
        ip.extend(octets(self.src.ip()));
        ip.extend(octets(self.dst.ip()));
        ip.extend(chain);
        ip.extend(payload);
        ip
    }
}

fn first_of(extensions: &[Extension], behind: u8) -> u8 {
    extensions.first().map_or(behind, |(kind, _)| *kind)
}

/// Extension headers one after the other, each naming the next.
fn chain(extensions: &[Extension], behind: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (at, (_, header)) in extensions.iter().enumerate() {
        let start = bytes.len();
        bytes.extend(header);
        bytes[start] = first_of(&extensions[at + 1..], behind);
    }
    bytes
}

/// An extension header of so many words of eight bytes, filled with padding (RFC 8200 §4.2).
pub(super) fn padding(kind: u8, words: usize) -> Extension {
    let mut header = vec![0; words * 8];
    header[1] = (words - 1) as u8;
    // PadN holds 257 bytes at most: zero bytes behind it are Pad1.
    (header[2], header[3]) = (1, (words * 8 - 4).min(255) as u8);
    (kind, header)
}

/// An address's bytes.
pub(super) fn octets(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}
