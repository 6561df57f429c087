//! The path of a packet: `parse → vip → conn → select → forward`, and back.

use lb_common::{
    Addr, BackendEntry, DropReason, Event, Flow, TcpState, VipEntry, addr, backend,
    config::flags as config_flags,
    flow::{self, flags},
    hash, vip as vips,
};

use crate::{
    Answer, Exit, begin,
    conn::{self, NONE},
    forward::{Rewrite, nat},
    frag,
    frame::Frame,
    host, icmp, iface,
    maps::{BACKENDS, NATS, config, dry_run},
    packet::{self, Eth, Tcp, tcp as tcp_flags},
    parse::{self, FRAG_LATER, Packet, Tuple},
    promote, release, reply, route, scratch, stats, tcp, verdict, vip,
};

/// Takes a frame through.
#[inline(always)]
pub(crate) fn run<F: Frame>(frame: F, p: &mut Packet) -> Result<i32, Exit> {
    parse::parse(frame, p)?;
    if p.frag == FRAG_LATER {
        return frag::follow(frame, p);
    }
    if p.proto != packet::TCP && p.proto != packet::UDP {
        return icmp::translate(frame, p);
    }
    if let Some(id) = vip::lookup(&p.dst, p.port_proto()) {
        return to_backend(frame, p, id);
    }
    if config()?.nat_filter & addr::bit(&p.dst) == 0 {
        host::answered(p);
        return Err(frag::passed(p));
    }
    match reply::find(&p.tuple) {
        NONE => Err(unknown(frame, p)),
        found => to_client(frame, p, found - 1),
    }
}

/// A packet of no flow is the host's. While flows are being carried over it may be of one that
/// is not copied yet: the host, which has no socket for it, would end that flow with an RST.
#[inline(always)]
fn unknown<F: Frame>(frame: F, p: &Packet) -> Exit {
    host::answered(p);
    match config() {
        Ok(config)
            if config.flags & config_flags::CARRYING != 0
                && host::is_nat(&p.tuple)
                && !host::takes(frame, p) =>
        {
            Exit::Drop(DropReason::CarryingOver)
        }
        _ => frag::passed(p),
    }
}

/// A new flow, or the one a packet has.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Target {
    /// Of the 5-tuple.
    pub(crate) hash: u64,
    /// What [`crate::select`] came to; 0 while it wasn't asked.
    pub(crate) choice: u64,
    /// Of the tuple on the way back, with the client's own port.
    pub(crate) reply_hash: u64,
    pub(crate) vip: u32,
    /// Flow index plus one; [`NONE`] for a dry run's new flow.
    pub(crate) flow: u32,
    pub(crate) backend: u32,
    pub(crate) nat: u32,
    /// Network order.
    pub(crate) nat_port: u32,
    /// Ring slot plus one, of a new flow.
    pub(crate) ring_slot: u32,
    /// 1 where the packet made the flow: there is nothing to follow yet.
    pub(crate) is_new: u32,
}

impl Target {
    /// Takes backend and NAT tuple from a flow.
    #[inline(always)]
    pub(crate) fn of(&mut self, f: &Flow) {
        (self.backend, self.nat, self.nat_port) =
            (f.backend, u32::from(f.nat), u32::from(f.nat_port));
    }
}

/// A client's packet to a VIP.
#[inline(always)]
fn to_backend<F: Frame>(frame: F, p: &Packet, id: u32) -> Result<i32, Exit> {
    find_or_begin(frame, p, id)?;
    forward(frame, p)
}

/// The packet's flow, known or new, as the scratch's target.
#[inline(never)]
fn find_or_begin<F: Frame>(frame: F, p: &Packet, id: u32) -> Result<(), Exit> {
    let entry = vip::entry(id).ok_or(Exit::Drop(DropReason::Internal))?;
    if F::XDP && entry.flags & vips::flags::LEAVE_TO_TC != 0 {
        return Err(Exit::ToTc);
    }
    if p.is_tcp() && parse::impossible(p.tcp_flags) {
        return Err(Exit::Drop(DropReason::BadFlags));
    }
    verdict::vip(id);
    let scratch = scratch::require()?;
    let hash = hash::flow(&config()?.hash_key, &p.src, &p.dst, p.ports, p.proto);
    (scratch.target.hash, scratch.target.vip, scratch.target.choice) = (hash, id, 0);
    if p.is_tcp() && p.tcp_flags & (tcp_flags::SYN | tcp_flags::ACK) == tcp_flags::SYN {
        begin::anticipate(p, entry, scratch)?;
    }
    let mut found = conn::find(&p.tuple, id, hash)?;
    if found != NONE && renew(p, found - 1, hash) {
        found = NONE;
    }
    let target = &mut scratch.target;
    (target.flow, target.ring_slot, target.is_new) = (found, 0, 0);
    if found == NONE {
        return begin::begin(frame, p, entry, scratch);
    }
    let f = conn::get(found - 1).ok_or(Exit::Drop(DropReason::Internal))?;
    target.of(f);
    Ok(())
}

