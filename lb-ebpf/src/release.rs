//! Flows that go: their signature, their way back, their count.

use lb_common::{
    Flow,
    flow::{SIG_FREE, SIG_READY, SIG_STATE},
};

use crate::{
    atomic::{add64, cas32, cas64},
    conn::{get, load, reply_at, signature_of},
    maps::ACTIVE,
    scratch,
};

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

/// A way back that nothing leads to any more, still to be cleared.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Stale {
    /// Position in the reply table plus one; 0 for none.
    position: u32,
    /// Index of the flow that was evicted.
    index: u32,
}

/// Forgets the flow evicted from `index`, whose slot is ours already. Its way back is in a line
/// that nobody has asked for yet. A word that names a flow which has another way back is stale to
/// whoever meets it, so that it need not be waited for: the next new flow asks for the line
/// together with its own, and clears it.
#[inline(always)]
pub(crate) fn forget_later(index: u32) {
    let (Some(f), Some(scratch)) = (get(index), scratch::get()) else {
        return;
    };
    scratch.stale = Stale { position: f.reply_slot.wrapping_add(1), index };
    // until the new flow has its own
    f.reply_slot = u32::MAX;
    uncount(f);
}

/// Asks for the line of the way back that is still to be cleared.
#[inline(always)]
pub(crate) fn anticipate(stale: &Stale) {
    if stale.position != 0
        && let Some(at) = reply_at(stale.position - 1)
    {
        load(at.cast());
    }
}

/// Clears what [`forget_later`] left, unless it has come to life again.
#[inline(always)]
pub(crate) fn forget_now(stale: &mut Stale) {
    if stale.position == 0 {
        return;
    }
    let position = stale.position - 1;
    if get(stale.index).is_some_and(|f| f.reply_slot != position) {
        clear_reply(position, stale.index);
    }
    stale.position = 0;
}
