//! The flow table: find and claim. See `lb_common::flow` for its layout.
//!
//! Functions named `lb_…` are global ones to the verifier: it checks each once,
//! on its own, for any scalars, where it would walk anything else again for
//! every state it is called in.

use lb_common::{
    DropReason, Event, Flow, TcpState, addr,
    flow::{self, REPLY_WAYS, SIG_BUSY, SIG_FREE, SIG_READY, SIG_STATE, WAYS, flags},
};

use crate::{
    Exit,
    atomic::cas32,
    maps::{FLOWS, REPLIES, config},
    parse::{Packet, Tuple},
    release, stats,
};

/// Looks at a busy slot this often before giving the packet up.
const SPINS: u32 = 64;

/// "None" of the functions below, which return flow indices plus one: scalars
/// keep the verifier from walking what follows once for each slot.
pub(crate) const NONE: u32 = 0;

/// Now, in jiffies; wraps.
#[inline(always)]
pub(crate) fn now() -> u32 {
    // SAFETY: a helper without pointers.
    unsafe { aya_ebpf::helpers::generated::bpf_jiffies64() as u32 }
}

/// A bucket's signatures, each to be read anew each time.
#[inline(always)]
fn signatures(bucket: u32) -> Option<*mut u32> {
    // SAFETY: a live map value.
    FLOWS.get_ptr_mut(bucket).map(|b| unsafe { (&raw mut (*b).sigs).cast() })
}

/// A signature slot.
#[inline(always)]
fn slot(sigs: *mut u32, way: usize) -> *mut u32 {
    // SAFETY: `way` is below WAYS wherever this is called.
    unsafe { sigs.add(way) }
}

#[inline(always)]
pub(crate) fn load(at: *mut u32) -> u32 {
    // SAFETY: a live map value.
    unsafe { at.read_volatile() }
}

/// The flow at an index.
#[inline(always)]
pub(crate) fn get(index: u32) -> Option<&'static mut Flow> {
    let (bucket, way) = (index / WAYS as u32, index as usize % WAYS);
    // SAFETY: a live map value, and a way below WAYS; other CPUs may write it too, which costs at
    // worst one packet: the signature is checked again after what matters was read.
    FLOWS
        .get_ptr_mut(bucket)
        .map(|b| unsafe { &mut *(&raw mut (*b).flows).cast::<Flow>().add(way) })
}

/// The signature slot of a flow.
#[inline(always)]
pub(crate) fn signature_of(index: u32) -> Option<*mut u32> {
    Some(slot(signatures(index / WAYS as u32)?, index as usize % WAYS))
}

/// The flow of a client's packet, established or half-open; its index plus one, or [`NONE`].
#[inline(always)]
pub(crate) fn find(t: &Tuple, vip: u32, hash: u64) -> Result<u32, Exit> {
    let config = config()?;
    let sig = flow::signature(hash);
    let established = flow::bucket(hash, config.est_buckets);
    let half = config.est_buckets + flow::bucket(hash, config.half_buckets);
    Ok(lb_find(t, vip, sig, established, half))
}

/// Asks for the lines that a new flow needs, all at once: their ways from memory overlap, where
/// one is waited for after the other otherwise.
#[inline(always)]
pub(crate) fn anticipate(hash: u64) -> Result<(), Exit> {
    let config = config()?;
    let half = config.est_buckets + flow::bucket(hash, config.half_buckets);
    for step in 0..CANDIDATES {
        if let Some(f) = get(half * WAYS as u32 + candidate(start(hash), step)) {
            load(&raw mut f.last_seen);
        }
    }
    for bucket in [half, flow::bucket(hash, config.est_buckets)] {
        if let Some(sigs) = signatures(bucket) {
            load(slot(sigs, 0));
        }
    }
    Ok(())
}

/// Looks through both buckets.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn lb_find(t: *const Tuple, vip: u32, sig: u32, established: u32, half: u32) -> u32 {
    if t.is_null() {
        return NONE;
    }
    // SAFETY: not null.
    let t = unsafe { &*t };
    match scan(t, vip, sig, established) {
        NONE => scan(t, vip, sig, half),
        found => found,
    }
}

/// Looks through one bucket.
#[inline(always)]
fn scan(t: &Tuple, vip: u32, sig: u32, bucket: u32) -> u32 {
    let Some(sigs) = signatures(bucket) else {
        return NONE;
    };
    for first in (0..WAYS).step_by(4) {
        if !any(sigs, first, |here| here == sig) {
            continue;
        }
        for way in first..first + 4 {
            let index = bucket * WAYS as u32 + way as u32;
            if load(slot(sigs, way)) == sig && is(index, t, vip) {
                return index + 1;
            }
        }
    }
    NONE
}

