//! What lb answers itself: RST (RFC 9293 §3.10.7), and ICMP errors that quote
//! the packet (RFC 792, RFC 4443).

use lb_common::{Event, csum};

use crate::{
    Answer,
    frame::Frame,
    packet::{self, Eth, Ip4, Ip6, TCP, Tcp, tcp},
    parse::{self, Packet},
    stats,
};

/// TTL of what lb sends.
const TTL: u8 = 64;

/// Turns the frame into an answer to its sender and sends it back the way it
/// came; the action. What can't be answered is dropped.
#[inline(always)]
pub(crate) fn send<F: Frame>(frame: F, p: &Packet, answer: Answer) -> i32 {
    let done = match answer {
        Answer::Reset => reset(frame, p),
        Answer::Unreachable => icmp(frame, p, (3 << 8 | 3) << 16 | 1 << 8 | 4, 0),
        Answer::TimeExceeded => icmp(frame, p, (11 << 8) << 16 | 3 << 8, 0),
        Answer::TooBig(mtu) => icmp(frame, p, (3 << 8 | 4) << 16 | 2 << 8, mtu),
    };
    if done == 0 {
        return F::DROP;
    }
    stats::event(match answer {
        Answer::Reset => Event::ResetSent,
        _ => Event::IcmpSent,
    });
    frame.send(frame.ifindex())
}

/// Makes the RST; 1 when done, 0 when it can't be.
#[inline(never)]
fn reset<F: Frame>(frame: F, p: &Packet) -> u32 {
    u32::from(make_reset(frame, p).is_some())
}

#[inline(always)]
fn make_reset<F: Frame>(frame: F, p: &Packet) -> Option<()> {
    if p.tcp_flags & tcp::RST != 0 {
        return None; // never an RST for an RST
    }
    let consumed = crate::tcp::payload(frame, p)
        + u32::from(p.tcp_flags & tcp::FIN)
        + u32::from(p.tcp_flags & tcp::SYN != 0);
    frame.set_len(p.l4 + 20).ok()?;
    let old = packet::at::<Tcp, _>(frame, p.l4 as usize)?;
    // SAFETY: checked against the end of the packet just above.
    let (seq, ack) = unsafe { ((*old).seq, (*old).ack) };
    let new = if p.tcp_flags & tcp::ACK != 0 {
        Tcp { seq: ack, ack: 0, flags: tcp::RST, ..header(p) }
    } else {
        let ack = u32::from_be(seq).wrapping_add(consumed).to_be();
        Tcp { seq: 0, ack, flags: tcp::RST | tcp::ACK, ..header(p) }
    };
    let unfinished = is_partial(frame, p.l4 as usize + 16)?;
    turn_eth(frame)?;
    let pseudo = turn_ip(frame, p, p.l4 - p.l3 + 20)? + u64::from((TCP as u16).to_be());
    let pseudo = pseudo + u64::from(20u16.to_be());
    let mut sum = pseudo;
    if !unfinished {
        sum = csum::add(csum::add(csum::add(sum, new.ports), new.seq), new.ack);
        sum = csum::add(sum, u32::from(u16::from_ne_bytes([new.offset, new.flags])));
    }
    let tcp = packet::at::<Tcp, _>(frame, p.l4 as usize)?;
    // SAFETY: checked against the end of the packet just above.
    unsafe {
        *tcp = new;
        // hardware, or the receiver, finishes a sum that has the pseudo header alone
        (*tcp).sum = if unfinished { csum::fold(sum) } else { !csum::fold(sum) };
    }
    Some(())
}

/// A header back to the sender, without sequence numbers.
#[inline(always)]
fn header(p: &Packet) -> Tcp {
    Tcp {
        ports: p.ports.rotate_left(16),
        seq: 0,
        ack: 0,
        offset: 5 << 4,
        flags: 0,
        window: 0,
        sum: 0,
        urgent: 0,
    }
}

/// Whether the L4 checksum at `at` is still to be finished: then a change of
/// the segment's own bytes doesn't touch it. The field is left as it was.
#[inline(always)]
fn is_partial<F: Frame>(frame: F, at: usize) -> Option<bool> {
    if F::XDP {
        return Some(false);
    }
    let before = read(frame, at)?;
    frame.l4_csum(at, 0, 0x1234, false).ok()?;
    let after = read(frame, at)?;
    let field = packet::at::<u16, _>(frame, at)?;
    // SAFETY: checked against the end of the packet just above.
    unsafe { *field = before };
    Some(before == after)
}

