//! What checks count, for `/metrics`.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// How one check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckResult {
    /// As wanted.
    Pass,
    /// Refused, wrong status, wrong certificate, no route, ….
    Fail,
    /// Not within the check's `timeout`; counts as a failure.
    Timeout,
    /// This host couldn't check (no descriptor, no source port left): the verdict isn't touched.
    Error,
}

impl CheckResult {
    /// Every result, in the order of the metric's labels.
    pub const ALL: [Self; 4] = [Self::Pass, Self::Fail, Self::Timeout, Self::Error];

    /// The metric's `result` label.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Timeout => "timeout",
            Self::Error => "error",
        }
    }
}

/// Counters of all checks since the daemon's start. Monotonic; read at scrape.
#[derive(Debug, Default)]
pub struct Counters {
    checks: [AtomicU64; CheckResult::ALL.len()],
    ups: AtomicU64,
    downs: AtomicU64,
    resolved: AtomicU64,
    unresolved: AtomicU64,
}

impl Counters {
    /// Checks that ended so.
    pub fn checks(&self, result: CheckResult) -> u64 {
        self.checks[result as usize].load(Relaxed)
    }

    /// Changes of verdict to up, first verdicts included.
    pub fn ups(&self) -> u64 {
        self.ups.load(Relaxed)
    }

    /// Changes of verdict to down, first verdicts included.
    pub fn downs(&self) -> u64 {
        self.downs.load(Relaxed)
    }

    /// Host names looked up with an answer.
    pub fn resolved(&self) -> u64 {
        self.resolved.load(Relaxed)
    }

    /// Host names looked up in vain.
    pub fn unresolved(&self) -> u64 {
        self.unresolved.load(Relaxed)
    }

    pub(crate) fn count_check(&self, result: CheckResult) {
        self.checks[result as usize].fetch_add(1, Relaxed);
    }

    pub(crate) fn count_verdict(&self, up: bool) {
        if up { &self.ups } else { &self.downs }.fetch_add(1, Relaxed);
    }

    pub(crate) fn count_lookup(&self, answered: bool) {
        if answered { &self.resolved } else { &self.unresolved }.fetch_add(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_result_counts_under_its_own_label() {
        let counters = Counters::default();
        for (times, result) in CheckResult::ALL.into_iter().enumerate() {
            (0..=times).for_each(|_| counters.count_check(result));
        }
        let seen: Vec<_> =
            CheckResult::ALL.iter().map(|r| (r.name(), counters.checks(*r))).collect();
        assert_eq!(seen, [("pass", 1), ("fail", 2), ("timeout", 3), ("error", 4)]);
    }

    #[test]
    fn verdicts_count_by_direction() {
        let counters = Counters::default();
        counters.count_verdict(true);
        counters.count_verdict(false);
        counters.count_verdict(false);
        assert_eq!((counters.ups(), counters.downs()), (1, 2));
    }
}
