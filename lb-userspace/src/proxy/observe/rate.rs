//! Requests a second and how long they take, over the last seconds.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// How much a second changes what is shown: it is gone to a third after five.
const SHARE: f64 = 0.2;

/// Read once a second, by one thread.
#[derive(Debug, Default)]
pub(crate) struct Rate {
    count: AtomicU64,
    micros: AtomicU64,
    /// As bits of `f64`.
    per_second: AtomicU64,
    /// In milliseconds, as bits of `f64`.
    latency: AtomicU64,
}

impl Rate {
    /// A second has passed; so many requests there were until now, which took so long altogether.
    pub(crate) fn tick(&self, (count, micros): (u64, u64)) {
        let new = count.saturating_sub(self.count.swap(count, Relaxed));
        let took = micros.saturating_sub(self.micros.swap(micros, Relaxed));
        let rate = self.per_second();
        let rate = if rate < 0.01 && new == 0 { 0.0 } else { rate + (new as f64 - rate) * SHARE };
        self.per_second.store(rate.to_bits(), Relaxed);
        if new > 0 {
            let (old, now) = (self.latency(), took as f64 / new as f64 / 1e3);
            let latency = if old == 0.0 { now } else { old + (now - old) * SHARE };
            self.latency.store(latency.to_bits(), Relaxed);
        }
    }

    /// Requests a second.
    pub(crate) fn per_second(&self) -> f64 {
        f64::from_bits(self.per_second.load(Relaxed))
    }

    /// Mean duration in milliseconds; 0 before the first request.
    pub(crate) fn latency(&self) -> f64 {
        f64::from_bits(self.latency.load(Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::Rate;

    #[test]
    fn rate_comes_near_what_is_steady_and_falls_to_nothing() {
        let rate = Rate::default();
        for second in 1..=40 {
            rate.tick((second * 100, second * 100 * 3_000));
        }
        assert!((rate.per_second() - 100.0).abs() < 0.1, "{}", rate.per_second());
        assert!((rate.latency() - 3.0).abs() < 0.01, "{}", rate.latency());
        for _ in 0..60 {
            rate.tick((4_000, 12_000_000));
        }
        assert_eq!(rate.per_second(), 0.0);
        assert!(rate.latency() > 2.9, "the latency of the last requests stays");
    }
}
