//! Passive health: a server that fails real requests is ejected for a while.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use super::{Server, clock::nanos, server::Stats};
use crate::model::PassiveCheck;

/// Ejections become no longer than so many times the configured time.
const LONGEST: u32 = 10;
/// More failures than this are not told apart.
const MOST: u32 = 1_024;

/// The check of one group.
#[derive(Debug)]
pub(super) struct Passive {
    check: PassiveCheck,
    /// All servers of the group that take new requests.
    peers: Vec<Arc<Stats>>,
    /// Somebody is ejecting: two at once could eject more than is allowed.
    is_busy: AtomicBool,
}

impl Passive {
    pub(super) fn new(check: PassiveCheck, peers: Vec<Arc<Stats>>) -> Self {
        Self { check, peers, is_busy: AtomicBool::new(false) }
    }

    /// Takes the end of a request into account.
    pub(super) fn finished(&self, server: &Server, is_failure: bool, took: Duration, now: u64) {
        let is_late = self.check.max_latency.is_some_and(|most| took > most);
        if !is_failure && !is_late {
            return;
        }
        if server.failures.note(now, nanos(self.check.window))
            && !server.is_ejected_at(now)
            && !self.is_busy.swap(true, Relaxed)
        {
            if self.may_eject(now) {
                self.eject(server, now);
            }
            self.is_busy.store(false, Relaxed);
        }
    }

    /// Never more than `maxEjectedPercent`, and never the last one.
    fn may_eject(&self, now: u64) -> bool {
        let is_ejected = |peer: &&Arc<Stats>| peer.ejected_until.load(Relaxed) > now;
        let ejected = self.peers.iter().filter(is_ejected).count() + 1;
        let allowed = self.peers.len() * usize::from(self.check.max_ejected_percent) / 100;
        ejected <= allowed && ejected < self.peers.len()
    }

    fn eject(&self, server: &Server, now: u64) {
        let Server { stats, failures, .. } = server;
        // It was good for a whole window since the last time: that one is forgiven.
        let until = stats.ejected_until.load(Relaxed);
        let is_forgiven = now.saturating_sub(until) > nanos(self.check.window);
        let row = if is_forgiven { 0 } else { stats.ejections.load(Relaxed).min(LONGEST) };
        stats.ejections.store(row + 1, Relaxed);
        failures.forget();
        let time = self.check.ejection * (1 << row).min(LONGEST);
        stats.ejected_until.store(now.saturating_add(nanos(time)), Relaxed);
    }
}

/// When the latest failures of a server were, as many as it takes to eject it.
#[derive(Debug)]
pub(super) struct Failures {
    times: Box<[AtomicU64]>,
    next: AtomicUsize,
}

impl Failures {
    /// `most`: how many it takes; 0 where nobody counts.
    pub(super) fn new(most: u32) -> Self {
        let times = (0..most.min(MOST)).map(|_| AtomicU64::new(0)).collect();
        Self { times, next: AtomicUsize::new(0) }
    }

    /// As many as it takes.
    pub(super) fn most(&self) -> usize {
        self.times.len()
    }

    /// Notes a failure. Whether the oldest of as many as it takes lies within the window.
    fn note(&self, now: u64, window: u64) -> bool {
        let Some(count) = std::num::NonZero::new(self.times.len()) else { return false };
        let at = self.next.fetch_add(1, Relaxed);
        self.times[at % count].store(now, Relaxed);
        let oldest = self.times[(at + 1) % count].load(Relaxed);
        oldest > 0 && now.saturating_sub(oldest) <= window
    }

    fn forget(&self) {
        self.times.iter().for_each(|time| time.store(0, Relaxed));
    }
}
