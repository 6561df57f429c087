//! Load that goes on while something is done to the balancer, and what failed meanwhile.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use anyhow::{Result, ensure};

use super::{tcp::Echo, udp::Pinger};
use crate::Namespace;

/// What a load came to.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Short connections that did all they should.
    pub connections: u64,
    /// Exchanges on the long-lived connections.
    pub pings: u64,
    /// Exchanges of UDP flows.
    pub datagrams: u64,
    /// What went wrong, one line each.
    pub failures: Vec<String>,
}

impl Outcome {
    /// An error with the first failures, if there were any, or if nothing was done at all.
    pub fn check(&self) -> Result<()> {
        let first = self.failures.iter().take(5).cloned().collect::<Vec<_>>().join("; ");
        ensure!(self.failures.is_empty(), "{} failures: {first}", self.failures.len());
        ensure!(self.connections > 0 && self.pings > 0, "no load: {self:?}");
        Ok(())
    }
}

/// A load on its threads: long-lived connections that exchange bytes all the
/// time, and short ones one after the other.
pub struct Load {
    stop: Arc<AtomicBool>,
    counts: Arc<Counts>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Counts {
    connections: AtomicU64,
    pings: AtomicU64,
    datagrams: AtomicU64,
    failures: Mutex<Vec<String>>,
}

impl Load {
    /// Starts `long` connections and `short` threads of short ones towards an echo
    /// server. All long ones are connected when this returns.
    pub fn start(ns: &Namespace, address: SocketAddr, long: usize, short: usize) -> Result<Self> {
        let (stop, counts) = (Arc::new(AtomicBool::new(false)), Arc::new(Counts::default()));
        let mut load = Self { stop, counts, threads: Vec::new() };
        for n in 0..long {
            let echo = ns.run(|| Echo::connect(address))?;
            load.thread(ns, &format!("long-{n}"), move |stop, counts| {
                long_lived(echo, stop, counts)
            })?;
        }
        for n in 0..short {
            load.thread(ns, &format!("short-{n}"), move |stop, counts| {
                while !stop.load(Ordering::Relaxed) {
                    match one_connection(address) {
                        Ok(()) => counts.connections.fetch_add(1, Ordering::Relaxed),
                        Err(error) => counts.fail(format!("short: {error:#}")),
                    };
                }
            })?;
        }
        Ok(load)
    }

    /// Adds `count` UDP flows towards a UDP echo server. Each must stay with the
    /// server that answered it first; all have been answered when this returns.
    pub fn add_udp(&mut self, ns: &Namespace, address: SocketAddr, count: usize) -> Result<()> {
        for n in 0..count {
            let pinger = ns.run(|| Pinger::new(address))?;
            let server = pinger.ping(b"first")?;
            self.thread(ns, &format!("udp-{n}"), move |stop, counts| {
                while !stop.load(Ordering::Relaxed) {
                    match pinger.ping(b"again") {
                        Ok(name) if name == server => {
                            counts.datagrams.fetch_add(1, Ordering::Relaxed)
                        }
                        Ok(name) => counts.fail(format!("UDP moved from {server} to {name}")),
                        Err(error) => counts.fail(format!("UDP, on {server}: {error:#}")),
                    };
                    std::thread::sleep(Duration::from_millis(2));
                }
            })?;
        }
        Ok(())
    }

    /// What was done so far.
    pub fn connections(&self) -> u64 {
        self.counts.connections.load(Ordering::Relaxed)
    }

    /// Stops and says what it came to.
    pub fn finish(mut self) -> Outcome {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                self.counts.fail("a client panicked".to_owned());
            }
        }
        Outcome {
            connections: self.counts.connections.load(Ordering::Relaxed),
            pings: self.counts.pings.load(Ordering::Relaxed),
            datagrams: self.counts.datagrams.load(Ordering::Relaxed),
            failures: std::mem::take(&mut *self.counts.failures.lock().expect("a client panicked")),
        }
    }

    fn thread(
        &mut self,
        ns: &Namespace,
        name: &str,
        work: impl FnOnce(&AtomicBool, &Counts) + Send + 'static,
    ) -> Result<()> {
        let (stop, counts) = (Arc::clone(&self.stop), Arc::clone(&self.counts));
        self.threads.push(ns.spawn(name, move || work(&stop, &counts))?);
        Ok(())
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

impl Counts {
    fn fail(&self, what: String) -> u64 {
        let mut failures = self.failures.lock().expect("a client panicked");
        failures.push(what);
        failures.len() as u64
    }
}

fn long_lived(mut echo: Echo, stop: &AtomicBool, counts: &Counts) {
    let payload = crate::pattern::bytes(1024, 7);
    while !stop.load(Ordering::Relaxed) {
        if let Err(error) = echo.ping(&payload) {
            counts.fail(format!("long, on {}: {error:#}", echo.server));
            return;
        }
        counts.pings.fetch_add(1, Ordering::Relaxed);
        // Many flows at a steady pace say more than one as fast as it can.
        std::thread::sleep(Duration::from_millis(2));
    }
    if let Err(error) = echo.close() {
        counts.fail(format!("closing a long one: {error:#}"));
    }
}

fn one_connection(address: SocketAddr) -> Result<()> {
    let mut echo = Echo::connect(address)?;
    echo.ping(b"short")?;
    echo.close()
}
