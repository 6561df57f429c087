//! Quantiles of durations of the last minute, to within a sixteenth.

use std::time::Duration;

use crate::middleware::rolling::Rolling;

/// Turns of ten seconds.
const TURNS: usize = 6;
const SECONDS: u64 = 10;
/// Sixteen for each power of two of microseconds, up to two minutes.
const BUCKETS: usize = 16 * 24;

/// Counts of durations by their size.
pub(super) struct Histogram {
    buckets: Box<[Rolling<TURNS>]>,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { buckets: (0..BUCKETS).map(|_| Rolling::default()).collect() }
    }
}

impl Histogram {
    pub(super) fn note(&self, time: Duration, second: u64) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.buckets[bucket(micros)].add((second / SECONDS) as u32);
    }

    /// The duration, in milliseconds, that `percent` of all don't exceed; 0 without any.
    pub(super) fn quantile(&self, percent: f64, second: u64) -> f64 {
        let turn = (second / SECONDS) as u32;
        let counts: Vec<u64> = self.buckets.iter().map(|bucket| bucket.sum(turn)).collect();
        let all: u64 = counts.iter().sum();
        let wanted = ((all as f64 * percent / 100.0).ceil() as u64).max(1);
        let mut so_far = 0;
        for (i, count) in counts.iter().enumerate() {
            so_far += count;
            if *count > 0 && so_far >= wanted {
                return middle(i) / 1000.0;
            }
        }
        0.0
    }

    pub(super) fn clear(&self) {
        self.buckets.iter().for_each(Rolling::clear);
    }
}

/// The bucket of so many microseconds: below 16 each its own, then by the five highest bits.
fn bucket(micros: u64) -> usize {
    let shift = micros.checked_ilog2().unwrap_or(0).saturating_sub(4);
    let bucket = shift as usize * 16 + (micros >> shift) as usize;
    bucket.min(BUCKETS - 1)
}

/// The microseconds in the middle of a bucket.
fn middle(bucket: usize) -> f64 {
    let shift = (bucket / 16).saturating_sub(1);
    let lowest = (bucket - shift * 16) << shift;
    lowest as f64 + ((1_u64 << shift) - 1) as f64 / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_found_again_to_within_a_sixteenth() {
        let mut last = 0;
        for micros in (0..2_000).chain((2_000..20_000_000).step_by(61)) {
            let bucket = bucket(micros);
            assert!(bucket == last || bucket == last + 1, "{micros} leaves out a bucket");
            last = bucket;
            let off = (middle(bucket) - micros as f64).abs();
            assert!(off <= micros as f64 / 16.0, "{micros} became {}", middle(bucket));
        }
    }

    #[test]
    fn quantiles_are_of_the_last_minute() {
        let histogram = Histogram::default();
        assert_eq!(histogram.quantile(50.0, 0), 0.0);
        for millis in 1..=100 {
            histogram.note(Duration::from_millis(millis), 0);
        }
        for (percent, millis) in [(0.0, 1.0), (50.0, 50.0), (95.0, 95.0), (100.0, 100.0)] {
            let found = histogram.quantile(percent, 30);
            assert!((found - millis).abs() <= millis / 16.0, "{percent}: {found}");
        }
        assert_eq!(histogram.quantile(50.0, 60), 0.0, "a minute later nothing is left");
    }
}
