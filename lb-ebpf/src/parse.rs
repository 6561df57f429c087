//! Frame → [`Packet`]: addresses, ports and where the headers are. What can't
//! be lb's leaves here, untouched, for the host.

use lb_common::{
    Addr, DropReason, addr,
    flow::{VLAN_AD, VLAN_TAGGED},
};

use crate::{
    Exit,
    frame::Frame,
    iface,
    maps::VIP_ADDRS,
    packet::{self, ETH_8021AD, ETH_8021Q, ETH_IPV4, ETH_IPV6, ETH_LEN, Eth, Ip4, Ip6, Tcp, tcp},
};

/// IPv6 extension headers walked at most (RFC 8200 §4); more, or longer than
/// [`MAX_L4`] in all, is a counted drop for a VIP.
const MAX_EXTENSIONS: usize = 6;
/// Furthest start of the L4 header.
const MAX_L4: usize = 320;

/// Whole packet.
pub(crate) const FRAG_NONE: u8 = 0;
/// First fragment: has the L4 header.
pub(crate) const FRAG_FIRST: u8 = 1;
/// Later fragment.
pub(crate) const FRAG_LATER: u8 = 2;

/// What names a flow. The functions that the verifier checks each on its own
/// (see [`crate::conn`]) take a pointer to it.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Tuple {
    pub(crate) src: Addr,
    pub(crate) dst: Addr,
    /// Source port, destination port above it, as in the packet. ICMP: type and code.
    pub(crate) ports: u32,
    pub(crate) proto: u32,
}

/// What the path needs to know of a packet.
#[repr(C, align(8))]
#[derive(Clone, Copy)]
pub(crate) struct Packet {
    pub(crate) tuple: Tuple,
    /// Offset of the IP header.
    pub(crate) l3: u32,
    /// Offset of the L4 header.
    pub(crate) l4: u32,
    /// Length of the IP packet, header included.
    pub(crate) len: u32,
    pub(crate) frag_id: u32,
    pub(crate) vlan: u16,
    pub(crate) frag: u8,
    pub(crate) tcp_flags: u8,
    pub(crate) ttl: u8,
    pub(crate) v4: bool,
}

impl core::ops::Deref for Packet {
    type Target = Tuple;
    #[inline(always)]
    fn deref(&self) -> &Tuple {
        &self.tuple
    }
}

impl core::ops::DerefMut for Packet {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut Tuple {
        &mut self.tuple
    }
}

impl Packet {
    /// Before parsing: all zero. Written word by word: the compiler's own way is a call that
    /// writes byte by byte, which takes longer than all the parsing.
    #[inline(always)]
    pub(crate) fn clear(&mut self) {
        let words = core::ptr::from_mut(self).cast::<u64>();
        for word in 0..size_of::<Self>() / 8 {
            // SAFETY: within the structure, whose size is a multiple of its alignment, eight; all
            // its fields may be zero: integers and a bool.
            unsafe { words.add(word).write_volatile(0) };
        }
    }

    /// `port | proto << 16` of the destination, as the VIP table has it.
    #[inline(always)]
    pub(crate) fn port_proto(&self) -> u32 {
        self.ports >> 16 | self.proto << 16
    }

    /// Whether it carries the first byte of the L4 header.
    #[inline(always)]
    pub(crate) fn is_tcp(&self) -> bool {
        self.proto == packet::TCP
    }
}

/// Reads the headers. `Exit::Pass` for whatever can't be lb's.
#[inline(always)]
pub(crate) fn parse<F: Frame>(frame: F, p: &mut Packet) -> Result<(), Exit> {
    frame.pull();
    link(frame, p)?;
    if p.v4 {
        ipv4(frame, p)?;
    } else {
        ipv6(frame, p)?;
    }
    if p.frag == FRAG_LATER {
        return Ok(());
    }
    transport(frame, p)
}

