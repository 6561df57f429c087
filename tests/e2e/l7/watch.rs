//! What attacks cost everybody else: memory of the daemon, and how long a fresh client waits.

use std::{
    fs,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use lb_tests::Daemon;

use super::kit::World;

/// No fresh client may wait longer, on a machine that does other things besides.
pub(crate) const FRESH: Duration = Duration::from_secs(2);

/// Memory that a daemon has now, in KiB.
pub(crate) fn memory(daemon: &Daemon<'_>) -> Result<u64> {
    let pid = daemon.pid().context("not running")?;
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").trim().parse()?)
}

/// How long each of so many fresh clients waits for an answer, sorted.
pub(crate) fn fresh(world: &World, count: usize) -> Result<Vec<Duration>> {
    let mut took = Vec::with_capacity(count);
    for _ in 0..count {
        let begun = Instant::now();
        let status = world.get("/")?.status;
        ensure!(status == 200, "a fresh client got {status}");
        took.push(begun.elapsed());
    }
    took.sort();
    Ok(took)
}

/// The time that 99 of 100 don't exceed.
pub(crate) fn p99(sorted: &[Duration]) -> Duration {
    sorted.get((sorted.len() * 99 / 100).min(sorted.len() - 1)).copied().unwrap_or_default()
}
