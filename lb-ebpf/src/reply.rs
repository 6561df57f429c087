//! The way back: NAT ports are chosen and found again here.

use lb_common::{
    BackendEntry, DropReason, Event, Flow, KernelConfig, TcpState, addr,
    flow::{self, REPLY_WAYS, ReplyBucket, SIG_READY, SIG_STATE, flags},
    hash,
};

use crate::{
    Exit,
    atomic::cas64,
    conn::{self, NONE},
    frame::Frame,
    host,
    maps::{self, BACKENDS, CONFIG, NATS, REPLIES, dry_run},
    packet::{self, Tcp},
    parse::{Packet, Tuple},
    path::Target,
    release, scratch, stats,
};

/// Ports tried before a closed or half-open flow has to give up its own.
const PROBES: u32 = 32;
/// Ranges up to this size are tried port by port.
const SMALL_RANGE: u32 = 32;

/// The flow of a backend's packet; its index plus one, or [`NONE`].
#[inline(always)]
pub(crate) fn find(t: &Tuple) -> u32 {
    lb_find_reply(t)
}

/// As [`find`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn lb_find_reply(t: *const Tuple) -> u32 {
    let Some(config) = CONFIG.get(0) else {
        return NONE;
    };
    if t.is_null() {
        return NONE;
    }
    // SAFETY: not null.
    let t = unsafe { &*t };
    let hash = hash::flow(&config.hash_key, &t.src, &t.dst, t.ports, t.proto);
    let Some(bucket) = REPLIES.get(flow::bucket(hash, config.reply_buckets)) else {
        return NONE;
    };
    let sig = hash >> 32;
    for way in 0..REPLY_WAYS {
        let word = load(bucket, way);
        if word >> 32 == sig && word as u32 != 0 {
            let index = word as u32 - 1;
            if is(index, t) {
                return index + 1;
            }
        }
    }
    NONE
}

#[inline(always)]
fn load(bucket: &ReplyBucket, way: usize) -> u64 {
    // SAFETY: `way` is below REPLY_WAYS wherever this is called.
    unsafe { bucket.as_ptr().add(way).read_volatile() }
}

/// Whether the complete flow at `index` has this tuple on its way back.
#[inline(always)]
fn is(index: u32, t: &Tuple) -> bool {
    let (Some(f), Some(at)) = (conn::get(index), conn::signature_of(index)) else {
        return false;
    };
    let (Some(b), Some(nat)) = (BACKENDS.get(f.backend), NATS.get(u32::from(f.nat))) else {
        return false;
    };
    // SAFETY: a live map value.
    let ready = unsafe { at.read_volatile() } & SIG_STATE == SIG_READY;
    ready
        && u32::from(f.nat_port) == t.ports >> 16
        && u32::from(b.port) == t.ports & 0xffff
        && b.proto == t.proto
        && addr::eq(&b.addr, &t.src)
        && addr::eq(nat, &t.dst)
}

/// What a new flow asks for.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Request {
    /// Index of the claimed flow.
    pub(crate) index: u32,
    /// Backend id.
    pub(crate) backend: u32,
    /// NAT address index.
    pub(crate) nat: u32,
    /// The client's port, network order.
    pub(crate) client_port: u32,
    /// IP protocol.
    pub(crate) proto: u32,
    /// The SYN's sequence number, host order.
    pub(crate) seq: u32,
    /// Its timestamp, host order.
    pub(crate) ts: u32,
    /// 1 when it has one.
    pub(crate) has_ts: u32,
    /// Start of the search.
    pub(crate) seed: u32,
    /// Of the tuple with the client's port.
    pub(crate) hash: u64,
}

/// What [`lb_take`] came to, above a value in the low 32 bits.
mod taken {
    /// Held by a flow that keeps it, or its bucket is full.
    pub(super) const NO: u64 = 0;
    /// Ours: the position in the reply table.
    pub(super) const OURS: u64 = 1 << 32;
    /// Held by a closed flow: its index plus one.
    pub(super) const CLOSED: u64 = 2 << 32;
    /// Held by a half-open flow: its index plus one.
    pub(super) const HALF_OPEN: u64 = 3 << 32;
    /// Which of them.
    pub(super) const MASK: u64 = 7 << 32;
}

