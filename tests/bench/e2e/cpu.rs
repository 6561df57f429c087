//! CPU time, measured in two ways: of the whole machine, interrupts and kernel
//! threads included, which is the truth on a machine that does nothing else;
//! and of the processes that take part, for one that does.

use std::{
    fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use nix::sys::resource::{Usage, UsageWho, getrusage};

/// Ticks a second of `/proc/stat`.
const HZ: f64 = 100.0;
/// How long others are watched before each measurement.
const QUIET: Duration = Duration::from_millis(300);

/// What a piece of work cost.
#[derive(Clone, Copy)]
pub(crate) struct Cost {
    /// Seconds of CPU, all CPUs together, less what others used at the time before.
    pub(crate) machine: f64,
    /// Seconds of CPU of this process, its children, and the kernel's threads for softirqs.
    pub(crate) taking_part: f64,
    /// CPUs that others kept busy before.
    pub(crate) others: f64,
}

impl Cost {
    /// Of one of so many units.
    pub(crate) fn per(self, units: u64) -> Self {
        let units = units as f64;
        Self { machine: self.machine / units, taking_part: self.taking_part / units, ..self }
    }
}

/// Runs `work` and says what it cost.
pub(crate) fn cost<T>(work: impl FnOnce() -> Result<T>) -> Result<(Cost, T)> {
    let others = {
        let before = busy()?;
        thread::sleep(QUIET);
        (busy()? - before) / QUIET.as_secs_f64()
    };
    let (machine, started) = (busy()?, Instant::now());
    // The reading of files is no part of the work: it stands outside of the readings of `used`.
    let (elsewhere, here) = (beside()?, used()?);
    let done = work()?;
    let taking_part = (used()? - here) + (beside()? - elsewhere);
    let spent = busy()? - machine;
    let machine = spent - others * started.elapsed().as_secs_f64();
    Ok((Cost { machine, taking_part, others }, done))
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

/// Seconds of this process (the server) and of children that have ended (the client).
fn used() -> Result<f64> {
    let seconds = |usage: Usage| {
        [usage.user_time(), usage.system_time()]
            .iter()
            .map(|time| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6)
            .sum::<f64>()
    };
    let (own, children) =
        (getrusage(UsageWho::RUSAGE_SELF)?, getrusage(UsageWho::RUSAGE_CHILDREN)?);
    Ok(seconds(own) + seconds(children))
}

/// Seconds of children that run (balancers) and of the kernel's threads for softirqs.
fn beside() -> Result<f64> {
    let own = std::process::id().to_string();
    let mut seconds = 0.0;
    for process in fs::read_dir("/proc")?.flatten() {
        // One that ends meanwhile is none of ours.
        let stat = fs::read_to_string(process.path().join("stat")).unwrap_or_default();
        let Some((name, rest)) = stat.rsplit_once(") ") else { continue };
        let parent = rest.split_whitespace().nth(1);
        if parent == Some(own.as_str()) || name.contains("(ksoftirqd/") {
            seconds += of_threads(&process.path().join("task"));
        }
    }
    Ok(seconds)
}

/// Seconds of all threads of a process.
fn of_threads(tasks: &Path) -> f64 {
    let threads = fs::read_dir(tasks).into_iter().flatten().flatten();
    let nanoseconds = threads.filter_map(|thread| {
        let text = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<f64>().ok()
    });
    nanoseconds.sum::<f64>() / 1e9
}