#[inline(always)]
fn read<F: Frame>(frame: F, at: usize) -> Option<u16> {
    let field = packet::at::<u16, _>(frame, at)?;
    // SAFETY: checked against the end of the packet just above.
    Some(unsafe { field.read() })
}

/// Swaps the MACs.
#[inline(always)]
fn turn_eth<F: Frame>(frame: F) -> Option<()> {
    let eth = packet::fixed::<Eth, _>(frame, 0)?;
    // SAFETY: checked against the end of the packet just above.
    unsafe {
        let (dst, src) = ((*eth).destination(), (*eth).source());
        (*eth).macs =
            [src as u32, (src >> 32) as u32 & 0xffff | (dst as u32) << 16, (dst >> 16) as u32];
    }
    Some(())
}

/// Swaps the addresses of the header in place, with a new length; returns the
/// sum of both addresses.
#[inline(always)]
fn turn_ip<F: Frame>(frame: F, p: &Packet, len: u32) -> Option<u64> {
    let mut sum = 0;
    if p.v4 {
        let ip = packet::at::<Ip4, _>(frame, p.l3 as usize)?;
        // SAFETY: checked against the end of the packet just above.
        unsafe {
            let (old_len, new_len) = ((*ip).len, (len as u16).to_be());
            let mut changed = csum::diff(0, u32::from(old_len), u32::from(new_len));
            changed = csum::diff(changed, u32::from((*ip).ttl), u32::from(TTL));
            changed = csum::diff(changed, u32::from((*ip).frag), 0);
            (*ip).frag = 0;
            (*ip).len = new_len;
            (*ip).ttl = TTL;
            (*ip).src = p.dst[3];
            (*ip).dst = p.src[3];
            (*ip).sum = csum::apply((*ip).sum, changed);
        }
        return Some(csum::add(csum::add(sum, p.src[3]), p.dst[3]));
    }
    let ip = packet::at::<Ip6, _>(frame, p.l3 as usize)?;
    // SAFETY: checked against the end of the packet just above.
    unsafe {
        (*ip).len = ((len - 40) as u16).to_be();
        (*ip).hops = TTL;
        (*ip).src = p.dst;
        (*ip).dst = p.src;
    }
    for word in 0..4 {
        sum = csum::add(csum::add(sum, p.src[word]), p.dst[word]);
    }
    Some(sum)
}

/// Makes an ICMP error of the kind (type and code, IPv4's above IPv6's) that
/// quotes the packet; 1 when done, 0 when it can't be.
#[inline(never)]
fn icmp<F: Frame>(frame: F, p: &Packet, kind: u32, mtu: u32) -> u32 {
    if p.proto != packet::TCP && p.proto != packet::UDP || p.frag == parse::FRAG_LATER {
        return 0; // no errors about errors (RFC 1122 §3.2.2), nor about later fragments
    }
    let done = match p.v4 {
        true => make_icmp4(frame, p, (kind >> 16) as u16, mtu),
        false => make_icmp6(frame, p, kind as u16, mtu),
    };
    u32::from(done.is_some())
}

/// ICMP header with its IP header before it.
#[repr(C)]
#[derive(Clone, Copy)]
struct Error<T> {
    ip: T,
    kind: u16,
    sum: u16,
    rest: u32,
}

/// Bytes of the L4 header that are quoted.
#[inline(always)]
fn quoted_l4(p: &Packet) -> u32 {
    if p.is_tcp() { 20 } else { 8 }
}

/// Sum of the quoted L4 bytes as the receiver will see them. A checksum still
/// to be finished will be: over these bytes, so that they sum to the complement of what the field holds now.
#[inline(always)]
fn quoted_sum<F: Frame>(frame: F, p: &Packet) -> Option<u64> {
    let at = p.l4 as usize + if p.is_tcp() { 16 } else { 6 };
    if is_partial(frame, at)? {
        return Some(u64::from(!read(frame, at)?));
    }
    let head = packet::at::<[u32; 2], _>(frame, p.l4 as usize)?;
    // SAFETY: checked against the end of the packet just above.
    let [a, b] = unsafe { head.read() };
    let mut sum = u64::from(a) + u64::from(b);
    if p.is_tcp() {
        let tail = packet::at::<[u32; 3], _>(frame, p.l4 as usize + 8)?;
        // SAFETY: checked against the end of the packet just above.
        let [a, b, c] = unsafe { tail.read() };
        sum += u64::from(a) + u64::from(b) + u64::from(c);
    }
    Some(sum)
}

