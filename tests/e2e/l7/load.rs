//! Requests that go on while something is done to the proxy, and what failed meanwhile.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use lb_tests::client::http1::Connection;

use super::kit::{PATIENCE, WEB, World};

/// What a load came to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    /// Answers with status 200, by the origin that gave them.
    pub(crate) by_origin: BTreeMap<String, u64>,
    /// What went wrong, one line each.
    pub(crate) failures: Vec<String>,
}

impl Tally {
    /// All good answers.
    pub(crate) fn good(&self) -> u64 {
        self.by_origin.values().sum()
    }

    /// Those of one origin.
    pub(crate) fn of(&self, origin: &str) -> u64 {
        self.by_origin.get(origin).copied().unwrap_or_default()
    }
}

/// A load on its threads.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    tally: Arc<Mutex<Tally>>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    /// Starts so many clients that keep their connections, and so many that don't.
    pub(crate) fn start(world: &World, kept: usize, fresh: usize) -> Result<Self> {
        Self::asking(world, kept, fresh, &[])
    }

    /// As [`Self::start`], with a header.
    pub(crate) fn asking(
        world: &World,
        kept: usize,
        fresh: usize,
        headers: &'static [(&'static str, &'static str)],
    ) -> Result<Self> {
        let mut load = Self { stop: Arc::default(), tally: Arc::default(), threads: Vec::new() };
        for n in 0..kept + fresh {
            let (stop, tally) = (Arc::clone(&load.stop), Arc::clone(&load.tally));
            let work = move || run(n < kept, headers, &stop, &tally);
            load.threads.push(world.ns.spawn(&format!("load-{n}"), work)?);
        }
        Ok(load)
    }

    /// What was done so far, forgotten here.
    pub(crate) fn take(&self) -> Tally {
        std::mem::take(&mut self.tally.lock().expect("a client panicked"))
    }

    /// Waits for so many more good answers.
    pub(crate) fn wait_for(&self, count: u64) -> Result<()> {
        let good = || self.tally.lock().expect("a client panicked").good();
        let (before, deadline) = (good(), Instant::now() + PATIENCE);
        while good() < before + count {
            ensure!(Instant::now() < deadline, "{} of {count} answers", good() - before);
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Stops, and what it came to since the last [`Self::take`].
    pub(crate) fn finish(mut self) -> Result<Tally> {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            ensure!(thread.join().is_ok(), "a client panicked");
        }
        Ok(self.take())
    }

    /// As [`Self::finish`]; an error if anything failed, or nothing was done.
    pub(crate) fn check(self) -> Result<Tally> {
        let tally = self.finish()?;
        let first = tally.failures.iter().take(5).cloned().collect::<Vec<_>>().join("; ");
        ensure!(tally.failures.is_empty(), "{} failures: {first}", tally.failures.len());
        ensure!(tally.good() > 0, "no load");
        Ok(tally)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn run(keep: bool, headers: &[(&str, &str)], stop: &AtomicBool, tally: &Mutex<Tally>) {
    let mut kept = None;
    while !stop.load(Ordering::Relaxed) {
        let asked = ask(keep, headers, &mut kept);
        let mut tally = tally.lock().expect("a client panicked");
        match asked {
            Ok(origin) => *tally.by_origin.entry(origin).or_default() += 1,
            Err(error) => {
                tally
                    .failures
                    .push(format!("{} connection: {error:#}", if keep { "kept" } else { "new" }));
                kept = None;
            }
        }
        drop(tally);
        // Many clients at a steady pace say more than one as fast as it can.
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn ask(keep: bool, headers: &[(&str, &str)], kept: &mut Option<Connection>) -> Result<String> {
    let connection = match kept {
        Some(connection) => connection,
        None => kept.insert(Connection::open(WEB)?),
    };
    let answer = match keep {
        true => connection.get("/", headers)?,
        false => connection.get("/", &[headers, &[("Connection", "close")]].concat())?,
    };
    ensure!(answer.status == 200, "answered {}: {}", answer.status, answer.text());
    if !keep || answer.header("connection") == Some("close") {
        *kept = None;
    }
    Ok(answer.header("x-server").context("no server's name")?.to_owned())
}
