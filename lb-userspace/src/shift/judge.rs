//! Whether the numbers of a step allow it to go on.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What must hold of both groups.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Bounds {
    /// Largest share of answers with a status from 500 on, 0 to 1.
    pub max_errors: f64,
    /// Largest 99th percentile of durations, if any.
    pub max_p99: Option<Duration>,
}

/// Requests without which nothing is said before the end of a step.
const SAMPLE: u64 = 20;

/// What was counted of a group.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reading {
    /// Requests.
    pub requests: u64,
    /// Those that were answered with a status from 500 on.
    pub errors: u64,
    /// Bounds in microseconds, and how many requests took no longer.
    pub buckets: Vec<(u64, u64)>,
}

impl Reading {
    /// Adds another one of the same buckets.
    pub fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.errors += other.errors;
        if self.buckets.is_empty() {
            self.buckets.clone_from(&other.buckets);
            return;
        }
        for ((_, count), (_, more)) in self.buckets.iter_mut().zip(&other.buckets) {
            *count += more;
        }
    }

    /// What came since `before`; all of it where counters began anew.
    pub fn since(&self, before: &Self) -> Self {
        let is_older = before.requests <= self.requests;
        let same = before.buckets.len() == self.buckets.len() || before.buckets.is_empty();
        if !is_older || !same {
            return self.clone();
        }
        let earlier = |at: usize| before.buckets.get(at).map_or(0, |(_, count)| *count);
        let buckets = self.buckets.iter().enumerate();
        Self {
            requests: self.requests - before.requests,
            errors: self.errors.saturating_sub(before.errors),
            buckets: buckets.map(|(at, (b, n))| (*b, n.saturating_sub(earlier(at)))).collect(),
        }
    }

    /// Share of errors, 0 to 1.
    pub fn error_rate(&self) -> f64 {
        if self.requests == 0 { 0.0 } else { self.errors as f64 / self.requests as f64 }
    }

    /// The 99th percentile of durations, between the bounds of buckets as Prometheus reckons; `None`
    /// without requests. Beyond the last bound it is that bound.
    pub fn p99(&self) -> Option<Duration> {
        if self.requests == 0 || self.buckets.is_empty() {
            return None;
        }
        let rank = self.requests as f64 * 0.99;
        let (mut low, mut below) = (0, 0);
        for (bound, count) in &self.buckets {
            if *count as f64 >= rank {
                let within = (rank - below as f64) / (count - below).max(1) as f64;
                return Some(micros(low as f64 + (bound - low) as f64 * within));
            }
            (low, below) = (*bound, *count);
        }
        Some(micros(low as f64))
    }

    /// Whether the 99th percentile is above `most`: beyond the last bound it is.
    fn is_slower(&self, most: Duration) -> bool {
        let within = self.buckets.last().map_or(0, |(_, count)| *count);
        let is_beyond = (within as f64) < self.requests as f64 * 0.99;
        is_beyond || self.p99().is_some_and(|p99| p99 > most)
    }
}

fn micros(micros: f64) -> Duration {
    Duration::from_micros(micros.round() as u64)
}

/// Which bound doesn't hold, if any: in the middle of a step only where enough requests came to say
/// so.
pub fn judge(name: &str, reading: &Reading, bounds: &Bounds, is_over: bool) -> Option<String> {
    if reading.requests == 0 || (!is_over && reading.requests < SAMPLE) {
        return None;
    }
    let rate = reading.error_rate();
    if rate > bounds.max_errors {
        return Some(format!(
            "{name}: {:.1}% of {} requests failed, more than {:.1}%",
            rate * 100.0,
            reading.requests,
            bounds.max_errors * 100.0
        ));
    }
    let most = bounds.max_p99.filter(|most| reading.is_slower(*most))?;
    let p99 = reading.p99().unwrap_or_default();
    Some(format!("{name}: 99% of {} requests took {p99:?}, more than {most:?}", reading.requests))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(requests: u64, errors: u64, buckets: &[(u64, u64)]) -> Reading {
        Reading { requests, errors, buckets: buckets.to_vec() }
    }

    const BOUNDS: Bounds = Bounds { max_errors: 0.01, max_p99: Some(Duration::from_millis(300)) };
    const FAST: [(u64, u64); 3] = [(100_000, 1000), (300_000, 1000), (1_200_000, 1000)];

    macro_rules! verdicts {
        ($($test:ident: $reading:expr, $is_over:expr => $words:expr;)+) => {
            $(#[test]
            fn $test() {
                let words: Option<&str> = $words;
                assert_eq!(judge("to", &$reading, &BOUNDS, $is_over).as_deref(), words);
            })+
        };
    }

    verdicts! {
        all_is_well: reading(1000, 10, &FAST), true => None;
        nobody_came: reading(0, 0, &FAST), true => None;
        too_many_fail: reading(1000, 11, &FAST), false
            => Some("to: 1.1% of 1000 requests failed, more than 1.0%");
        few_fail_early: reading(10, 10, &FAST), false => None;
        few_fail_at_the_end: reading(10, 10, &FAST), true
            => Some("to: 100.0% of 10 requests failed, more than 1.0%");
        too_slow: reading(1000, 0, &[(100_000, 500), (300_000, 500), (1_200_000, 1000)]), true
            => Some("to: 99% of 1000 requests took 1.182s, more than 300ms");
        slower_than_all_bounds: reading(1000, 0, &[(100_000, 500)]), true
            => Some("to: 99% of 1000 requests took 100ms, more than 300ms");
        just_fast_enough: reading(1000, 0, &[(100_000, 500), (300_000, 990), (1_200_000, 1000)]), true
            => None;
    }

    #[test]
    fn what_came_since_is_the_difference() {
        let before = reading(10, 1, &[(100, 5), (200, 10)]);
        let now = reading(30, 2, &[(100, 20), (200, 30)]);
        assert_eq!(now.since(&before), reading(20, 1, &[(100, 15), (200, 20)]));
        assert_eq!(now.since(&Reading::default()), now);
        let anew = reading(3, 0, &[(100, 3), (200, 3)]);
        assert_eq!(anew.since(&before), anew);
    }
}
