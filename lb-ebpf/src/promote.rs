//! A flow whose handshake is complete moves among the established.

use lb_common::{
    Event, Flow, TcpState,
    flow::{self, SIG_FREE, WAYS, flags},
};

use crate::{
    atomic::{cas32, cas64},
    conn::{
        NO_EVICTION, claimed, expired, get, lb_claim, now, publish, reply_at, set_state,
        signature_of,
    },
    maps::dry_run,
    parse::Tuple,
    release::evict,
    stats,
};

/// Moves a half-open flow among the established; its index there plus one, or
/// its old one where there is no room.
#[inline(always)]
pub(crate) fn promote(t: &Tuple, index: u32, hash: u64) -> u32 {
    if dry_run() {
        return index + 1;
    }
    lb_promote(t, index, hash)
}

/// As [`promote`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn lb_promote(t: *const Tuple, index: u32, hash: u64) -> u32 {
    if t.is_null() {
        return index + 1;
    }
    let Some(config) = crate::maps::CONFIG.get(0) else {
        return index + 1;
    };
    let Some(old) = get(index) else {
        return index + 1;
    };
    let old_sig = flow::signature(hash);
    let bucket = flow::bucket(hash, config.est_buckets);
    let mut got = lb_claim(t, old.vip, old_sig, bucket, NO_EVICTION);
    if got & claimed::MASK == claimed::FULL && lb_reclaim(bucket) != 0 {
        stats::event(Event::ExpiredReused);
        got = lb_claim(t, old.vip, old_sig, bucket, NO_EVICTION);
    }
    match got & claimed::MASK {
        claimed::THEIRS => return got as u32 + 1,
        claimed::OURS => {}
        _ => {
            stats::event(Event::EstablishedFull);
            set_state(old, TcpState::Established);
            return index + 1;
        }
    }
    let new_index = got as u32;
    let Some(new) = get(new_index) else {
        return index + 1;
    };
    copy(old, new);
    set_state(new, TcpState::Established);
    publish(new_index, old_sig);
    if let Some(at) = reply_at(new.reply_slot) {
        // SAFETY: a live map value, aligned.
        unsafe {
            let word = at.read_volatile();
            if word as u32 == index + 1 {
                cas64(at, word, word & !0xffff_ffff | u64::from(new_index + 1));
            }
        }
    }
    if let Some(at) = signature_of(index) {
        // SAFETY: as above. The way back and the count have moved along: nothing else to clear.
        unsafe { cas32(at, old_sig, SIG_FREE) };
    }
    stats::event(Event::Established);
    new_index + 1
}

/// Copies a flow by words: a struct copy would become a byte loop.
#[inline(always)]
fn copy(from: &Flow, to: &mut Flow) {
    let (from, to) =
        (core::ptr::from_ref(from).cast::<u64>(), core::ptr::from_mut(to).cast::<u64>());
    for word in 0..size_of::<Flow>() / 8 {
        // SAFETY: within the 64 bytes of each.
        unsafe { to.add(word).write_volatile(from.add(word).read_volatile()) };
    }
}

/// Frees the first flow of a full bucket whose time is up, else the one that has been closed
/// for longest: connections in turn must not drive out those that last.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn lb_reclaim(bucket: u32) -> u32 {
    let now = now();
    let (mut closed, mut longest) = (u32::MAX, -1);
    for way in 0..WAYS as u32 {
        let index = bucket * WAYS as u32 + way;
        if let Some(f) = get(index) {
            if expired(f, now) && evict(index) {
                return 1;
            }
            let idle = now.wrapping_sub(f.last_seen) as i32;
            if f.state & flags::STATE >= TcpState::Closed as u32 && idle > longest {
                (closed, longest) = (index, idle);
            }
        }
    }
    u32::from(closed != u32::MAX && evict(closed))
}