/// Sends the packet to its target.
#[inline(never)]
fn forward<F: Frame>(frame: F, p: &Packet) -> Result<i32, Exit> {
    let scratch = scratch::require()?;
    let (target, config) = (&scratch.target, config()?);
    let b = BACKENDS.get(target.backend).ok_or(Exit::Drop(DropReason::Internal))?;
    verdict::target(target, b);
    if b.flags & backend::flags::RESET != 0 && p.is_tcp() {
        return Err(reset(target.flow));
    }
    if F::XDP && b.flags & backend::flags::XDP == 0 {
        return Err(Exit::ToTc);
    }
    if b.flags & backend::flags::RESOLVED == 0 {
        return Err(Exit::Drop(DropReason::Unresolved));
    }
    check_size(frame, p, b.mtu, config.min_mtu)?;
    let mut flow = target.flow;
    if flow != NONE && target.is_new == 0 && !dry_run() {
        flow = follow_client(frame, p, flow - 1, target.hash, config.hz);
    }
    frag::first(p, flow::FRAG_FORWARD, flow);
    stats::forwarded(target.backend, p.len);
    let nat = NATS.get(target.nat).ok_or(Exit::Drop(DropReason::Internal))?;
    let rw = &mut scratch.rewrite;
    *rw = to(b, nat);
    rw.ports |= target.nat_port;
    nat::send(frame, p, rw)
}

/// The way to a backend, without the source port.
#[inline(always)]
pub(crate) fn to(b: &BackendEntry, nat: &Addr) -> Rewrite {
    Rewrite {
        src: *nat,
        dst: b.addr,
        ports: u32::from(b.port) << 16,
        ifindex: b.ifindex,
        macs: packet::macs(&b.dst_mac, &b.src_mac),
        vlan: b.vlan,
    }
}

/// Whether a known flow has to be chosen anew; it is forgotten then.
#[inline(always)]
fn renew(p: &Packet, index: u32, hash: u64) -> bool {
    let Some(f) = conn::get(index) else {
        return true;
    };
    let Some(b) = BACKENDS.get(f.backend) else {
        return true;
    };
    let state = f.state & flags::STATE;
    let gone = b.flags & backend::flags::USED == 0;
    let down = b.flags & (backend::flags::DOWN | backend::flags::RESET) != 0;
    let syn = p.tcp_flags & (tcp_flags::SYN | tcp_flags::ACK) == tcp_flags::SYN;
    let event = if !p.is_tcp() {
        if !(down || gone || conn::expired(f, conn::now())) {
            return false;
        }
        Event::Moved
    } else if gone || syn && down && state <= TcpState::SynReceived as u32 {
        Event::Moved
    } else if syn && state >= TcpState::Closing as u32 {
        Event::SynOnClosing
    } else {
        return false;
    };
    stats::event(event);
    if !dry_run() {
        release::release(index, flow::signature(hash));
    }
    true
}

/// Answers with RST for a flow whose backend is given up.
#[inline(always)]
fn reset(found: u32) -> Exit {
    if found != NONE
        && !dry_run()
        && let Some(f) = conn::get(found - 1)
    {
        conn::set_state(f, TcpState::Reset);
        release::uncount(f);
    }
    Exit::Answer(DropReason::BackendReset, Answer::Reset)
}

/// Follows state and way of the client's packet; returns where the flow is now, plus one.
#[inline(always)]
fn follow_client<F: Frame>(frame: F, p: &Packet, index: u32, hash: u64, hz: u32) -> u32 {
    let Some(f) = conn::get(index) else {
        return NONE;
    };
    conn::touch(f, hz);
    learn(frame, p, f);
    if p.is_tcp() && tcp::from_client(frame, p, f) {
        return promote::promote(&p.tuple, index, hash);
    }
    index + 1
}

/// Replies leave by interface, VLAN and MAC of the client's latest packet.
#[inline(always)]
fn learn<F: Frame>(frame: F, p: &Packet, f: &mut Flow) {
    let Some(eth) = packet::fixed::<Eth, _>(frame, 0) else {
        return;
    };
    // SAFETY: the packet was checked just above; see `way`.
    unsafe {
        let latest = (*eth).source() | u64::from(p.vlan) << 48;
        if f.ifindex != frame.ifindex() || way(f).read() != latest {
            f.ifindex = frame.ifindex();
            way(f).write(latest);
        }
    }
}

