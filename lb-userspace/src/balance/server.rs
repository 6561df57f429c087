//! A server of a group, and what is remembered of it from snapshot to snapshot.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed, Ordering::SeqCst},
    },
};

use super::{
    passive::{Failures, Passive},
    queue::Queue,
};
use crate::model::ServerOptions;

/// A server as one snapshot has it.
#[derive(Debug)]
pub struct Server {
    pub(super) address: SocketAddr,
    pub(super) name: Box<str>,
    pub(super) options: ServerOptions,
    /// The weight in force; 0 takes nothing new.
    pub(super) weight: u32,
    /// Whether checks let it take requests.
    pub(super) is_up: bool,
    /// No longer configured.
    pub(super) is_leaving: bool,
    /// What hashing knows it by, on every host.
    pub(super) identity: u64,
    /// Of sticky sessions: its value, and the text of `Set-Cookie`.
    pub(super) cookie: Option<(u64, Box<str>)>,
    /// How long its weight rises; 0 for not at all.
    pub(super) slow_start: u64,
    /// Whether its latency is of interest.
    pub(super) is_timed: bool,
    pub(super) passive: Option<Arc<Passive>>,
    pub(super) failures: Arc<Failures>,
    /// Who waits, where it has a bound.
    pub(super) queue: Option<Arc<Queue>>,
    pub(super) stats: Arc<Stats>,
}

/// What outlives snapshots. What every request changes has a cache line of its own.
#[derive(Debug)]
#[repr(align(64))]
pub(super) struct Stats {
    active: AtomicU32,
    /// In 65,536ths of a turn.
    credit: AtomicU32,
    picks: AtomicU64,
    /// Moving latency in µs (the upper half, an `f32`) and when it was so, in ms.
    latency: AtomicU64,
    id: u64,
    /// Since when it takes requests; 0 for always.
    pub(super) since: AtomicU64,
    /// Whether the latest snapshot lets it take new requests.
    pub(super) is_open: AtomicBool,
    /// Whether it is found dead in the latest snapshot.
    pub(super) is_down: AtomicBool,
    /// Whether what it has is to end: it is gone, or dead and `onDown` says so.
    pub(super) must_end: AtomicBool,
    /// Until when it is ejected.
    pub(super) ejected_until: AtomicU64,
    /// Ejections in a row.
    pub(super) ejections: AtomicU32,
}

/// The least share of its weight that a server begins with.
const FIRST_SHARE: f64 = 0.1;
/// A turn of [`Stats::credit`].
const TURN: u32 = 1 << 16;
/// How fast moving latencies forget, in ms.
const MEMORY: f32 = 10_000.0;

impl Server {
    /// Its number, the same as long as the daemon knows it.
    pub fn id(&self) -> u64 {
        self.stats.id
    }

    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The configured `host:port`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the proxy needs to know of it.
    pub fn options(&self) -> &ServerOptions {
        &self.options
    }

    /// Requests or connections that it has now.
    pub fn active(&self) -> u32 {
        self.stats.active.load(Relaxed)
    }

    /// How often it was picked.
    pub fn picks(&self) -> u64 {
        self.stats.picks.load(Relaxed)
    }

    /// Whether real requests have shown it to be faulty, for now.
    pub fn is_ejected(&self) -> bool {
        self.passive.is_some() && self.is_ejected_at(super::clock::now())
    }

    /// Until when it was ejected last, on a clock of its own; 0 where it never was. And whether it is now.
    pub fn ejection(&self) -> (u64, bool) {
        match self.passive {
            Some(_) => (self.stats.ejected_until.load(Relaxed), self.is_ejected()),
            None => (0, false),
        }
    }

    pub(super) fn is_ejected_at(&self, now: u64) -> bool {
        self.passive.is_some() && self.stats.ejected_until.load(Relaxed) > now
    }

    /// Whether it takes requests that belong to no session.
    /// Whether connections that it has are to be ended now: it is configured no more and its time
    /// to drain is over, or it is dead and `onDown: reset` holds.
    pub fn must_end(&self) -> bool {
        self.stats.must_end.load(Relaxed)
    }

