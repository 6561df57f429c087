//! A network namespace, and running code inside it.

use std::{
    fs::File,
    io::Write,
    panic::resume_unwind,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{
        Once,
        atomic::{AtomicU32, Ordering},
    },
    thread::{Builder, JoinHandle},
};

use anyhow::{Context, Result};
use nix::sched::{CloneFlags, setns};

use crate::{reaper, shell};

static COUNTER: AtomicU32 = AtomicU32::new(0);
static REAPED: Once = Once::new();

/// A name no other test uses: `lbt-<pid>-<n>`. The first call of a process
/// removes what dead ones left behind.
pub fn unique_name() -> String {
    REAPED.call_once(reaper::reap);
    format!("lbt-{}-{}", std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed))
}

/// A network namespace; deleted, with its interfaces, on drop.
#[derive(Debug)]
pub struct Namespace {
    name: String,
    file: File,
}

impl Namespace {
    /// Makes `lbt-<pid>-<n>-<role>` with its loopback up. Needs root.
    pub fn new(role: &str) -> Result<Self> {
        let name = format!("{}-{role}", unique_name());
        shell::run(&format!("ip netns add {name}")).context("namespaces need root")?;
        let file = File::open(path_of(&name))?;
        let ns = Self { name, file };
        // Addresses are usable at once, and host and namespace differ in nothing else.
        ns.sysctl("net/ipv6/conf/default/accept_dad", "0")?;
        ns.sysctl("net/ipv6/conf/all/accept_dad", "0")?;
        ns.ip("link set lo up")?;
        Ok(ns)
    }

    /// Its name, as `ip netns` knows it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `/run/netns/NAME`.
    pub fn path(&self) -> PathBuf {
        path_of(&self.name)
    }

    /// Runs `work` on a thread inside the namespace and returns its result; a panic passes on.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let inside = scope.spawn(|| {
                self.enter();
                work()
            });
            inside.join().unwrap_or_else(|panic| resume_unwind(panic))
        })
    }

    /// Starts a thread inside the namespace; threads that it starts are inside too.
    pub fn spawn<T: Send + 'static>(
        &self,
        thread: &str,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<JoinHandle<T>> {
        let file = self.file.try_clone()?;
        let inside = Builder::new().name(thread.to_owned()).spawn(move || {
            setns(&file, CloneFlags::CLONE_NEWNET).expect("entering a network namespace");
            work()
        })?;
        Ok(inside)
    }

    /// Starts a process inside the namespace. Mounts stay the host's, bpffs included.
    pub fn start(&self, command: &mut Command) -> std::io::Result<Child> {
        self.run(|| command.spawn())
    }

    /// Runs a command line split at spaces inside the namespace.
    pub fn shell(&self, line: &str) -> Result<String> {
        self.run(|| shell::run(line)).with_context(|| format!("in {}", self.name))
    }

    /// `ip <line>` inside the namespace.
    pub fn ip(&self, line: &str) -> Result<String> {
        shell::run(&format!("ip -n {} {line}", self.name))
    }

    /// Several `ip` commands, one a line, in one process.
    pub fn ip_batch(&self, lines: &str) -> Result<()> {
        let mut child = Command::new("ip")
            .args(["-n", &self.name, "-batch", "-"])
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        child.stdin.take().context("the pipe to ip")?.write_all(lines.as_bytes())?;
        shell::checked(&format!("ip -n {} -batch: {lines}", self.name), child.wait_with_output()?)?;
        Ok(())
    }

    /// Writes `/proc/sys/<key>` as seen inside the namespace.
    pub fn sysctl(&self, key: &str, value: &str) -> Result<()> {
        self.run(|| std::fs::write(format!("/proc/sys/{key}"), value))
            .with_context(|| format!("setting {key} to {value} in {}", self.name))
    }

    /// Index of an interface inside the namespace.
    pub fn ifindex(&self, dev: &str) -> Result<u32> {
        let index = self.run(|| nix::net::if_::if_nametoindex(dev));
        index.with_context(|| format!("no interface {dev} in {}", self.name))
    }

    /// MAC of an interface inside the namespace.
    pub fn mac(&self, dev: &str) -> Result<[u8; 6]> {
        let shown = self.ip(&format!("-j link show dev {dev}"))?;
        let links: serde_json::Value = serde_json::from_str(&shown)?;
        let text = links[0]["address"].as_str().context("no address")?;
        let mut mac = [0; 6];
        for (byte, hex) in mac.iter_mut().zip(text.split(':')) {
            *byte = u8::from_str_radix(hex, 16)?;
        }
        Ok(mac)
    }

    fn enter(&self) {
        setns(&self.file, CloneFlags::CLONE_NEWNET).expect("entering a network namespace");
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        if let Err(error) = shell::run(&format!("ip netns del {}", self.name)) {
            eprintln!("{} could not be deleted: {error:#}", self.name);
        }
    }
}

fn path_of(name: &str) -> PathBuf {
    PathBuf::from("/run/netns").join(name)
}