/// MAC and VLAN of a flow's client as one word: they stand side by side at an offset of 40.
#[inline(always)]
pub(crate) fn way(f: &mut Flow) -> *mut u64 {
    f.client_mac.as_mut_ptr().cast()
}

/// A backend's packet to a NAT address.
#[inline(never)]
fn to_client<F: Frame>(frame: F, p: &Packet, index: u32) -> Result<i32, Exit> {
    let config = config()?;
    let f = conn::get(index).ok_or(Exit::Drop(DropReason::Internal))?;
    let entry = vip::entry(f.vip).ok_or(Exit::Drop(DropReason::Internal))?;
    let b = BACKENDS.get(f.backend).ok_or(Exit::Drop(DropReason::Internal))?;
    verdict::reply(f, index);
    if b.flags & backend::flags::RESET != 0 && p.is_tcp() {
        return Err(reset(index + 1));
    }
    let rw = &mut scratch::require()?.rewrite;
    back(frame, p, f, entry, rw)?;
    let mut now_at = index + 1;
    if !dry_run() {
        now_at = follow_backend(frame, p, index, b, entry, config.hz);
    }
    frag::first(p, flow::FRAG_REPLY, now_at);
    stats::replied(f.backend, p.len);
    nat::send(frame, p, rw)
}

/// The tuple and the way back to the client.
#[inline(always)]
pub(crate) fn back<F: Frame>(
    frame: F,
    p: &Packet,
    f: &Flow,
    entry: &VipEntry,
    rw: &mut Rewrite,
) -> Result<(), Exit> {
    let config = config()?;
    (rw.src, rw.dst) = (packet::words(&entry.addr), packet::words(&f.client));
    rw.ports = u32::from(entry.port) | u32::from(f.client_port) << 16;
    (rw.ifindex, rw.vlan) = (f.ifindex, f.vlan);
    let mut client_mac = &f.client_mac;
    let routed;
    if config.flags & config_flags::RETURN_ROUTE != 0 {
        routed = route::lookup(frame, p, rw)?;
        client_mac = &routed;
    }
    let out = iface::find(rw.ifindex).ok_or(Exit::Drop(DropReason::NoReturnRoute))?;
    if F::XDP && out.flags & backend::IFACE_XDP == 0 {
        return Err(Exit::ToTc);
    }
    rw.macs = packet::macs(client_mac, &out.mac);
    check_size(frame, p, out.mtu, config.min_mtu)
}

/// Follows the backend's packet; returns where the flow is now, plus one.
#[inline(always)]
fn follow_backend<F: Frame>(
    frame: F,
    p: &Packet,
    index: u32,
    b: &BackendEntry,
    entry: &VipEntry,
    hz: u32,
) -> u32 {
    let Some(f) = conn::get(index) else {
        return NONE;
    };
    conn::touch(f, hz);
    let establish = if p.is_tcp() {
        tcp::from_backend(frame, p, f)
    } else {
        f.state & flags::STATE == TcpState::New as u32
    };
    if !establish || b.flags & backend::flags::USED == 0 {
        return index + 1;
    }
    // the client's packet, as the forward table knows it
    let Some(scratch) = scratch::get() else {
        return index + 1;
    };
    let forward = &mut scratch.tuple;
    *forward = Tuple {
        src: f.client,
        dst: entry.addr,
        ports: u32::from(f.client_port) | u32::from(entry.port) << 16,
        proto: p.proto,
    };
    let Ok(config) = config() else {
        return index + 1;
    };
    let hash =
        hash::flow(&config.hash_key, &forward.src, &forward.dst, forward.ports, forward.proto);
    promote::promote(forward, index, hash)
}

/// TTL and MTU: lb answers what it can't send on.
#[inline(always)]
pub(crate) fn check_size<F: Frame>(
    frame: F,
    p: &Packet,
    mtu: u32,
    min_mtu: u32,
) -> Result<(), Exit> {
    if p.ttl <= 1 {
        return Err(Exit::Answer(DropReason::TtlExceeded, Answer::TimeExceeded));
    }
    if p.len > min_mtu && length(frame, p) > mtu {
        return Err(Exit::Answer(DropReason::TooBig, Answer::TooBig(mtu)));
    }
    Ok(())
}

/// Length of the longest IP packet that will leave: of a segment train, one segment.
#[inline(always)]
fn length<F: Frame>(frame: F, p: &Packet) -> u32 {
    let segment = frame.segment();
    if segment == 0 {
        return p.len;
    }
    let header = if p.is_tcp() {
        match packet::at::<Tcp, _>(frame, p.l4 as usize) {
            // SAFETY: checked against the end of the packet.
            Some(t) => u32::from(unsafe { (*t).offset } >> 4) * 4,
            None => 20,
        }
    } else {
        8
    };
    p.l4 - p.l3 + header + segment
}