/// Ethernet and tags.
#[inline(always)]
fn link<F: Frame>(frame: F, p: &mut Packet) -> Result<(), Exit> {
    if frame.foreign() {
        return Err(Exit::Pass);
    }
    let eth = packet::fixed::<Eth, _>(frame, 0).ok_or(Exit::Pass)?;
    // SAFETY: checked against the end of the packet just above.
    let (dst, mut proto) = unsafe { ((*eth).destination(), (*eth).proto) };
    let group = dst & 1 != 0;
    if group || F::XDP && !iface::is_ours(frame.ifindex(), dst) {
        return Err(Exit::Pass);
    }
    let mut vlan = frame.side_vlan();
    let mut l3 = ETH_LEN;
    if F::XDP && (proto == ETH_8021Q || proto == ETH_8021AD) {
        let tag = packet::fixed::<u32, _>(frame, ETH_LEN).ok_or(Exit::Pass)?;
        // SAFETY: checked against the end of the packet just above.
        let tag = unsafe { tag.read() };
        vlan = u16::from_be(tag as u16) & 0xfff | VLAN_TAGGED;
        if proto == ETH_8021AD {
            vlan |= VLAN_AD;
        }
        proto = (tag >> 16) as u16;
        l3 += 4;
    }
    if proto != ETH_IPV4 && proto != ETH_IPV6 {
        return Err(Exit::Pass);
    }
    p.l3 = l3 as u32;
    p.vlan = vlan;
    p.v4 = proto == ETH_IPV4;
    Ok(())
}

#[inline(always)]
fn ipv4<F: Frame>(frame: F, p: &mut Packet) -> Result<(), Exit> {
    let ip = packet::at::<Ip4, _>(frame, p.l3 as usize).ok_or(Exit::Pass)?;
    // SAFETY: checked against the end of the packet just above.
    let ip = unsafe { &*ip };
    p.src = addr::v4(ip.src);
    p.dst = addr::v4(ip.dst);
    p.proto = u32::from(ip.proto);
    p.ttl = ip.ttl;
    let header = u32::from(ip.version_ihl & 0xf) * 4;
    p.l4 = p.l3 + header;
    p.len = u32::from(u16::from_be(ip.len));
    if p.proto != packet::TCP && p.proto != packet::UDP && p.proto != packet::ICMP {
        return Err(Exit::Pass);
    }
    let frag = u16::from_be(ip.frag);
    p.frag_id = u32::from(ip.id);
    if frag & 0x1fff != 0 {
        p.frag = FRAG_LATER;
    } else if frag & 0x2000 != 0 {
        p.frag = FRAG_FIRST;
    }
    if frame.segment() != 0 && p.len == 0 {
        p.len = frame.len() - p.l3; // a segment train beyond 64 KiB (BIG TCP)
    }
    if ip.version_ihl >> 4 != 4 || header < 20 || p.len < header || !holds(frame, p) {
        return Err(malformed(&p.dst));
    }
    Ok(())
}

#[inline(always)]
fn ipv6<F: Frame>(frame: F, p: &mut Packet) -> Result<(), Exit> {
    let ip = packet::at::<Ip6, _>(frame, p.l3 as usize).ok_or(Exit::Pass)?;
    // SAFETY: checked against the end of the packet just above.
    let ip = unsafe { &*ip };
    p.src = packet::words(&ip.src);
    p.dst = packet::words(&ip.dst);
    p.proto = u32::from(ip.next);
    p.ttl = ip.hops;
    p.l4 = p.l3 + 40;
    p.len = u32::from(u16::from_be(ip.len)) + 40;
    if frame.segment() != 0 && p.len == 40 {
        p.len = frame.len() - p.l3;
    }
    // never seen on a wire (RFC 4291 §2.5.5.2), and the tables would take them for IPv4
    if addr::is_v4(&p.src) || addr::is_v4(&p.dst) {
        return Err(Exit::Pass);
    }
    if !holds(frame, p) {
        return Err(malformed(&p.dst));
    }
    if p.proto != packet::TCP && p.proto != packet::UDP && p.proto != packet::ICMPV6 {
        extensions(frame, p)?;
    }
    Ok(())
}

/// Whether the frame is as long as the IP header says.
#[inline(always)]
fn holds<F: Frame>(frame: F, p: &Packet) -> bool {
    let linear = frame.data_end().wrapping_sub(frame.data()) as u32;
    p.l3 + p.len <= linear || p.l3 + p.len <= frame.len()
}

