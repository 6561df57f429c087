//! How long to wait before a source is tried again: of every provider.

use std::time::Duration;

/// The first pause, and the longest: what a source says that comes back applies within five seconds,
/// a try that began while it was away included.
const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(2);

/// Doubles with each failure, with a jitter of a quarter, so that many that lost the same source
/// don't come back at once.
#[derive(Clone, Debug)]
pub(crate) struct Backoff(Duration);

impl Backoff {
    /// Nothing has failed yet.
    pub(crate) const fn new() -> Self {
        Self(FIRST)
    }

    /// The pause after one more failure.
    pub(crate) fn next(&mut self) -> Duration {
        let pause = self.0.mul_f64(0.75 + fastrand::f64() / 2.0);
        self.0 = (self.0 * 2).min(LONGEST);
        pause
    }

    /// It worked.
    pub(crate) fn reset(&mut self) {
        self.0 = FIRST;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_the_longest() {
        let mut backoff = Backoff::new();
        let pauses: Vec<Duration> = (0..10).map(|_| backoff.next()).collect();
        assert!(pauses[0] <= FIRST.mul_f64(1.25), "{pauses:?}");
        assert!(pauses[9] >= LONGEST.mul_f64(0.75), "{pauses:?}");
        assert!(pauses.iter().all(|pause| *pause <= LONGEST.mul_f64(1.25)), "{pauses:?}");
    }

    #[test]
    fn a_source_that_is_back_is_found_within_five_seconds() {
        // After the second SYN of a try, at one second, it says nothing until it is given up.
        let rest_of_a_try = super::super::client::CONNECT - Duration::from_secs(1);
        assert!(LONGEST.mul_f64(1.25) + rest_of_a_try < Duration::from_secs(5));
    }

    #[test]
    fn success_begins_anew() {
        let mut backoff = Backoff::new();
        for _ in 0..10 {
            backoff.next();
        }
        backoff.reset();
        assert!(backoff.next() <= FIRST.mul_f64(1.25));
    }
}
