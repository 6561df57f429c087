//! Counting. Per CPU, so plain additions.

use lb_common::{DropReason, Event};

use crate::maps::{DROPS, EVENTS, STATS, dry_run};

/// Counts a drop.
#[inline(always)]
pub(crate) fn dropped(reason: DropReason) {
    if dry_run() {
        return;
    }
    if let Some(n) = DROPS.get_ptr_mut(reason as u32) {
        // SAFETY: a per-CPU slot, ours while the program runs.
        unsafe { *n += 1 };
    }
}

/// Counts an event.
#[inline(always)]
pub(crate) fn event(event: Event) {
    if dry_run() {
        return;
    }
    if let Some(n) = EVENTS.get_ptr_mut(event as u32) {
        // SAFETY: a per-CPU slot, ours while the program runs.
        unsafe { *n += 1 };
    }
}

/// Counts a packet to a backend.
#[inline(always)]
pub(crate) fn forwarded(backend: u32, bytes: u32) {
    if dry_run() {
        return;
    }
    if let Some(s) = STATS.get_ptr_mut(backend) {
        // SAFETY: a per-CPU slot, ours while the program runs.
        unsafe {
            (*s).packets += 1;
            (*s).bytes += u64::from(bytes);
        }
    }
}

/// Counts a packet back to a client.
#[inline(always)]
pub(crate) fn replied(backend: u32, bytes: u32) {
    if dry_run() {
        return;
    }
    if let Some(s) = STATS.get_ptr_mut(backend) {
        // SAFETY: a per-CPU slot, ours while the program runs.
        unsafe {
            (*s).reply_packets += 1;
            (*s).reply_bytes += u64::from(bytes);
        }
    }
}

/// Counts a flow begun.
#[inline(always)]
pub(crate) fn began(backend: u32) {
    if let Some(s) = STATS.get_ptr_mut(backend) {
        // SAFETY: a per-CPU slot, ours while the program runs.
        unsafe { (*s).connections += 1 };
    }
}

/// Counts a refused handshake.
#[inline(always)]
pub(crate) fn refused(backend: u32) {
    if dry_run() {
        return;
    }
    if let Some(s) = STATS.get_ptr_mut(backend) {
        // SAFETY: a per-CPU slot, ours while the program runs.
        unsafe { (*s).refused += 1 };
    }
}
