//! ICMP errors, translated to the flow they are about (RFC 5508 §4, RFC 792,
//! RFC 4443), so that path MTU discovery works through lb.

use lb_common::{Addr, DropReason, Event, addr, csum, hash};

use crate::{
    Exit,
    conn::{self, NONE},
    forward::Rewrite,
    frag,
    frame::Frame,
    maps::{BACKENDS, NATS, config},
    packet::{self, Eth, Ip4, Ip6},
    parse::{self, Packet, Tuple},
    path, reply,
    scratch::{self, Scratch},
    stats, vip,
};

/// The packet that an error quotes.
#[derive(Clone, Copy)]
struct Quoted {
    src: Addr,
    dst: Addr,
    ports: u32,
    proto: u32,
    l3: u32,
    l4: u32,
}

/// Translates an error about one of lb's flows; everything else is the host's.
#[inline(never)]
pub(crate) fn translate<F: Frame>(frame: F, p: &Packet) -> Result<i32, Exit> {
    let kind = p.ports & 0xff;
    let error = match p.v4 {
        true => matches!(kind, 3 | 4 | 11 | 12),
        false => matches!(kind, 1..=4),
    };
    if !error || p.frag != parse::FRAG_NONE {
        return Err(frag::passed(p));
    }
    let q = quoted(frame, p).ok_or(Exit::Pass)?;
    let swapped = q.ports.rotate_left(16);
    let scratch = scratch::require()?;
    scratch.tuple = Tuple { src: q.dst, dst: q.src, ports: swapped, proto: q.proto };
    let found = reply::find(&scratch.tuple);
    if found != NONE {
        return to_client(frame, p, &q, found - 1, scratch);
    }
    let Some(id) = vip::lookup(&q.src, q.ports & 0xffff | q.proto << 16) else {
        return Err(Exit::Pass);
    };
    to_backend(frame, p, &q, id, scratch)
}

/// Reads the quoted headers; `None` for what lb never sends.
#[inline(always)]
fn quoted<F: Frame>(frame: F, p: &Packet) -> Option<Quoted> {
    let l3 = p.l4 + 8;
    let mut q = Quoted { src: [0; 4], dst: [0; 4], ports: 0, proto: 0, l3, l4: 0 };
    if p.v4 {
        let ip = packet::at::<Ip4, _>(frame, l3 as usize)?;
        // SAFETY: checked against the end of the packet just above.
        let ip = unsafe { &*ip };
        if ip.version_ihl >> 4 != 4 || u16::from_be(ip.frag) & 0x1fff != 0 {
            return None;
        }
        (q.src, q.dst, q.proto) = (addr::v4(ip.src), addr::v4(ip.dst), u32::from(ip.proto));
        q.l4 = l3 + u32::from(ip.version_ihl & 0xf) * 4;
    } else {
        let ip = packet::at::<Ip6, _>(frame, l3 as usize)?;
        // SAFETY: checked against the end of the packet just above.
        let ip = unsafe { &*ip };
        (q.src, q.dst, q.proto) = (ip.src, ip.dst, u32::from(ip.next));
        q.l4 = l3 + 40;
    }
    if q.proto != packet::TCP && q.proto != packet::UDP {
        return None;
    }
    let ports = packet::at::<u32, _>(frame, q.l4 as usize)?;
    // SAFETY: checked against the end of the packet just above.
    q.ports = unsafe { ports.read() };
    Some(q)
}

/// About a packet that lb sent to a backend.
#[inline(always)]
fn to_client<F: Frame>(
    frame: F,
    p: &Packet,
    q: &Quoted,
    index: u32,
    scratch: &mut Scratch,
) -> Result<i32, Exit> {
    let f = conn::get(index).ok_or(Exit::Drop(DropReason::Internal))?;
    let entry = vip::entry(f.vip).ok_or(Exit::Drop(DropReason::Internal))?;
    path::back(frame, p, f, entry, &mut scratch.rewrite)?;
    scratch.inner.src = f.client;
    scratch.inner.dst = entry.addr;
    scratch.inner.ports = u32::from(f.client_port) | u32::from(entry.port) << 16;
    finish(frame, p, q, scratch)
}

