//! The flow table: find, claim, release. See `lb_common::flow` for its layout.
//!
//! Functions named `lb_…` are global ones to the verifier: it checks each once,
//! on its own, for any scalars, where it would walk anything else again for
//! every state it is called in.

use lb_common::{
    DropReason, Event, Flow, TcpState, addr,
    flow::{self, REPLY_WAYS, SIG_BUSY, SIG_FREE, SIG_READY, SIG_STATE, SigBucket, WAYS, flags},
};

use crate::{
    Exit,
    atomic::{add64, cas32, cas64},
    maps::{ACTIVE, FLOW_SIGS, FLOWS, REPLIES, config},
    parse::{Packet, Tuple},
    stats,
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

/// A signature slot, to be read anew each time.
#[inline(always)]
fn slot(bucket: &SigBucket, way: usize) -> *mut u32 {
    // SAFETY: `way` is below WAYS wherever this is called.
    unsafe { bucket.as_ptr().cast_mut().add(way) }
}

#[inline(always)]
fn load(at: *mut u32) -> u32 {
    // SAFETY: a live map value.
    unsafe { at.read_volatile() }
}

/// The flow at an index.
#[inline(always)]
pub(crate) fn get(index: u32) -> Option<&'static mut Flow> {
    // SAFETY: a live map value; other CPUs may write it too, which costs at worst one
    // packet: the signature is checked again after what matters was read.
    FLOWS.get_ptr_mut(index).map(|f| unsafe { &mut *f })
}

/// The signature slot of a flow.
#[inline(always)]
pub(crate) fn signature_of(index: u32) -> Option<*mut u32> {
    let bucket = FLOW_SIGS.get(index / WAYS as u32)?;
    Some(slot(bucket, index as usize % WAYS))
}

/// The flow of a client's packet, established or half-open; its index plus one, or [`NONE`].
#[inline(always)]
pub(crate) fn find(t: &Tuple, vip: u32, hash: u64) -> Result<u32, Exit> {
    let config = config()?;
    let sig = flow::signature(hash);
    let established = flow::bucket(hash, config.est_buckets);
    let found = lb_scan(t, vip, sig, established);
    if found != NONE {
        return Ok(found);
    }
    let half = config.est_buckets + flow::bucket(hash, config.half_buckets);
    Ok(lb_scan(t, vip, sig, half))
}

/// Asks for the lines that a new flow needs, all at once: their ways from memory overlap, where
/// one is waited for after the other otherwise.
#[inline(always)]
pub(crate) fn anticipate(hash: u64) -> Result<(), Exit> {
    let config = config()?;
    let half = config.est_buckets + flow::bucket(hash, config.half_buckets);
    for bucket in [flow::bucket(hash, config.est_buckets), half] {
        if let Some(sigs) = FLOW_SIGS.get(bucket) {
            load(slot(sigs, 0));
        }
    }
    for step in 0..CANDIDATES {
        if let Some(f) = FLOWS.get(half * WAYS as u32 + candidate(start(hash), step)) {
            load((&raw const f.last_seen).cast_mut());
        }
    }
    Ok(())
}

/// Looks through one bucket.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn lb_scan(t: *const Tuple, vip: u32, sig: u32, bucket: u32) -> u32 {
    let Some(sigs) = FLOW_SIGS.get(bucket) else {
        return NONE;
    };
    if t.is_null() {
        return NONE;
    }
    // SAFETY: not null.
    let p = unsafe { &*t };
    for way in 0..WAYS {
        if load(slot(sigs, way)) == sig {
            let index = bucket * WAYS as u32 + way as u32;
            if is(index, p, vip) {
                return index + 1;
            }
        }
    }
    NONE
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

/// Takes a slot in `bucket` for the packet's flow: a [`claimed`] tag and the
/// slot's index. CPUs that meet the same new flow agree here: both aim at the
/// first free slot, one compare-and-swap wins, and who finds a twin before its
/// own slot afterwards withdraws.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn lb_claim(t: *const Tuple, vip: u32, sig: u32, bucket: u32) -> u64 {
    let Some(sigs) = FLOW_SIGS.get(bucket) else {
        return claimed::FULL;
    };
    let base = bucket * WAYS as u32;
    let busy = sig & !SIG_STATE | SIG_BUSY;
    for _ in 0..4 {
        let mut free = WAYS;
        for way in 0..WAYS {
            let here = load(slot(sigs, way));
            if here == SIG_FREE {
                if free == WAYS {
                    free = way;
                }
            } else if here & !SIG_STATE == sig & !SIG_STATE {
                let twin = lb_meet(base + way as u32, sig, t, vip);
                if twin != 0 {
                    return twin;
                }
            }
        }
        if free >= WAYS {
            return claimed::FULL;
        }
        // SAFETY: a live map value, aligned.
        if unsafe { cas32(slot(sigs, free), SIG_FREE, busy) } != SIG_FREE {
            continue;
        }
        for way in 0..WAYS {
            let here = load(slot(sigs, way));
            if way < free && here & !SIG_STATE == sig & !SIG_STATE {
                let twin = lb_meet(base + way as u32, sig, t, vip);
                if twin != 0 {
                    // SAFETY: our own busy slot.
                    unsafe { slot(sigs, free).write_volatile(SIG_FREE) };
                    return twin;
                }
            }
        }
        return claimed::OURS | u64::from(base + free as u32);
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
    let sig = flow::signature(hash);
    let mut got = lb_claim(&p.tuple, vip, sig, bucket);
    if got & claimed::MASK == claimed::FULL && lb_make_room(bucket, start(hash)) != 0 {
        stats::event(Event::HalfOpenEvicted);
        got = lb_claim(&p.tuple, vip, sig, bucket);
    }
    match got & claimed::MASK {
        claimed::FULL => Err(Exit::Drop(DropReason::TableFull)),
        claimed::BUSY => Err(Exit::Drop(DropReason::Contended)),
        _ => Ok(got),
    }
}

