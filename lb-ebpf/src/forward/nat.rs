//! Full NAT: both addresses and both ports are rewritten in place, checksums
//! by their differences (RFC 1624, RFC 3022 §4.2).

use lb_common::{DropReason, csum};

use crate::{
    Exit,
    forward::Rewrite,
    frame::Frame,
    packet::{self, Eth, Ip4, Ip6},
    parse::{FRAG_LATER, Packet},
};

/// Rewrites the packet and sends it out.
#[inline(always)]
pub(crate) fn send<F: Frame>(frame: F, p: &Packet, rw: &Rewrite) -> Result<i32, Exit> {
    rewrite(frame, p, rw).ok_or(Exit::Drop(DropReason::Rewrite))?;
    Ok(frame.send(rw.ifindex))
}

#[inline(always)]
fn rewrite<F: Frame>(frame: F, p: &Packet, rw: &Rewrite) -> Option<()> {
    let eth = packet::fixed::<Eth, _>(frame, 0)?;
    for (word, new) in rw.macs.iter().enumerate() {
        // SAFETY: checked against the end of the packet just above, for all three words. Volatile:
        // what is copied in one piece is copied byte by byte.
        unsafe { (&raw mut (*eth).macs).cast::<u32>().add(word).write_volatile(*new) };
    }
    let address = if p.v4 { ipv4(frame, p, rw)? } else { ipv6(frame, p, rw)? };
    if p.frag != FRAG_LATER {
        ports(frame, p, rw, address)?;
    }
    frame.retag(p.vlan, rw.vlan).ok()
}

/// Addresses, TTL and header checksum; returns the addresses' difference.
#[inline(always)]
pub(crate) fn ipv4<F: Frame>(frame: F, p: &Packet, rw: &Rewrite) -> Option<u64> {
    let ip = packet::at::<Ip4, _>(frame, p.l3 as usize)?;
    let address = csum::diff(csum::diff(0, p.src[3], rw.src[3]), p.dst[3], rw.dst[3]);
    let hops = csum::diff(0, u32::from(p.ttl), u32::from(p.ttl.wrapping_sub(1)));
    // SAFETY: checked against the end of the packet just above.
    unsafe {
        (*ip).src = rw.src[3];
        (*ip).dst = rw.dst[3];
        (*ip).ttl = p.ttl.wrapping_sub(1);
        (*ip).sum = csum::apply((*ip).sum, address + hops);
    }
    Some(address)
}

/// Addresses and hop limit; returns the addresses' difference.
#[inline(always)]
pub(crate) fn ipv6<F: Frame>(frame: F, p: &Packet, rw: &Rewrite) -> Option<u64> {
    let ip = packet::at::<Ip6, _>(frame, p.l3 as usize)?;
    let mut address = 0;
    // SAFETY: checked against the end of the packet just above.
    unsafe {
        for word in 0..4 {
            let (src, dst) = (rw.src[word], rw.dst[word]);
            address = csum::diff(csum::diff(address, p.src[word], src), p.dst[word], dst);
            // volatile: what is copied in one piece is copied byte by byte
            (&raw mut (*ip).src[word]).write_volatile(src);
            (&raw mut (*ip).dst[word]).write_volatile(dst);
        }
        (*ip).hops = p.ttl.wrapping_sub(1);
    }
    Some(address)
}

/// Ports and the L4 checksum.
#[inline(always)]
fn ports<F: Frame>(frame: F, p: &Packet, rw: &Rewrite, address: u64) -> Option<()> {
    let ports = packet::at::<u32, _>(frame, p.l4 as usize)?;
    // SAFETY: checked against the end of the packet just above.
    unsafe { ports.write(rw.ports) };
    let udp = p.proto == packet::UDP;
    let at = p.l4 as usize + if udp { 6 } else { 16 };
    let changed = csum::diff(0, p.ports, rw.ports);
    frame.l4_csum(at, address, changed, udp).ok()?;
    if !p.v4 {
        frame.header_changed(address);
    }
    Some(())
}
