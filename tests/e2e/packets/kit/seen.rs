//! What became of one frame.

use lb_common::{DropReason, Event};
use lb_userspace::kernel::Stats;

use super::Hook;

/// What a program returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::packets) enum Action {
    Pass,
    Drop,
    /// Out by the interface it came in by (XDP alone tells that apart).
    Tx,
    Redirect,
}

impl Action {
    /// `enum xdp_action`, or `TCX_NEXT`, `TCX_DROP` and `TCX_REDIRECT`.
    pub(super) fn of(hook: Hook, returned: u32) -> Self {
        match (hook, returned as i32) {
            (Hook::Xdp, 1) | (Hook::Tc, 2) => Self::Drop,
            (Hook::Xdp, 2) | (Hook::Tc, -1) => Self::Pass,
            (Hook::Xdp, 3) => Self::Tx,
            (Hook::Xdp, 4) | (Hook::Tc, 7) => Self::Redirect,
            _ => panic!("{hook:?} returned {returned}"),
        }
    }
}

/// One thing counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::packets) enum Count {
    Drop(DropReason),
    Event(Event),
}

/// What became of a frame.
#[derive(Clone, Debug)]
pub(in crate::packets) struct Seen {
    pub(in crate::packets) action: Action,
    /// The frame as the program left it.
    pub(in crate::packets) frame: Vec<u8>,
    /// What was counted meanwhile: drops first, each in the order of its enum.
    pub(in crate::packets) counted: Vec<Count>,
}

impl Seen {
    /// Asserts that the host gets the frame untouched, and that nothing was counted.
    pub(in crate::packets) fn passes(&self, sent: &[u8]) {
        assert_eq!((self.action, &self.counted[..]), (Action::Pass, &[][..]));
        same_bytes(&self.frame, sent);
    }

    /// Asserts a drop for this reason alone.
    pub(in crate::packets) fn drops(&self, reason: DropReason) {
        assert_eq!((self.action, &self.counted[..]), (Action::Drop, &[Count::Drop(reason)][..]));
    }

    /// Asserts what was counted, in any order.
    pub(in crate::packets) fn counts(&self, drops: &[DropReason], events: &[Event]) {
        let mut wanted: Vec<Count> = drops.iter().map(|reason| Count::Drop(*reason)).collect();
        wanted.extend(Event::ALL.iter().flat_map(|event| {
            let times = events.iter().filter(|wanted| *wanted == event).count();
            std::iter::repeat_n(Count::Event(*event), times)
        }));
        assert_eq!(self.counted, wanted);
    }

    /// Asserts that exactly these bytes went on, by another interface.
    pub(in crate::packets) fn sends(&self, wanted: &[u8], events: &[Event]) {
        assert_eq!(self.action, Action::Redirect, "{:?}", self.counted);
        same_bytes(&self.frame, wanted);
        self.counts(&[], events);
    }
}

/// As `assert_eq`, readable.
pub(in crate::packets) fn same_bytes(seen: &[u8], wanted: &[u8]) {
    if seen == wanted {
        return;
    }
    let lines = |bytes: &[u8]| -> Vec<String> {
        bytes.chunks(16).map(|line| format!("{line:02x?}")).collect()
    };
    let (a, b) = (lines(seen), lines(wanted));
    for at in 0..a.len().max(b.len()) {
        let (seen, wanted) = (a.get(at), b.get(at));
        let mark = if seen == wanted { ' ' } else { '!' };
        eprintln!("{mark} {:3} {seen:?}\n      {wanted:?}", at * 16);
    }
    panic!("{} bytes came out, other than the {} that were to", seen.len(), wanted.len());
}

/// What was counted between two readings.
pub(super) fn between(before: &Stats, after: &Stats) -> Vec<Count> {
    let mut counted = Vec::new();
    for ((reason, old), (_, new)) in before.drops.iter().zip(&after.drops) {
        counted.extend((*old..*new).map(|_| Count::Drop(*reason)));
    }
    for ((event, old), (_, new)) in before.events.iter().zip(&after.events) {
        counted.extend((*old..*new).map(|_| Count::Event(*event)));
    }
    counted
}