/// A port and its position in the reply table: `position << 16 | port`
/// (network order), or `u64::MAX` when there is none. Keeps the client's port
/// when it is free, else takes one of the range; under shortage closed, then
/// half-open flows give up theirs, established ones never.
#[inline(always)]
pub(crate) fn acquire<F: Frame>(frame: F, r: &Request) -> u64 {
    let port = r.client_port;
    if allowed(port) {
        let got = lb_take(port, 0);
        if got & taken::MASK == taken::OURS {
            // Asked last, since it costs the most. Until the flow is published the slot says
            // nothing to anyone: the host's socket gets its packets.
            if !host::holds(frame, r, port) {
                return (got & 0xffff_ffff) << 16 | u64::from(port);
            }
            if !dry_run() {
                release::clear_reply(got as u32, r.index);
            }
        }
    }
    lb_search()
}

/// Chooses the NAT address and asks early for the line where the client's own port will be entered.
#[inline(always)]
pub(crate) fn anticipate(b: &BackendEntry, p: &Packet, target: &mut Target) -> Result<(), Exit> {
    let config = maps::config()?;
    target.nat = nat_index(b, target.hash);
    let nat = NATS.get(target.nat).ok_or(Exit::Drop(DropReason::Internal))?;
    let ports = u32::from(b.port) | p.ports << 16;
    target.reply_hash = hash::flow(&config.hash_key, &b.addr, nat, ports, p.proto);
    let ask = |hash| {
        if let Some(bucket) = REPLIES.get(flow::bucket(hash, config.reply_buckets)) {
            load(bucket, 0);
        }
    };
    // At once: what a CPU does ahead of a line that it waits for has an end, after some hundreds of
    // instructions.
    ask(target.reply_hash);
    let other = candidate(config, seed(target.hash), 0);
    let other = u32::from(b.port) | other << 16;
    ask(hash::flow(&config.hash_key, &b.addr, nat, other, p.proto));
    Ok(())
}

/// Searches the range; no socket of the host chooses a port there by itself.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn lb_search() -> u64 {
    let (Some(config), Some(scratch)) = (CONFIG.get(0), scratch::get()) else {
        return u64::MAX;
    };
    let r = &scratch.request;
    let (mut closed, mut half) = (0u64, 0u64);
    let count = range(config);
    for attempt in 0..PROBES {
        if attempt >= count {
            break; // each port of a small range once: behind its end they are not ours
        }
        let port = candidate(config, r.seed, attempt);
        if !allowed(port) {
            continue;
        }
        let got = lb_take(port, 1);
        let holder = (got & 0xffff_ffff) << 16 | u64::from(port);
        match got & taken::MASK {
            taken::OURS => {
                stats::event(Event::PortTranslated);
                return holder;
            }
            taken::CLOSED => closed = holder,
            taken::HALF_OPEN => half = holder,
            _ => {}
        }
    }
    let got = wrest(closed, Event::ClosedPortReused);
    if got != u64::MAX {
        return got;
    }
    wrest(half, Event::HalfOpenPortReused)
}

/// Takes a port from the flow that holds it: `holder` is its index plus one above the port.
#[inline(always)]
fn wrest(holder: u64, event: Event) -> u64 {
    let (index, port) = ((holder >> 16) as u32, holder as u32 & 0xffff);
    if index == NONE {
        return u64::MAX;
    }
    if dry_run() {
        return u64::from(port);
    }
    if release::evict(index - 1) {
        let got = lb_take(port, 1);
        if got & taken::MASK == taken::OURS {
            stats::event(event);
            return (got & 0xffff_ffff) << 16 | u64::from(port);
        }
    }
    u64::MAX
}

