//! Token buckets by source, without locks and of bounded memory.
//!
//! A bucket is one number: the time at which it will be full again (the generic cell rate
//! algorithm, ITU-T I.371 annex A). A bucket that is full says nothing, so that its place can be
//! given away; only where all eight places of a set hold buckets in use does one of them, the
//! fullest, lose its state.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

const WAYS: usize = 8;
const SETS: usize = 8;
const CHUNKS: usize = 1024;

/// A source and its bucket; the key 0 is nobody's.
#[derive(Default)]
struct Slot {
    key: AtomicU64,
    /// In nanoseconds of the caller's clock.
    full_at: AtomicU64,
}

/// Memory comes in chunks as sources do: 1 KiB each, 1 MiB and 65,536 sources in all.
type Chunk = [[Slot; WAYS]; SETS];

/// The buckets of one limiter.
pub(super) struct Buckets {
    /// Nanoseconds for one token.
    interval: u64,
    /// Nanoseconds for all tokens of a bucket but one.
    depth: u64,
    longest_delay: Duration,
    chunks: OnceLock<Box<[OnceLock<Box<Chunk>>]>>,
}

impl Buckets {
    /// `burst` tokens each, a new one every `interval` nanoseconds.
    pub(super) fn new(interval: u64, burst: u64, longest_delay: Duration) -> Self {
        let depth = interval.saturating_mul(burst.saturating_sub(1));
        Self { interval, depth, longest_delay, chunks: OnceLock::new() }
    }

    /// Takes a token at `now`: how long to wait before it may be used, or, where that is longer
    /// than is borne, how long it would be; then none is taken.
    pub(super) fn take(&self, key: u64, now: u64) -> Result<Duration, Duration> {
        let slot = self.slot(key.max(1), now);
        let mut full_at = slot.full_at.load(Relaxed);
        loop {
            let from = full_at.max(now);
            let delay = (from - now).saturating_sub(self.depth);
            let delay = Duration::from_nanos(delay);
            if delay > self.longest_delay {
                return Err(delay);
            }
            let next = from.saturating_add(self.interval);
            match slot.full_at.compare_exchange_weak(full_at, next, Relaxed, Relaxed) {
                Ok(_) => return Ok(delay),
                Err(other) => full_at = other,
            }
        }
    }

    /// The place of a source, its own or a new one.
    fn slot(&self, key: u64, now: u64) -> &Slot {
        let chunks = self.chunks.get_or_init(|| (0..CHUNKS).map(|_| OnceLock::new()).collect());
        let index = key as usize % (CHUNKS * SETS);
        let set = &chunks[index / SETS].get_or_init(Box::default)[index % SETS];
        loop {
            let mut victim = (&set[0], 0, u64::MAX);
            for slot in set {
                let owner = slot.key.load(Relaxed);
                if owner == key {
                    return slot;
                }
                let full_at = if owner == 0 { 0 } else { slot.full_at.load(Relaxed) };
                if full_at < victim.2 {
                    victim = (slot, owner, full_at);
                }
            }
            let (slot, owner, full_at) = victim;
            if slot.key.compare_exchange(owner, key, Relaxed, Relaxed).is_ok() {
                // A full bucket is as good as a new one, whoever's it was.
                if full_at > now {
                    slot.full_at.store(now, Relaxed);
                }
                return slot;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const HALF: Duration = Duration::from_millis(500);

    /// One token a second, `burst` of them.
    fn buckets(burst: u64) -> Buckets {
        Buckets::new(SECOND, burst, HALF)
    }

    #[test]
    fn tokens_come_back_with_time() {
        let buckets = buckets(2);
        for (tenths, result) in [
            (0, Ok(0)),
            (0, Ok(0)),
            // Nothing left: the next one is due at 10.
            (0, Err(10)),
            (4, Err(6)),
            // Near enough: it waits until 10.
            (5, Ok(5)),
            // That one is due at 20.
            (14, Err(6)),
            (16, Ok(4)),
            // Long after, the bucket holds two and no more.
            (100, Ok(0)),
            (100, Ok(0)),
            (100, Err(10)),
        ] {
            let tenth = |n: u64| Duration::from_millis(n * 100);
            let taken = buckets.take(7, tenths * SECOND / 10);
            assert_eq!(taken, result.map(tenth).map_err(tenth), "at {tenths}");
        }
    }

    #[test]
    fn sources_do_not_meet() {
        let buckets = buckets(1);
        for key in 0..1000 {
            assert_eq!(buckets.take(key + 1, 0), Ok(Duration::ZERO), "{key}");
        }
        for key in 0..1000 {
            assert!(buckets.take(key + 1, 0).is_err(), "{key}");
        }
    }

    #[test]
    fn in_a_crowded_set_full_buckets_make_room_first() {
        let buckets = buckets(1);
        let key = |i: u64| 1 + i * (CHUNKS * SETS) as u64;
        for i in 0..8 {
            assert!(buckets.take(key(i), i * SECOND / 100).is_ok(), "{i}");
        }
        // At 1 s the first one is full again: its place goes to the ninth, and no other's.
        assert!(buckets.take(key(8), SECOND).is_ok());
        for i in 2..9 {
            assert!(buckets.take(key(i), SECOND / 2).is_err(), "{i} kept its state");
        }
    }

    #[test]
    fn however_many_sources_come_memory_is_bounded() {
        let buckets = buckets(1);
        for key in 1..=200_000_u64 {
            let key = key.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            assert!(buckets.take(key, 0).is_ok(), "a new source has a bucket of its own");
        }
        let chunks = buckets.chunks.get().expect("used").len();
        assert_eq!(chunks * size_of::<Chunk>(), 1 << 20);
        assert!(chunks * SETS * WAYS >= 65_536);
    }

    #[test]
    fn threads_never_take_more_than_there_is() {
        let buckets = std::sync::Arc::new(buckets(1_000));
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let buckets = std::sync::Arc::clone(&buckets);
                std::thread::spawn(move || {
                    (0..1_000).filter(|_| buckets.take(9, 0).is_ok()).count()
                })
            })
            .collect();
        let taken: usize = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
        assert_eq!(taken, 1_000);
    }
}