/// Flows whose age is compared when one has to go.
const CANDIDATES: u32 = WAYS as u32 / 4;

/// Where the search for a flow that may go starts.
#[inline(always)]
fn start(hash: u64) -> u32 {
    (hash >> 28) as u32
}

/// The way looked at in a step of that search.
#[inline(always)]
fn candidate(start: u32, step: u32) -> u32 {
    start.wrapping_add(step * 4 + step / 4) % WAYS as u32
}

/// Evicts one flow of a full bucket: the longest idle of every fourth from `start` on, or where
/// none of them may go the first other one that may; 1 when done. Established flows that found
/// no room among their like stay.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn lb_make_room(bucket: u32, start: u32) -> u32 {
    let now = now();
    let (mut oldest, mut longest) = (u32::MAX, -1);
    for step in 0..WAYS as u32 {
        if step >= CANDIDATES && oldest != u32::MAX {
            break;
        }
        let index = bucket * WAYS as u32 + candidate(start, step);
        if let Some(f) = get(index)
            && (!is_kept(f) || expired(f, now))
        {
            let idle = now.wrapping_sub(f.last_seen) as i32;
            if idle > longest {
                (oldest, longest) = (index, idle);
            }
        }
    }
    u32::from(oldest != u32::MAX && evict(oldest))
}

/// Whether both sides take the connection for open.
#[inline(always)]
fn is_kept(f: &Flow) -> bool {
    let state = f.state & flags::STATE;
    state == TcpState::Established as u32 || state == TcpState::Closing as u32
}

/// Forgets whatever complete flow stands at `index`.
#[inline(always)]
pub(crate) fn evict(index: u32) -> bool {
    let Some(at) = signature_of(index) else {
        return false;
    };
    let here = load(at);
    if here & SIG_STATE != SIG_READY {
        return false;
    }
    release(index, here)
}

/// Forgets a flow whose signature was `sig`: whoever swaps the signature out
/// also clears its way back and its count, so that each happens once.
#[inline(always)]
pub(crate) fn release(index: u32, sig: u32) -> bool {
    lb_release(index, sig) != 0
}

/// As [`release`]; 1 when done.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn lb_release(index: u32, sig: u32) -> u32 {
    let (Some(at), Some(f)) = (signature_of(index), get(index)) else {
        return 0;
    };
    let reply = f.reply_slot;
    // SAFETY: a live map value, aligned.
    if unsafe { cas32(at, sig, SIG_FREE) } != sig {
        return 0;
    }
    clear_reply(reply, index);
    uncount(f);
    1
}

/// Takes a flow that is over out of its backend's count, once.
#[inline(always)]
pub(crate) fn uncount(f: &mut Flow) {
    count(f, 1, 0, u64::MAX);
}

/// A flow that was taken for over goes on.
#[inline(always)]
pub(crate) fn recount(f: &mut Flow) {
    count(f, 0, 1, 1);
}

/// Changes `Flow::counted`; whoever does also changes the count.
#[inline(always)]
fn count(f: &mut Flow, from: u32, to: u32, by: u64) {
    let (backend, nat) = (f.backend, u32::from(f.nat));
    let word = (&raw mut f.nat).cast::<u32>();
    let old = nat | from << 16;
    // SAFETY: `nat` and `counted` are one aligned word of a live map value.
    if unsafe { cas32(word, old, nat | to << 16) } == old
        && let Some(active) = ACTIVE.get_ptr_mut(backend)
    {
        // SAFETY: a live map value, aligned.
        unsafe { add64(active, by) };
    }
}

/// Clears a reply slot if it still names the flow.
#[inline(always)]
pub(crate) fn clear_reply(position: u32, index: u32) {
    if let Some(at) = reply_at(position) {
        // SAFETY: a live map value, aligned.
        unsafe {
            let word = at.read_volatile();
            if word as u32 == index + 1 {
                cas64(at, word, 0);
            }
        }
    }
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
