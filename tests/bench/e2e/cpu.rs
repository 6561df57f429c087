//! CPU time of the whole machine, interrupts and kernel threads included.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

/// Ticks a second of `/proc/stat`.
const HZ: f64 = 100.0;
/// How long others are watched before each measurement.
const QUIET: Duration = Duration::from_millis(300);

/// What a piece of work cost.
pub(crate) struct Cost {
    /// Seconds of CPU, all CPUs together, less what others used at the time before.
    pub(crate) seconds: f64,
    /// CPUs that others kept busy before: above a tenth, the numbers aren't to be trusted.
    pub(crate) others: f64,
}

/// Runs `work` and says what it cost the machine.
pub(crate) fn cost<T>(work: impl FnOnce() -> Result<T>) -> Result<(Cost, T)> {
    let others = {
        let before = busy()?;
        thread::sleep(QUIET);
        (busy()? - before) / QUIET.as_secs_f64()
    };
    let (before, started) = (busy()?, Instant::now());
    let done = work()?;
    let spent = busy()? - before;
    let seconds = spent - others * started.elapsed().as_secs_f64();
    Ok((Cost { seconds, others }, done))
}

/// Seconds that all CPUs have not been idle since the machine started.
fn busy() -> Result<f64> {
    let stat = fs::read_to_string("/proc/stat")?;
    let line = stat.lines().next().context("/proc/stat is empty")?;
    let ticks: Vec<f64> =
        line.split_whitespace().skip(1).map(str::parse).collect::<Result<_, _>>()?;
    // user nice system idle iowait irq softirq steal …; time stolen by the host is not ours.
    let of = |n: usize| ticks.get(n).copied().context("/proc/stat has too few columns");
    Ok((of(0)? + of(1)? + of(2)? + of(5)? + of(6)?) / HZ)
}