/// Whether one of four signatures is wanted, from a multiple of four on. A bucket is gone through
/// by fours: all but a few are of other flows, and are passed by sooner together.
#[inline(always)]
fn any(sigs: *mut u32, first: usize, wanted: impl Fn(u32) -> bool) -> bool {
    let here = |way| load(slot(sigs, first + way));
    wanted(here(0)) || wanted(here(1)) || wanted(here(2)) || wanted(here(3))
}

/// Whether the flow at `index` is the packet's.
#[inline(always)]
fn is(index: u32, p: &Tuple, vip: u32) -> bool {
    match get(index) {
        Some(f) => f.vip == vip && f.client_port == p.ports as u16 && addr::eq(&f.client, &p.src),
        None => false,
    }
}

/// What [`lb_claim`] came to, as the bits above the index.
pub(crate) mod claimed {
    /// A free slot is ours, marked busy.
    pub(crate) const OURS: u64 = 1 << 32;
    /// Another CPU made the same flow just now.
    pub(crate) const THEIRS: u64 = 2 << 32;
    /// Another CPU is still at it.
    pub(crate) const BUSY: u64 = 3 << 32;
    /// No room.
    pub(crate) const FULL: u64 = 4 << 32;
    /// Which of them.
    pub(crate) const MASK: u64 = 7 << 32;
}

/// `start` of [`lb_claim`]: nothing is evicted.
pub(crate) const NO_EVICTION: u32 = u32::MAX;

/// Takes a slot in `bucket` for the packet's flow: a [`claimed`] tag and the
/// slot's index. In a full one a flow has to go, see [`lb_victim`]. CPUs that meet the same new
/// flow agree here: both aim at the same slot, one compare-and-swap wins, and who finds a twin
/// before its own slot afterwards withdraws.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn lb_claim(
    t: *const Tuple,
    vip: u32,
    sig: u32,
    bucket: u32,
    start: u32,
) -> u64 {
    let Some(sigs) = signatures(bucket) else {
        return claimed::FULL;
    };
    let base = bucket * WAYS as u32;
    let busy = sig & !SIG_STATE | SIG_BUSY;
    for _ in 0..4 {
        let mut free = WAYS as u32;
        for first in (0..WAYS).step_by(4) {
            if !any(sigs, first, |here| here == SIG_FREE || (here ^ sig) <= SIG_STATE) {
                continue;
            }
            for way in first..first + 4 {
                let here = load(slot(sigs, way));
                if here == SIG_FREE {
                    if free == WAYS as u32 {
                        free = way as u32;
                    }
                } else if (here ^ sig) <= SIG_STATE {
                    let twin = lb_meet(base + way as u32, sig, t, vip);
                    if twin != 0 {
                        return twin;
                    }
                }
            }
        }
        let mut old = SIG_FREE;
        if free >= WAYS as u32 {
            if start == NO_EVICTION {
                return claimed::FULL;
            }
            let got = lb_victim(bucket, start);
            (free, old) = ((got >> 32) as u32, got as u32);
            if free >= WAYS as u32 {
                return claimed::FULL;
            }
        }
        let index = base + free;
        let Some(at) = signature_of(index) else {
            return claimed::FULL;
        };
        // SAFETY: a live map value, aligned.
        if unsafe { cas32(at, old, busy) } != old {
            continue;
        }
        if old != SIG_FREE {
            release::forget_later(index);
            stats::event(Event::HalfOpenEvicted);
        }
        for way in 0..WAYS {
            if way as u32 >= free {
                break;
            }
            let here = load(slot(sigs, way));
            if here & !SIG_STATE == sig & !SIG_STATE {
                let twin = lb_meet(base + way as u32, sig, t, vip);
                if twin != 0 {
                    // SAFETY: our own busy slot.
                    unsafe { at.write_volatile(SIG_FREE) };
                    return twin;
                }
            }
        }
        return claimed::OURS | u64::from(index);
    }
    claimed::BUSY
}

/// Waits a little for the owner of a slot with our signature; 0 when the flow
/// turns out to be another's.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn lb_meet(index: u32, sig: u32, t: *const Tuple, vip: u32) -> u64 {
    let Some(at) = signature_of(index) else {
        return 0;
    };
    if t.is_null() {
        return 0;
    }
    // SAFETY: not null.
    let p = unsafe { &*t };
    for _ in 0..SPINS {
        let here = load(at);
        if here == sig {
            return if is(index, p, vip) { claimed::THEIRS | u64::from(index) } else { 0 };
        }
        if here & !SIG_STATE != sig & !SIG_STATE {
            return 0;
        }
    }
    claimed::BUSY
}

