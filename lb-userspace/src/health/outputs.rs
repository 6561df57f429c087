//! When a check's new words are worth an event.
//!
//! A verdict is told at once. Words alone are told at most once a second for a
//! backend, and a mere change of duration every ten seconds and within a
//! budget of all backends, because each event makes a snapshot.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// Pause between two events of one backend that bring new words.
const WORDS: Duration = Duration::from_secs(1);
/// Pause between two events of one backend that bring a new duration.
const DURATION: Duration = Duration::from_secs(10);
/// Events a second, of all backends, that bring no more than a new duration.
const BUDGET: f64 = 10.0;

/// What was told last of one backend.
#[derive(Debug, Default)]
pub(crate) struct Outputs {
    key: Option<String>,
    at: Option<Instant>,
}

impl Outputs {
    /// Whether to tell now: `key` are the words without the duration, `must` says that there is
    /// a verdict to be told.
    pub(crate) fn admit(&mut self, key: &str, must: bool, now: Instant, budget: &Budget) -> bool {
        let age = self.at.map_or(Duration::MAX, |at| now.saturating_duration_since(at));
        let is_same = self.key.as_deref() == Some(key);
        let tell =
            must || (!is_same && age >= WORDS) || (is_same && age >= DURATION && budget.take(now));
        if tell {
            self.key = Some(key.to_owned());
            self.at = Some(now);
        }
        tell
    }
}

/// A token bucket of one second's worth.
#[derive(Debug, Default)]
pub(crate) struct Budget {
    /// Tokens left, and when they were counted.
    left: Mutex<Option<(f64, Instant)>>,
}

impl Budget {
    fn take(&self, now: Instant) -> bool {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let (tokens, at) = left.unwrap_or((BUDGET, now));
        let earned = now.saturating_duration_since(at).as_secs_f64() * BUDGET;
        let tokens = (tokens + earned).min(BUDGET);
        *left = Some((if tokens >= 1.0 { tokens - 1.0 } else { tokens }, now));
        tokens >= 1.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Times in milliseconds and words, `!` before those that bring a verdict;
    /// returns which are told.
    fn told(rows: &[(u64, &str)]) -> Vec<bool> {
        let (budget, start) = (Budget::default(), Instant::now());
        let mut outputs = Outputs::default();
        let tell = |(ms, words): &(u64, &str)| {
            let key = words.trim_start_matches('!');
            outputs.admit(key, key != *words, start + Duration::from_millis(*ms), &budget)
        };
        rows.iter().map(tell).collect()
    }

    #[test]
    fn the_first_words_are_told() {
        assert_eq!(told(&[(0, "200 OK")]), [true]);
    }

    #[test]
    fn a_verdict_is_told_at_once() {
        assert_eq!(told(&[(0, "a"), (1, "!b"), (2, "!a")]), [true, true, true]);
    }

    #[test]
    fn new_words_wait_for_a_second() {
        assert_eq!(
            told(&[(0, "a"), (500, "b"), (999, "b"), (1000, "b")]),
            [true, false, false, true]
        );
    }

    #[test]
    fn the_same_words_wait_for_ten() {
        assert_eq!(
            told(&[(0, "a"), (1000, "a"), (9999, "a"), (10_000, "a")]),
            [true, false, false, true]
        );
    }

    #[test]
    fn durations_of_many_backends_share_a_budget() {
        let (budget, start) = (Budget::default(), Instant::now());
        let later = start + DURATION;
        let told = (0..100).filter(|_| {
            let mut outputs = Outputs { key: Some("a".into()), at: Some(start) };
            outputs.admit("a", false, later, &budget)
        });
        assert_eq!(told.count(), BUDGET as usize);
    }

    #[test]
    fn the_budget_fills_again() {
        let (budget, start) = (Budget::default(), Instant::now());
        while budget.take(start) {}
        assert!(!budget.take(start + Duration::from_millis(50)));
        assert!(budget.take(start + Duration::from_millis(200)));
    }
}
