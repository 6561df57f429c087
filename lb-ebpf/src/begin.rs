//! A new flow: backend, NAT address and port, and its place in the table.

use lb_common::{
    DropReason, Event, VipEntry, backend,
    flow::{self, flags},
    vip as vips,
};

use crate::{
    Answer, Exit,
    atomic::add64,
    conn::{self, claimed},
    frame::Frame,
    maps::{ACTIVE, BACKENDS, dry_run},
    packet::{self, Eth, tcp as tcp_flags},
    parse::Packet,
    path::{self, Target},
    port, release, reply,
    scratch::Scratch,
    select, stats, tcp,
};

/// Asks at once for all the lines that a new flow needs: their ways from memory overlap then. The
/// backend is chosen already where that is a matter of hashes. Where the lines are is worked out
/// for all of them first: what a CPU does ahead of a line that it waits for has an end, after some
/// two hundred instructions, and the others are to be asked for until then.
#[inline(always)]
pub(crate) fn anticipate(p: &Packet, entry: &VipEntry, scratch: &mut Scratch) -> Result<(), Exit> {
    let target = &mut scratch.target;
    if matches!(entry.algorithm, vips::algorithm::MAGLEV | vips::algorithm::SOURCE_HASH) {
        target.choice = select::select(&p.tuple, target.vip);
    }
    let mut ways_back = reply::NOWHERE;
    if target.choice != 0
        && let Some(b) = BACKENDS.get(target.choice as u32)
    {
        ways_back = port::aim(b, p, target)?;
    }
    conn::anticipate(target.hash)?;
    release::anticipate(&scratch.stale);
    reply::anticipate(ways_back);
    Ok(())
}

/// Begins a flow: backend, NAT address and port, and its place in the table.
#[inline(always)]
pub(crate) fn begin<F: Frame>(
    frame: F,
    p: &Packet,
    entry: &VipEntry,
    scratch: &mut Scratch,
) -> Result<(), Exit> {
    let target = &mut scratch.target;
    let (id, hash) = (target.vip, target.hash);
    let picked_up = p.is_tcp() && p.tcp_flags & (tcp_flags::SYN | tcp_flags::ACK) != tcp_flags::SYN;
    if picked_up {
        may_pick_up(p, entry)?;
    }
    let chosen = target.choice != 0;
    if !chosen {
        target.choice = select::select(&p.tuple, id);
    }
    let choice = target.choice;
    if choice >> 32 == 0 {
        return Err(empty(p, entry));
    }
    target.backend = choice as u32;
    target.ring_slot = (choice >> 32) as u32;
    let b = BACKENDS.get(target.backend).ok_or(Exit::Drop(DropReason::Internal))?;
    if b.flags & backend::flags::RESOLVED == 0 {
        return Err(Exit::Drop(DropReason::Unresolved));
    }
    if F::XDP && b.flags & backend::flags::XDP == 0 {
        return Err(Exit::ToTc);
    }
    if b.nat_count == 0 {
        return Err(Exit::Drop(DropReason::NoNatAddress));
    }
    if !chosen {
        reply::anticipate(port::aim(b, p, target)?);
    }
    let mut index = u32::MAX; // none: a dry run has no place of its own
    if !dry_run() {
        release::forget_now(&mut scratch.stale);
        let got = conn::claim_half(p, id, hash)?;
        index = got as u32;
        if got & claimed::MASK == claimed::THEIRS {
            let f = conn::get(index).ok_or(Exit::Drop(DropReason::Internal))?;
            target.flow = index + 1;
            target.of(f);
            return Ok(());
        }
    }
    let position = translate(frame, p, index, target, &mut scratch.request)?;
    if !dry_run() {
        write(frame, p, index, position, picked_up, target)?;
        conn::publish(index, flow::signature(hash));
        (target.flow, target.is_new) = (index + 1, 1);
    }
    Ok(())
}

/// A TCP packet of no known flow: where the backend can be found again by
/// hashing, the flow is picked up; an RST is dropped, the rest is answered.
#[inline(always)]
fn may_pick_up(p: &Packet, entry: &VipEntry) -> Result<(), Exit> {
    if p.tcp_flags & tcp_flags::RST != 0 {
        return Err(Exit::Drop(DropReason::StrayReset));
    }
    match entry.algorithm {
        vips::algorithm::MAGLEV | vips::algorithm::SOURCE_HASH => {
            stats::event(Event::PickedUp);
            Ok(())
        }
        _ => Err(Exit::Answer(DropReason::NoFlow, Answer::Reset)),
    }
}

/// What a new flow gets where no backend is healthy.
#[inline(always)]
fn empty(p: &Packet, entry: &VipEntry) -> Exit {
    if entry.flags & vips::flags::EMPTY_DROP != 0 {
        return Exit::Drop(DropReason::NoBackend);
    }
    let answer = if p.is_tcp() { Answer::Reset } else { Answer::Unreachable };
    Exit::Answer(DropReason::NoBackendReset, answer)
}

/// A NAT port for the claimed flow; returns its position in the reply table.
#[inline(always)]
fn translate<F: Frame>(
    frame: F,
    p: &Packet,
    index: u32,
    target: &mut Target,
    request: &mut reply::Request,
) -> Result<u32, Exit> {
    let (seq, ts) = match p.is_tcp() {
        true => tcp::clock(frame, p).unwrap_or((0, None)),
        false => (0, None),
    };
    *request = reply::Request {
        index,
        backend: target.backend,
        nat: target.nat,
        client_port: p.ports & 0xffff,
        proto: p.proto,
        seq,
        ts: ts.unwrap_or(0),
        has_ts: u32::from(ts.is_some()),
        seed: port::seed(target.hash),
        hash: target.reply_hash,
    };
    let got = port::acquire(frame, request);
    if got == u64::MAX {
        if !dry_run() {
            conn::publish(index, flow::SIG_FREE);
        }
        return Err(Exit::Drop(DropReason::PortsExhausted));
    }
    target.nat_port = got as u32 & 0xffff;
    Ok((got >> 16) as u32)
}

/// Writes a claimed flow and counts it.
#[inline(always)]
fn write<F: Frame>(
    frame: F,
    p: &Packet,
    index: u32,
    position: u32,
    picked_up: bool,
    target: &Target,
) -> Result<(), Exit> {
    let f = conn::get(index).ok_or(Exit::Drop(DropReason::Internal))?;
    let eth = packet::fixed::<Eth, _>(frame, 0).ok_or(Exit::Drop(DropReason::Internal))?;
    f.client = p.src;
    f.client_port = p.ports as u16;
    f.nat_port = target.nat_port as u16;
    f.vip = target.vip;
    f.backend = target.backend;
    f.reply_slot = position;
    f.last_seen = conn::now();
    f.ifindex = frame.ifindex();
    // SAFETY: the packet was checked just above; see `way`.
    unsafe { path::way(f).write((*eth).source() | u64::from(p.vlan) << 48) };
    f.nat = target.nat as u16;
    f.counted = 1;
    f.state =
        if p.is_tcp() { 0 } else { flags::UDP } | if picked_up { flags::PICKED_UP } else { 0 };
    f.tcp_seq = 0;
    f.tcp_ts = 0;
    if let Some(active) = ACTIVE.get_ptr_mut(target.backend) {
        // SAFETY: a live map value, aligned.
        unsafe { add64(active, 1) };
    }
    stats::began(target.backend);
    Ok(())
}