/// Where the search of a flow starts.
#[inline(always)]
pub(crate) const fn seed(hash: u64) -> u32 {
    (hash >> 16) as u32
}

/// How many ports the range has.
#[inline(always)]
fn range(config: &KernelConfig) -> u32 {
    let first = u32::from(config.nat_port_first);
    u32::from(config.nat_port_last).wrapping_sub(first).wrapping_add(1)
}

/// The port of an attempt: from a random start, port by port where the range
/// is small, else at random.
#[inline(always)]
fn candidate(config: &KernelConfig, seed: u32, attempt: u32) -> u32 {
    let first = u32::from(config.nat_port_first);
    let count = range(config);
    let mut offset = hash::index(u64::from(seed) << 32, count);
    if count > SMALL_RANGE {
        let mixed = u64::from(seed.wrapping_add(attempt)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        offset = hash::index(mixed, count);
    } else {
        if attempt >= count {
            return 0; // all were tried; no port
        }
        offset += attempt;
        if offset >= count {
            offset = offset.wrapping_sub(count);
        }
    }
    u32::from((first.wrapping_add(offset) as u16).to_be())
}

/// Whether NAT may use a port at all: not one of lb's own checks.
#[inline(always)]
pub(crate) fn allowed(port: u32) -> bool {
    let Some(config) = CONFIG.get(0) else {
        return false;
    };
    let host = u16::from_be(port as u16);
    host != 0 && (host < config.own_port_first || host > config.own_port_last)
}

/// Tries to enter the request's tuple with this port into the reply table. With `ask` 0 a port
/// that seems to be taken counts as taken: its flow, two cache lines elsewhere, is not asked.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn lb_take(port: u32, ask: u32) -> u64 {
    let Some(scratch) = scratch::get() else {
        return taken::NO;
    };
    let r = &scratch.request;
    let (Some(config), Some(b), Some(nat)) =
        (CONFIG.get(0), BACKENDS.get(r.backend), NATS.get(r.nat))
    else {
        return taken::NO;
    };
    let hash = if ask == 0 {
        r.hash
    } else {
        let ports = u32::from(b.port) | port << 16;
        hash::flow(&config.hash_key, &b.addr, nat, ports, r.proto)
    };
    let number = flow::bucket(hash, config.reply_buckets);
    let Some(bucket) = REPLIES.get(number) else {
        return taken::NO;
    };
    let sig = hash >> 32;
    // Whether a word is stale is asked of its flow, two cache lines elsewhere: only where it matters.
    let (mut free, mut again) = (REPLY_WAYS, REPLY_WAYS);
    for way in 0..REPLY_WAYS {
        let word = load(bucket, way);
        if word == 0 {
            if free == REPLY_WAYS {
                free = way;
            }
        } else if word >> 32 == sig {
            if ask == 0 && word as u32 != r.index.wrapping_add(1) {
                return taken::NO;
            }
            if !is_free(r, word, number, way) {
                return holder(r, word as u32 - 1);
            }
            again = way;
        }
    }
    // A second word of one signature would be taken for another CPU's.
    if again < REPLY_WAYS {
        free = again;
    }
    if free >= REPLY_WAYS {
        for way in 0..REPLY_WAYS {
            if free == REPLY_WAYS && is_free(r, load(bucket, way), number, way) {
                free = way;
            }
        }
    }
    if free >= REPLY_WAYS {
        return taken::NO;
    }
    let position = number * REPLY_WAYS as u32 + free as u32;
    if dry_run() {
        return taken::OURS | u64::from(position);
    }
    // SAFETY: a live map value, aligned.
    unsafe {
        let at = bucket.as_ptr().cast_mut().add(free);
        let old = at.read_volatile();
        if old != 0 && !is_free(r, old, number, free) {
            return taken::NO;
        }
        let word = flow::reply_word(hash, r.index);
        if cas64(at, old, word) != old {
            return taken::NO;
        }
        // two CPUs may have taken two free slots: the one behind withdraws
        for way in 0..REPLY_WAYS {
            if way >= free {
                break;
            }
            let other = load(bucket, way);
            let place = number * REPLY_WAYS as u32 + way as u32;
            if other >> 32 == sig && !is_stale(other, place) {
                cas64(at, word, 0);
                return taken::NO;
            }
        }
    }
    taken::OURS | u64::from(position)
}

