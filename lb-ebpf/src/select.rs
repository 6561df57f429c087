//! Which backend a new flow gets. The ring says it all: weights, drains and
//! health have changed the ring, not this code.

use aya_ebpf::helpers::generated::bpf_get_prandom_u32;
use lb_common::{
    KernelConfig, RingValue, VipEntry, backend, hash,
    ring::{RING_MEMBERS, RING_SLOTS},
    vip::{LEAST_CONN_WINDOW, NO_RING, algorithm},
};

use crate::{
    maps::{ACTIVE, BACKENDS, CURSORS, RINGS, dry_run},
    parse::Tuple,
};

/// What was chosen.
#[derive(Clone, Copy)]
pub(crate) struct Choice {
    /// Backend id.
    pub(crate) backend: u32,
    /// Ring slot plus one.
    pub(crate) slot: u32,
}

/// Chooses for a new flow; `None` when the service has no backend.
/// Returned as `slot << 32 | backend`, with a slot (plus one) of 0 for none.
#[inline(always)]
pub(crate) fn select(t: &Tuple, vip: u32) -> u64 {
    lb_select(t, vip)
}

/// As [`select`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn lb_select(t: *const Tuple, vip: u32) -> u64 {
    let Some(entry) = crate::vip::entry(vip) else {
        return 0;
    };
    if t.is_null() {
        return 0;
    }
    // SAFETY: not null.
    match choose(unsafe { &*t }, vip, entry) {
        Some(c) => u64::from(c.slot) << 32 | u64::from(c.backend),
        None => 0,
    }
}

#[inline(always)]
fn choose(p: &Tuple, vip: u32, entry: &VipEntry) -> Option<Choice> {
    if entry.ring == NO_RING || entry.ring_len == 0 {
        return None;
    }
    // On the stack: a constant `&0` is merged with the constants that the loader overrides, and
    // the dry run would look up index 1.
    let first = 0;
    let ring = RINGS.get_value(entry.ring, &first)?;
    let len = entry.ring_len;
    let start = match entry.algorithm {
        // not by the hash of the flow table, whose keys are this host's alone
        algorithm::MAGLEV => {
            let config: &KernelConfig = crate::maps::config().ok()?;
            hash::index(hash::flow(&config.choice_key, &p.src, &p.dst, p.ports, p.proto), len)
        }
        algorithm::SOURCE_HASH => {
            let config: &KernelConfig = crate::maps::config().ok()?;
            hash::index(hash::source(&config.choice_key, &p.src), len)
        }
        algorithm::ROUND_ROBIN => next(vip, len)?,
        // SAFETY: a helper without pointers.
        _ => hash::index(u64::from(unsafe { bpf_get_prandom_u32() }) << 32, len),
    };
    if entry.algorithm == algorithm::LEAST_CONN {
        return least(ring, start, len);
    }
    Some(Choice { backend: member(ring, start)?, slot: start + 1 })
}

/// The per-CPU cursor, moved on.
#[inline(always)]
fn next(vip: u32, len: u32) -> Option<u32> {
    let cursor = CURSORS.get_ptr_mut(vip)?;
    // SAFETY: a per-CPU slot, ours while the program runs.
    unsafe {
        let here = if *cursor < len { *cursor } else { 0 };
        if !dry_run() {
            *cursor = here + 1;
        }
        Some(here)
    }
}

/// The backend in a slot.
#[inline(always)]
fn member(ring: &RingValue, slot: u32) -> Option<u32> {
    let index = crate::packet::opaque(slot as usize);
    if index >= RING_SLOTS {
        return None;
    }
    // SAFETY: bounded just above; a plain index would bring a panic path.
    let at = crate::packet::opaque(usize::from(unsafe { *ring.slots.as_ptr().add(index) }));
    if at >= RING_MEMBERS {
        return None;
    }
    // SAFETY: bounded just above.
    Some(unsafe { *ring.members.as_ptr().add(at) })
}

/// Fewest active flows by weight in a window of the ring. Ties go to the earlier slot.
#[inline(always)]
fn least(ring: &RingValue, start: u32, len: u32) -> Option<Choice> {
    let mut best: Option<Choice> = None;
    let (mut best_active, mut best_weight) = (0u64, 1u64);
    for step in 0..LEAST_CONN_WINDOW {
        let mut slot = start + step;
        if slot >= len {
            slot -= len;
        }
        if slot >= len {
            break; // a ring shorter than the window
        }
        let id = member(ring, slot)?;
        let entry = BACKENDS.get(id)?;
        let active = *ACTIVE.get(id)?;
        let weight = u64::from(entry.weight);
        // active / weight < best_active / best_weight, without dividing
        if entry.flags & backend::flags::USED != 0
            && (best.is_none() || active * best_weight < best_active * weight)
        {
            best = Some(Choice { backend: id, slot: slot + 1 });
            (best_active, best_weight) = (active, weight);
        }
    }
    best
}