/// Walks IPv6 extension headers up to the first L4 header.
#[inline(never)]
fn walk<F: Frame>(frame: F, start: u32, next: u32) -> Walked {
    let mut w = Walked { l4: start, proto: next, frag: FRAG_NONE, frag_id: 0, end: End::TooMany };
    for _ in 0..MAX_EXTENSIONS {
        match w.proto {
            packet::TCP | packet::UDP | packet::ICMPV6 => break,
            0 | 43 | 44 | 51 | 60 => {}
            _ => {
                w.end = End::Other;
                return w;
            }
        }
        if w.l4 as usize > MAX_L4 {
            return w;
        }
        let Some(h) = packet::at::<[u8; 8], _>(frame, w.l4 as usize) else {
            w.end = End::Truncated;
            return w;
        };
        // SAFETY: checked against the end of the packet just above.
        let h = unsafe { &*h };
        match w.proto {
            43 if h[3] != 0 => {
                w.end = End::Other; // segments left: the host's business
                return w;
            }
            44 => {
                let offset = u16::from_be_bytes([h[2], h[3]]);
                w.frag_id = u32::from_ne_bytes([h[4], h[5], h[6], h[7]]);
                w.frag = match (offset & 0xfff8, offset & 1) {
                    (0, 0) => FRAG_NONE, // an atomic fragment (RFC 6946)
                    (0, _) => FRAG_FIRST,
                    _ => FRAG_LATER,
                };
                w.l4 += 8;
            }
            51 => w.l4 += (u32::from(h[1]) + 2) * 4,
            _ => w.l4 += (u32::from(h[1]) + 1) * 8,
        }
        w.proto = u32::from(h[0]);
        if w.frag == FRAG_LATER {
            w.end = match w.proto {
                packet::TCP | packet::UDP | packet::ICMPV6 | 0 | 43 | 51 | 60 => End::Found,
                _ => End::Other,
            };
            return w;
        }
    }
    if matches!(w.proto, packet::TCP | packet::UDP | packet::ICMPV6) && w.l4 as usize <= MAX_L4 {
        w.end = End::Found;
    }
    w
}

/// How a walk ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Found,
    Other,
    Truncated,
    TooMany,
}

/// Result of [`walk`].
#[derive(Clone, Copy)]
struct Walked {
    l4: u32,
    proto: u32,
    frag_id: u32,
    frag: u8,
    end: End,
}

#[inline(always)]
fn extensions<F: Frame>(frame: F, p: &mut Packet) -> Result<(), Exit> {
    let w = walk(frame, p.l4, p.proto);
    match w.end {
        End::Found => {}
        End::Other => return Err(Exit::Pass),
        End::Truncated => return Err(malformed(&p.dst)),
        End::TooMany => return Err(for_vip(&p.dst, DropReason::ExtensionHeaders)),
    }
    p.l4 = w.l4;
    p.proto = w.proto;
    p.frag = w.frag;
    p.frag_id = w.frag_id;
    Ok(())
}

/// Ports and TCP flags.
#[inline(always)]
fn transport<F: Frame>(frame: F, p: &mut Packet) -> Result<(), Exit> {
    let l4 = p.l4 as usize;
    if p.proto == packet::TCP {
        let Some(t) = packet::at::<Tcp, _>(frame, l4) else {
            return Err(malformed(&p.dst));
        };
        // SAFETY: checked against the end of the packet just above.
        let t = unsafe { &*t };
        let header = u32::from(t.offset >> 4) * 4;
        if header < 20 || p.l4 - p.l3 + header > p.len {
            return Err(malformed(&p.dst));
        }
        p.ports = t.ports;
        p.tcp_flags = t.flags;
        return Ok(());
    }
    let Some(w) = packet::at::<[u32; 2], _>(frame, l4) else {
        return Err(malformed(&p.dst));
    };
    if p.l4 - p.l3 + 8 > p.len {
        return Err(malformed(&p.dst));
    }
    // SAFETY: checked against the end of the packet just above.
    p.ports = unsafe { w.cast::<u32>().read() };
    Ok(())
}

/// A malformed packet is lb's to drop only where the address is a VIP.
#[cold]
#[inline(always)]
fn malformed(dst: &Addr) -> Exit {
    for_vip(dst, DropReason::Malformed)
}

#[inline(always)]
fn for_vip(dst: &Addr, reason: DropReason) -> Exit {
    if is_vip_addr(dst) { Exit::Drop(reason) } else { Exit::Pass }
}

/// Whether any VIP has this address. For slow paths: a BPF hash.
#[inline(always)]
pub(crate) fn is_vip_addr(dst: &Addr) -> bool {
    lb_is_vip_addr(dst) != 0
}

/// Checked by the verifier on its own.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn lb_is_vip_addr(dst: *const Addr) -> u32 {
    if dst.is_null() {
        return 0;
    }
    // SAFETY: not null; the value is not read.
    u32::from(unsafe { VIP_ADDRS.get(*dst) }.is_some())
}

/// Whether the TCP flags can't be meant (RFC 9293 §3.10: SYN goes with neither FIN nor RST; none at all).
#[inline(always)]
pub(crate) fn impossible(flags: u8) -> bool {
    let all = flags & (tcp::FIN | tcp::SYN | tcp::RST | tcp::ACK);
    all == 0 || flags & tcp::SYN != 0 && flags & (tcp::FIN | tcp::RST) != 0
}