/// Whether a word, not 0, may be taken: it is stale, or names the request's own flow, which has no
/// port yet (it is of one that had its place before).
#[inline(always)]
fn is_free(r: &Request, word: u64, number: u32, way: usize) -> bool {
    let position = number * REPLY_WAYS as u32 + way as u32;
    word as u32 == r.index.wrapping_add(1) || is_stale(word, position)
}

/// Whether no flow stands behind a reply word any more.
#[inline(always)]
fn is_stale(word: u64, position: u32) -> bool {
    let index = (word as u32).wrapping_sub(1);
    let (Some(f), Some(at)) = (conn::get(index), conn::signature_of(index)) else {
        return true;
    };
    // SAFETY: a live map value.
    match unsafe { at.read_volatile() } & SIG_STATE {
        SIG_READY => f.reply_slot != position,
        0 => true,
        _ => false, // its owner is still writing
    }
}

/// Whether the holder of a port could give it up under shortage.
#[inline(always)]
fn holder(r: &Request, index: u32) -> u64 {
    let Some(f) = conn::get(index) else {
        return taken::NO;
    };
    let state = f.state & flags::STATE;
    if conn::expired(f, conn::now()) || state == TcpState::Closed as u32 && reusable(f, r) {
        taken::CLOSED | u64::from(index + 1)
    } else if state <= TcpState::SynReceived as u32 || state == TcpState::Closed as u32 {
        taken::HALF_OPEN | u64::from(index + 1)
    } else {
        taken::NO
    }
}

/// Whether the backend will take a SYN on a closed flow's tuple: it has no
/// TIME_WAIT where the client closed first; else the SYN must look newer than
/// the old connection (RFC 9293 §3.6.1, RFC 6191).
#[inline(always)]
fn reusable(f: &Flow, r: &Request) -> bool {
    if f.state & flags::BACKEND_FIRST == 0 {
        return true;
    }
    if r.has_ts != 0 && f.state & flags::HAS_TS != 0 {
        return (r.ts.wrapping_sub(f.tcp_ts) as i32) > 0;
    }
    (r.seq.wrapping_sub(f.tcp_seq) as i32) > 0
}

/// Sequence number and timestamp of a TCP packet, for [`reusable`]. The
/// timestamp is looked for where the layouts in use put it: after two NOPs, or
/// in a SYN after MSS (and SACK-permitted).
#[inline(always)]
pub(crate) fn clock<F: Frame>(frame: F, p: &Packet) -> Option<(u32, Option<u32>)> {
    let tcp = packet::at::<Tcp, _>(frame, p.l4 as usize)?;
    // SAFETY: checked against the end of the packet just above.
    let (seq, header) = unsafe { (u32::from_be((*tcp).seq), (*tcp).offset >> 4) };
    let mut ts = None;
    if header >= 8
        && let Some(options) = packet::at::<[u32; 3], _>(frame, p.l4 as usize + 20)
    {
        // SAFETY: checked against the end of the packet just above.
        let words = unsafe { options.read_unaligned() };
        if u32::from_be(words[0]) == 0x0101_080a {
            ts = Some(u32::from_be(words[1]));
        } else if matches!(u32::from_be(words[1]), 0x0402_080a | 0x0101_080a) {
            ts = Some(u32::from_be(words[2]));
        }
    }
    Some((seq, ts))
}

/// One of the backend's NAT addresses.
#[inline(always)]
fn nat_index(b: &BackendEntry, hash: u64) -> u32 {
    match b.nat_count {
        0 | 1 => u32::from(b.nat_first),
        n => u32::from(b.nat_first) + hash::index(hash.rotate_left(40), u32::from(n)),
    }
}