    /// Whether datagrams of its sessions are to go elsewhere now.
    pub fn is_lost(&self) -> bool {
        self.must_end() || self.stats.is_down.load(Relaxed)
    }

    pub(super) fn takes_new(&self) -> bool {
        self.weight > 0 && self.is_up
    }

    pub(super) fn is_full(&self) -> bool {
        let most = self.options.max_connections;
        most > 0 && self.stats.active.load(SeqCst) >= most
    }

    /// Counts one more, if there is room.
    pub(super) fn enter(&self) -> bool {
        let most = self.options.max_connections;
        if most == 0 {
            self.stats.active.fetch_add(1, Relaxed);
        } else {
            let more = |active| (active < most).then_some(active + 1);
            if self.stats.active.fetch_update(SeqCst, SeqCst, more).is_err() {
                return false;
            }
        }
        self.stats.picks.fetch_add(1, Relaxed);
        true
    }

    pub(super) fn leave(&self) {
        self.stats.active.fetch_sub(1, SeqCst);
    }

    /// How much of its weight it has, up to 1, while it starts slowly.
    pub(super) fn share(&self, now: u64) -> f64 {
        if self.slow_start == 0 {
            return 1.0;
        }
        match self.stats.since.load(Relaxed) {
            0 => 1.0,
            since => {
                let share = now.saturating_sub(since) as f64 / self.slow_start as f64;
                share.clamp(FIRST_SHARE, 1.0)
            }
        }
    }

    /// Whether it takes the turn that it has: all of them, or while it starts slowly so many of them.
    pub(super) fn takes_turn(&self, now: u64) -> bool {
        let share = self.share(now);
        if share >= 1.0 {
            return true;
        }
        let step = (share * f64::from(TURN)) as u32;
        let before = self.stats.credit.fetch_add(step, Relaxed);
        before / TURN != before.wrapping_add(step) / TURN
    }

    /// Whether it takes a hash: all of them, or while it starts slowly always the same ones.
    pub(super) fn takes_hash(&self, hash: u64, now: u64) -> bool {
        let share = self.share(now);
        share >= 1.0 || (hash.rotate_left(32) as f64) < share * u64::MAX as f64
    }

    /// Takes a latency into account.
    pub(super) fn observe(&self, latency: std::time::Duration, now: u64) {
        let sample = latency.as_secs_f32() * 1e6;
        let now = (now / 1_000_000) as u32;
        let update = |old: u64| {
            let (old, at) = unpack(old);
            // The longer ago the others were, the more this one counts, and never less than a tenth.
            let part = (now.saturating_sub(at) as f32 / MEMORY).clamp(0.1, 1.0);
            Some(pack(if at == 0 { sample } else { old + (sample - old) * part }, now.max(1)))
        };
        let _always = self.stats.latency.fetch_update(Relaxed, Relaxed, update);
    }

    /// The moving latency in µs. It is forgotten with time, so that a server that was slow once is
    /// asked again; 0 while nothing is known.
    pub(super) fn latency(&self, now: u64) -> f32 {
        let (latency, at) = unpack(self.stats.latency.load(Relaxed));
        let idle = ((now / 1_000_000) as u32).saturating_sub(at) as f32;
        latency * MEMORY / (MEMORY + idle)
    }
}

fn pack(latency: f32, at: u32) -> u64 {
    u64::from(latency.to_bits()) << 32 | u64::from(at)
}

fn unpack(packed: u64) -> (f32, u32) {
    (f32::from_bits((packed >> 32) as u32), packed as u32)
}

impl Stats {
    /// Of a server that was not there before.
    pub(super) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self {
            active: AtomicU32::new(0),
            credit: AtomicU32::new(0),
            picks: AtomicU64::new(0),
            latency: AtomicU64::new(0),
            id: NEXT.fetch_add(1, Relaxed),
            since: AtomicU64::new(0),
            is_open: AtomicBool::new(true),
            is_down: AtomicBool::new(false),
            must_end: AtomicBool::new(false),
            ejected_until: AtomicU64::new(0),
            ejections: AtomicU32::new(0),
        }
    }
}
