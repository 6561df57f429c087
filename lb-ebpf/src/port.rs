//! NAT ports: which one a new flow gets.

use lb_common::{BackendEntry, DropReason, Event, KernelConfig, flow, hash};

use crate::{
    Exit,
    conn::NONE,
    frame::Frame,
    host,
    maps::{self, CONFIG, NATS, dry_run},
    parse::Packet,
    path::Target,
    release,
    reply::{Request, lb_take, taken},
    scratch, stats,
};

/// Ports tried before a closed or half-open flow has to give up its own.
const PROBES: u32 = 32;
/// Of these so many are tried first without asking who holds them.
const GLANCES: u32 = 4;
/// Ranges up to this size are tried port by port.
const SMALL_RANGE: u32 = 32;

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

/// Chooses the NAT address, and where the flow may be entered: the buckets for the client's own
/// port, and for the first one of the range.
#[inline(always)]
pub(crate) fn aim(b: &BackendEntry, p: &Packet, target: &mut Target) -> Result<[u32; 2], Exit> {
    let config = maps::config()?;
    target.nat = nat_index(b, target.hash);
    let nat = NATS.get(target.nat).ok_or(Exit::Drop(DropReason::Internal))?;
    let hash = |port| {
        let ports = u32::from(b.port) | port << 16;
        hash::flow(&config.hash_key, &b.addr, nat, ports, p.proto)
    };
    target.reply_hash = hash(p.ports & 0xffff);
    let other = hash(candidate(config, seed(target.hash), 0));
    Ok([target.reply_hash, other].map(|hash| flow::bucket(hash, config.reply_buckets)))
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
    for turn in 0..GLANCES + PROBES {
        let (attempt, ask) = match turn {
            0..GLANCES => (turn, 0),
            _ => (turn - GLANCES, 1),
        };
        if attempt >= count {
            continue; // a small range has no more ports
        }
        let port = candidate(config, r.seed, attempt);
        if !allowed(port) {
            continue;
        }
        let got = lb_take(port, ask);
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

/// One of the backend's NAT addresses.
#[inline(always)]
fn nat_index(b: &BackendEntry, hash: u64) -> u32 {
    match b.nat_count {
        0 | 1 => u32::from(b.nat_first),
        n => u32::from(b.nat_first) + hash::index(hash.rotate_left(40), u32::from(n)),
    }
}
