//! Processes on a CPU of their own, and what they use.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use lb_tests::{Namespace, shell};
use nix::{
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// The CPU of proxies, and that of everything around them.
#[derive(Clone, Copy)]
pub(crate) struct Cpus {
    /// One proxy at a time works there.
    pub(crate) proxy: usize,
    /// Origin, clients and the bench itself.
    pub(crate) rest: usize,
}

impl Cpus {
    /// The first two that this process may use; it keeps itself to the second.
    pub(crate) fn take() -> Result<Self> {
        let allowed = sched_getaffinity(Pid::from_raw(0))?;
        let mut usable = (0..CpuSet::count()).filter(|cpu| allowed.is_set(*cpu).unwrap_or(false));
        let (proxy, rest) = (usable.next(), usable.next());
        let (Some(proxy), Some(rest)) = (proxy, rest) else {
            anyhow::bail!("a proxy and its clients need a CPU each: this process may use one");
        };
        stay_on(rest)?;
        Ok(Self { proxy, rest })
    }
}

/// Puts this process, and all that it starts from now on, in front of whatever else the machine has
/// to do: a proxy that waits for the CPU is measured at another load than one that doesn't. What a
/// reader must know where that can't be.
pub(crate) fn go_first() -> Option<String> {
    let done = shell::run(&format!("chrt --fifo --pid 10 {}", std::process::id()));
    let why = done.err()?;
    Some(format!(
        "without real-time priority ({why}): other work on this machine shows in the numbers"
    ))
}

/// Keeps this thread, and what it starts, to a CPU.
fn stay_on(cpu: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu)?;
    sched_setaffinity(Pid::from_raw(0), &set).context("setting the affinity")
}

/// Runs `work` on a thread inside the namespace and on that CPU.
pub(crate) fn on<T: Send>(
    ns: &Namespace,
    cpu: usize,
    work: impl FnOnce() -> Result<T> + Send,
) -> Result<T> {
    ns.run(|| {
        stay_on(cpu)?;
        work()
    })
}

/// A process in the foreground; ended when dropped.
pub(crate) struct Process(Child);

impl Process {
    /// Starts it on a CPU. What it says goes to `log`.
    pub(crate) fn start(
        ns: &Namespace,
        cpu: usize,
        command: &mut Command,
        log: &Path,
    ) -> Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        let log = fs::File::create(log)?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let child = on(ns, cpu, || command.spawn().context("it does not start"));
        Ok(Self(child.with_context(|| name)?))
    }

    /// Its pid.
    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Asks it to end, and waits until it has.
    pub(crate) fn end(mut self) -> Result<()> {
        kill(Pid::from_raw(self.0.id() as i32), Signal::SIGTERM)?;
        let status = self.0.wait()?;
        ensure!(status.success(), "it ended with {status}");
        Ok(())
    }

    /// Whether it has ended by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        !matches!(self.0.try_wait(), Ok(None))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Its own end, should it have come before, is as good.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Time of CPU that a process has used.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Used {
    /// Seconds, all threads.
    pub(crate) all: f64,
    /// Ticks outside of the kernel, and in it.
    user: u64,
    system: u64,
}

impl Used {
    /// By now.
    pub(crate) fn of(pid: u32) -> Result<Self> {
        let folder = Path::new("/proc").join(pid.to_string());
        let mut all = 0.0;
        for thread in fs::read_dir(folder.join("task"))?.flatten() {
            // One that ends meanwhile has used what it has: threads of a proxy stay.
            let text = fs::read_to_string(thread.path().join("schedstat")).unwrap_or_default();
            all += text.split_whitespace().next().unwrap_or("0").parse::<f64>()? / 1e9;
        }
        let stat = fs::read_to_string(folder.join("stat"))?;
        let fields = stat.rsplit_once(") ").context("no name in stat")?.1;
        // utime and stime are fields 14 and 15; what is left begins with field 3.
        let field = |n: usize| -> Result<u64> {
            Ok(fields.split_whitespace().nth(n - 3).context("stat is short")?.parse()?)
        };
        Ok(Self { all, user: field(14)?, system: field(15)? })
    }

    /// From `before` to this.
    pub(crate) fn since(self, before: Self) -> Self {
        Self {
            all: self.all - before.all,
            user: self.user - before.user,
            system: self.system - before.system,
        }
    }

    /// The part of it outside of the kernel, by the ticks that met it there.
    pub(crate) fn user_share(self) -> Option<f64> {
        let ticks = self.user + self.system;
        (ticks > 0).then(|| self.user as f64 / ticks as f64)
    }
}

/// Bytes of memory that a process has for itself: resident, and no file's.
pub(crate) fn memory(pid: u32) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let kib = line.and_then(|line| line.split_whitespace().next()).context("no RssAnon")?;
    let kib: f64 = kib.parse()?;
    ensure!(kib > 0.0, "a process without memory");
    Ok(kib * 1024.0)
}
