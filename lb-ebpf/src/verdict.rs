//! What the dry run tells `lb explain`. Compiled out of the forwarding copy:
//! the verifier knows [`crate::maps::DRY_RUN`].

use lb_common::{BackendEntry, Flow, Verdict, verdict::action};

use crate::{
    Exit,
    maps::{NATS, VERDICT, dry_run},
    path::Target,
};

#[inline(always)]
fn slot() -> Option<&'static mut Verdict> {
    if !dry_run() {
        return None;
    }
    // SAFETY: dry runs are made one at a time by the daemon.
    VERDICT.get_ptr_mut(0).map(|v| unsafe { &mut *v })
}

/// Which VIP matched.
#[inline(always)]
pub(crate) fn vip(id: u32) {
    if let Some(v) = slot() {
        v.vip = id + 1;
    }
}

/// Which backend, and on what flow.
#[inline(always)]
pub(crate) fn target(t: &Target, b: &BackendEntry) {
    if let Some(v) = slot() {
        v.action = action::FORWARD;
        v.backend = t.backend + 1;
        v.flow = t.flow;
        v.ring_slot = t.ring_slot;
        v.nat_port = t.nat_port;
        v.ifindex = b.ifindex;
        if let Some(nat) = NATS.get(t.nat) {
            v.nat = *nat;
        }
        if t.flow != 0
            && let Some(f) = crate::conn::get(t.flow - 1)
        {
            v.state = f.state;
        }
    }
}

/// A packet of a backend.
#[inline(always)]
pub(crate) fn reply(f: &Flow, index: u32) {
    if let Some(v) = slot() {
        v.action = action::REPLY;
        v.vip = f.vip + 1;
        v.backend = f.backend + 1;
        v.flow = index + 1;
        v.state = f.state;
        v.nat_port = u32::from(f.nat_port);
        v.ifindex = f.ifindex;
        if let Some(nat) = NATS.get(u32::from(f.nat)) {
            v.nat = *nat;
        }
    }
}

/// How it ended where it wasn't sent on.
#[inline(always)]
pub(crate) fn exit(exit: &Exit) {
    if let Some(v) = slot() {
        match exit {
            Exit::Pass | Exit::ToTc => v.action = action::PASS,
            Exit::Drop(reason) => {
                v.action = action::DROP;
                v.reason = *reason as u32;
            }
            Exit::Answer(reason, _) => {
                v.action = action::ANSWER;
                v.reason = *reason as u32;
            }
        }
    }
}