/// Takes a slot among the half-open: a free one, else that of the longest idle of a few, so
/// that under a flood a handshake has the time to complete.
#[inline(always)]
pub(crate) fn claim_half(p: &Packet, vip: u32, hash: u64) -> Result<u64, Exit> {
    let config = config()?;
    let bucket = config.est_buckets + flow::bucket(hash, config.half_buckets);
    let got = lb_claim(&p.tuple, vip, flow::signature(hash), bucket, start(hash));
    match got & claimed::MASK {
        claimed::FULL => Err(Exit::Drop(DropReason::TableFull)),
        claimed::BUSY => Err(Exit::Drop(DropReason::Contended)),
        _ => Ok(got),
    }
}

/// Flows whose age is compared when one has to go.
const CANDIDATES: u32 = 2;

/// Where the search for a flow that may go starts.
#[inline(always)]
fn start(hash: u64) -> u32 {
    (hash >> 28) as u32 & 0xff
}

/// The way looked at in a step of that search.
#[inline(always)]
fn candidate(start: u32, step: u32) -> u32 {
    start.wrapping_add(step * 4 + step / 4) % WAYS as u32
}

/// Who has to go from a full bucket: the longest idle of every fourth from `start` on, or where
/// none of them may the first other one that may. Its way above its signature; [`WAYS`] for none.
/// Established flows that found no room among their like stay.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn lb_victim(bucket: u32, start: u32) -> u64 {
    let now = now();
    let (mut oldest, mut longest) = ((WAYS as u64) << 32, -1);
    for step in 0..WAYS as u32 {
        if step >= CANDIDATES && longest >= 0 {
            break;
        }
        let way = candidate(start, step);
        let index = bucket * WAYS as u32 + way;
        if let (Some(f), Some(at)) = (get(index), signature_of(index))
            && (!is_kept(f) || expired(f, now))
        {
            let idle = now.wrapping_sub(f.last_seen) as i32;
            let here = load(at);
            if idle > longest && here & SIG_STATE == SIG_READY {
                (oldest, longest) = (u64::from(way) << 32 | u64::from(here), idle);
            }
        }
    }
    oldest
}

/// Whether both sides take the connection for open.
#[inline(always)]
fn is_kept(f: &Flow) -> bool {
    let state = f.state & flags::STATE;
    state == TcpState::Established as u32 || state == TcpState::Closing as u32
}

/// A slot of the reply table.
#[inline(always)]
pub(crate) fn reply_at(position: u32) -> Option<*mut u64> {
    let bucket = REPLIES.get(position / REPLY_WAYS as u32)?;
    // SAFETY: the remainder is below REPLY_WAYS.
    Some(unsafe { bucket.as_ptr().cast_mut().add(position as usize % REPLY_WAYS) })
}

/// Makes a claimed and written flow visible.
#[inline(always)]
pub(crate) fn publish(index: u32, sig: u32) {
    if let Some(at) = signature_of(index) {
        // SAFETY: our own busy slot; stores are not reordered on x86-64.
        unsafe { at.write_volatile(sig) };
    }
}

/// Whether a flow has been idle for longer than its state may.
#[inline(always)]
pub(crate) fn expired(f: &Flow, now: u32) -> bool {
    let Some(config) = crate::maps::CONFIG.get(0) else {
        return false;
    };
    let idle = now.wrapping_sub(f.last_seen);
    let limit = match f.state & flags::STATE {
        0 | 1 => config.half_open,
        2 if f.state & flags::UDP != 0 => config.udp,
        2 => config.tcp_established,
        3 => config.tcp_closing,
        _ => config.tcp_closed,
    };
    // a clock of another CPU may be one ahead: not an age of 2^32 jiffies
    (idle as i32) > 0 && idle > limit
}

/// Changes the state, keeping the flags.
#[inline(always)]
pub(crate) fn set_state(f: &mut Flow, state: TcpState) {
    f.state = f.state & !flags::STATE | state as u32;
}

/// Marks a flow as just used, at most once a second: the line stays clean otherwise.
#[inline(always)]
pub(crate) fn touch(f: &mut Flow, hz: u32) {
    let now = now();
    if now.wrapping_sub(f.last_seen) >= hz {
        f.last_seen = now;
    }
}
