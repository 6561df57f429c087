//! Counts of the last while, without locks.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// How many there were in the last `SLOTS` turns of a clock. Each slot holds the turn that it is
/// of and that turn's count in one word, so that a turn's first count forgets an old one at once.
#[derive(Debug)]
pub(super) struct Rolling<const SLOTS: usize> {
    slots: [AtomicU64; SLOTS],
}

impl<const SLOTS: usize> Default for Rolling<SLOTS> {
    fn default() -> Self {
        Self { slots: std::array::from_fn(|_| AtomicU64::new(0)) }
    }
}

impl<const SLOTS: usize> Rolling<SLOTS> {
    /// One more in this turn.
    pub(super) fn add(&self, turn: u32) {
        let renew = |word: u64| {
            let count = if (word >> 32) as u32 == turn { word as u32 } else { 0 };
            Some(u64::from(turn) << 32 | u64::from(count.saturating_add(1)))
        };
        let _ = self.slots[turn as usize % SLOTS].fetch_update(Relaxed, Relaxed, renew);
    }

    /// How many in the last turns, this one included.
    pub(super) fn sum(&self, turn: u32) -> u64 {
        let words = self.slots.iter().map(|slot| slot.load(Relaxed));
        let recent = words.filter(|word| turn.wrapping_sub((word >> 32) as u32) < SLOTS as u32);
        recent.map(|word| u64::from(word as u32)).sum()
    }

    /// Forgets everything.
    pub(super) fn clear(&self) {
        self.slots.iter().for_each(|slot| slot.store(0, Relaxed));
    }
}

#[cfg(test)]
mod tests {
    use super::Rolling;

    #[test]
    fn old_turns_are_forgotten() {
        let rolling = Rolling::<3>::default();
        for (turn, sum) in [(0, 1), (0, 2), (1, 3), (2, 4), (3, 3), (4, 3), (20, 1), (22, 2)] {
            rolling.add(turn);
            assert_eq!(rolling.sum(turn), sum, "in {turn}");
        }
        assert_eq!(rolling.sum(25), 0);
        rolling.clear();
        assert_eq!(rolling.sum(22), 0);
    }

    #[test]
    fn no_count_of_many_threads_is_lost() {
        let rolling = Rolling::<4>::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..10_000).for_each(|_| rolling.add(7)));
            }
        });
        assert_eq!(rolling.sum(7), 40_000);
    }
}