/// Trims to what is quoted, and makes room for the error before it: the frame
/// then has a link header of its own, `room` bytes for IP and ICMP, and the quoted packet.
#[inline(always)]
fn make_room<F: Frame>(frame: F, p: &Packet, room: u32) -> Option<()> {
    turn_eth(frame)?;
    let link = packet::fixed::<[u16; 9], _>(frame, 0)?;
    // SAFETY: checked against the end of the packet just above.
    let link = unsafe { link.read() };
    frame.grow_head(room as i32).ok()?;
    let new = packet::fixed::<[u16; 7], _>(frame, 0)?;
    // SAFETY: checked against the end of the packet just above.
    unsafe {
        new.write([link[0], link[1], link[2], link[3], link[4], link[5], link[6]]);
    }
    if p.l3 as usize > packet::ETH_LEN {
        let tag = packet::fixed::<[u16; 2], _>(frame, packet::ETH_LEN)?;
        // SAFETY: checked against the end of the packet just above.
        unsafe { tag.write([link[7], link[8]]) };
    }
    Some(())
}

#[inline(always)]
fn make_icmp4<F: Frame>(frame: F, p: &Packet, kind: u16, mtu: u32) -> Option<()> {
    let quote = p.l4 - p.l3 + quoted_l4(p);
    frame.set_len(p.l3 + quote).ok()?;
    // a valid IP header sums to nothing
    let mut sum = quoted_sum(frame, p)?;
    make_room(frame, p, 28)?;
    let rest = mtu.to_be();
    sum = csum::add(csum::add(sum, rest), u32::from(kind.to_be()));
    let len = ((28 + quote) as u16).to_be();
    let mut ip = Ip4 {
        version_ihl: 0x45,
        tos: 0,
        len,
        id: 0,
        frag: 0x4000u16.to_be(),
        ttl: TTL,
        proto: packet::ICMP as u8,
        sum: 0,
        src: p.dst[3],
        dst: p.src[3],
    };
    let head = u64::from(u16::from_ne_bytes([0x45, 0]))
        + u64::from(len)
        + u64::from(0x4000u16.to_be())
        + u64::from(u16::from_ne_bytes([TTL, packet::ICMP as u8]));
    ip.sum = !csum::fold(csum::add(csum::add(head, p.src[3]), p.dst[3]));
    let out = packet::at::<Error<Ip4>, _>(frame, p.l3 as usize)?;
    // SAFETY: checked against the end of the packet just above.
    unsafe { *out = Error { ip, kind: kind.to_be(), sum: !csum::fold(sum), rest } };
    Some(())
}

#[inline(always)]
fn make_icmp6<F: Frame>(frame: F, p: &Packet, kind: u16, mtu: u32) -> Option<()> {
    let quote = p.l4 - p.l3 + quoted_l4(p);
    frame.set_len(p.l3 + quote).ok()?;
    let mut sum = quoted_sum(frame, p)?;
    // the IPv6 header and its extensions, 8 bytes at a time
    for step in 0..44u32 {
        let offset = p.l3 + step * 8;
        if offset < p.l4 {
            let words = packet::at::<[u32; 2], _>(frame, offset as usize)?;
            // SAFETY: checked against the end of the packet just above.
            let [a, b] = unsafe { words.read() };
            sum += u64::from(a) + u64::from(b);
        }
    }
    make_room(frame, p, 48)?;
    let rest = mtu.to_be();
    let len = (8 + quote) as u16;
    sum = csum::add(csum::add(sum, rest), u32::from(kind.to_be()));
    sum = csum::add(csum::add(sum, u32::from(len.to_be())), packet::ICMPV6.to_be());
    for word in 0..4 {
        sum = csum::add(csum::add(sum, p.src[word]), p.dst[word]);
    }
    let ip = Ip6 {
        flow: (6u32 << 28).to_be(),
        len: len.to_be(),
        next: packet::ICMPV6 as u8,
        hops: TTL,
        src: p.dst,
        dst: p.src,
    };
    let out = packet::at::<Error<Ip6>, _>(frame, p.l3 as usize)?;
    // SAFETY: checked against the end of the packet just above.
    unsafe { *out = Error { ip, kind: kind.to_be(), sum: !csum::fold(sum), rest } };
    Some(())
}
