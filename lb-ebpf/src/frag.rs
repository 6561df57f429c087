//! Fragments: later ones follow their first by (source, destination, protocol,
//! id), since only the first has ports.

use lb_common::{
    DropReason, Event, FragKey, FragValue, addr, backend,
    flow::{FRAG_FORWARD, FRAG_PASS},
};

use crate::{
    Exit,
    conn::{self, NONE},
    forward::nat,
    frame::Frame,
    maps::{BACKENDS, FRAGS, NATS, config, dry_run},
    packet,
    parse::{self, FRAG_FIRST, Packet},
    path, scratch, stats, vip,
};

/// Remembers what became of a first fragment.
#[inline(always)]
pub(crate) fn first(p: &Packet, kind: u32, flow: u32) {
    if p.frag == FRAG_FIRST && !dry_run() {
        remember(p, kind, flow);
    }
}

#[inline(never)]
fn remember(p: &Packet, kind: u32, flow: u32) {
    let sig = match flow {
        NONE => 0,
        found => match conn::signature_of(found - 1) {
            // SAFETY: a live map value.
            Some(at) => unsafe { at.read_volatile() },
            None => 0,
        },
    };
    let value = FragValue { kind, flow, sig, seen: conn::now() };
    let _ = FRAGS.insert(key(p), value, 0);
}

#[inline(always)]
fn key(p: &Packet) -> FragKey {
    // later IPv6 fragments name what follows their header, which need not be the protocol
    let proto = if p.v4 { p.proto } else { 0 };
    FragKey { src: p.src, dst: p.dst, id: p.frag_id, proto }
}

/// A packet left to the host; its later fragments will be, too.
#[inline(always)]
pub(crate) fn passed(p: &Packet) -> Exit {
    if p.frag == FRAG_FIRST && parse::is_vip_addr(&p.dst) {
        first(p, FRAG_PASS, NONE);
    }
    Exit::Pass
}

/// A later fragment: as its first. Without one it is dropped where the address
/// is a VIP, and left to the host elsewhere. Of ICMP it is the host's: no error is that long.
#[inline(never)]
pub(crate) fn follow<F: Frame>(frame: F, p: &Packet) -> Result<i32, Exit> {
    if p.proto == packet::ICMP || p.proto == packet::ICMPV6 {
        return Err(Exit::Pass);
    }
    // SAFETY: copied out at once.
    let Some(seen) = (unsafe { FRAGS.get(key(p)) }).copied() else {
        if parse::is_vip_addr(&p.dst) {
            return Err(Exit::Drop(DropReason::FragmentOrphan));
        }
        return Err(Exit::Pass);
    };
    if seen.kind == FRAG_PASS || seen.flow == NONE {
        return Err(Exit::Pass);
    }
    let index = seen.flow - 1;
    let orphan = Exit::Drop(DropReason::FragmentOrphan);
    let at = conn::signature_of(index).ok_or(orphan)?;
    // SAFETY: a live map value.
    if unsafe { at.read_volatile() } != seen.sig {
        return Err(orphan);
    }
    let f = conn::get(index).ok_or(orphan)?;
    let b = BACKENDS.get(f.backend).ok_or(orphan)?;
    let rw = &mut scratch::require()?.rewrite;
    if seen.kind == FRAG_FORWARD {
        if F::XDP && b.flags & backend::flags::XDP == 0 {
            return Err(Exit::ToTc);
        }
        if b.flags & backend::flags::RESOLVED == 0 {
            return Err(Exit::Drop(DropReason::Unresolved));
        }
        path::check_size(frame, p, b.mtu, config()?.min_mtu)?;
        let nat = NATS.get(u32::from(f.nat)).ok_or(orphan)?;
        stats::forwarded(f.backend, p.len);
        *rw = path::to(b, nat);
    } else {
        let entry = vip::entry(f.vip).ok_or(orphan)?;
        path::back(frame, p, f, entry, rw)?;
        stats::replied(f.backend, p.len);
    }
    if addr::is_v4(&rw.dst) != p.v4 {
        return Err(orphan);
    }
    stats::event(Event::FragmentFollowed);
    nat::send(frame, p, rw)
}