/// About a packet that lb sent to a client.
#[inline(always)]
fn to_backend<F: Frame>(
    frame: F,
    p: &Packet,
    q: &Quoted,
    id: u32,
    scratch: &mut Scratch,
) -> Result<i32, Exit> {
    let config = config()?;
    let client = &scratch.tuple;
    let hash = hash::flow(&config.hash_key, &client.src, &client.dst, client.ports, client.proto);
    let found = conn::find(client, id, hash)?;
    if found == NONE {
        return Err(Exit::Drop(DropReason::IcmpOrphan));
    }
    let f = conn::get(found - 1).ok_or(Exit::Drop(DropReason::Internal))?;
    let b = BACKENDS.get(f.backend).ok_or(Exit::Drop(DropReason::Internal))?;
    let nat = NATS.get(u32::from(f.nat)).ok_or(Exit::Drop(DropReason::Internal))?;
    if F::XDP && b.flags & lb_common::backend::flags::XDP == 0 {
        return Err(Exit::ToTc);
    }
    if b.flags & lb_common::backend::flags::RESOLVED == 0 {
        return Err(Exit::Drop(DropReason::Unresolved));
    }
    path::check_size(frame, p, b.mtu, config.min_mtu)?;
    scratch.rewrite = path::to(b, nat);
    scratch.inner.src = b.addr;
    scratch.inner.dst = *nat;
    scratch.inner.ports = u32::from(b.port) | u32::from(f.nat_port) << 16;
    finish(frame, p, q, scratch)
}

/// Rewrites both headers and sends.
#[inline(always)]
fn finish<F: Frame>(frame: F, p: &Packet, q: &Quoted, scratch: &Scratch) -> Result<i32, Exit> {
    let rw = &scratch.rewrite;
    if addr::is_v4(&rw.dst) != p.v4 {
        return Err(Exit::Drop(DropReason::Internal));
    }
    rewrite(frame, p, q, rw, &scratch.inner).ok_or(Exit::Drop(DropReason::Rewrite))?;
    stats::event(Event::IcmpTranslated);
    Ok(frame.send(rw.ifindex))
}

#[inline(always)]
fn rewrite<F: Frame>(
    frame: F,
    p: &Packet,
    q: &Quoted,
    rw: &Rewrite,
    inner: &Rewrite,
) -> Option<()> {
    let eth = packet::fixed::<Eth, _>(frame, 0)?;
    // SAFETY: checked against the end of the packet just above.
    unsafe { (*eth).macs = rw.macs };
    let changed = quote(frame, p, q, inner)?;
    let outer = if p.v4 {
        crate::forward::nat::ipv4(frame, p, rw)?;
        0
    } else {
        crate::forward::nat::ipv6(frame, p, rw)?
    };
    frame.l4_csum(p.l4 as usize + 2, outer, changed, false).ok()?;
    if !p.v4 {
        frame.header_changed(outer);
    }
    frame.retag(p.vlan, rw.vlan).ok()
}

/// Rewrites the quoted packet; returns the difference to the ICMP checksum.
#[inline(always)]
fn quote<F: Frame>(frame: F, p: &Packet, q: &Quoted, inner: &Rewrite) -> Option<u64> {
    let mut address = 0;
    for word in 0..4 {
        address = csum::diff(address, q.src[word], inner.src[word]);
        address = csum::diff(address, q.dst[word], inner.dst[word]);
    }
    let mut changed = address;
    if p.v4 {
        let ip = packet::at::<Ip4, _>(frame, q.l3 as usize)?;
        // SAFETY: checked against the end of the packet just above.
        unsafe {
            let old = (*ip).sum;
            (*ip).src = inner.src[3];
            (*ip).dst = inner.dst[3];
            (*ip).sum = csum::apply(old, address);
            changed = csum::diff(changed, u32::from(old), u32::from((*ip).sum));
        }
    } else {
        let ip = packet::at::<Ip6, _>(frame, q.l3 as usize)?;
        // SAFETY: checked against the end of the packet just above.
        unsafe {
            (*ip).src = inner.src;
            (*ip).dst = inner.dst;
        }
    }
    let ports = packet::at::<u32, _>(frame, q.l4 as usize)?;
    // SAFETY: checked against the end of the packet just above.
    unsafe { ports.write(inner.ports) };
    let moved = csum::diff(0, q.ports, inner.ports);
    // the quoted L4 checksum, where the quotation reaches that far
    let udp = q.proto == packet::UDP;
    let at = q.l4 as usize + if udp { 6 } else { 16 };
    if let Some(sum) = packet::at::<u16, _>(frame, at) {
        // SAFETY: checked against the end of the packet just above.
        unsafe {
            let old = *sum;
            let total = address + moved;
            *sum = if udp { csum::apply_udp(old, total) } else { csum::apply(old, total) };
            changed = csum::diff(changed, u32::from(old), u32::from(*sum));
        }
    }
    Some(changed + moved)
}
