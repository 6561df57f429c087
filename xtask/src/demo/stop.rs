//! Whether the demo is to end early: told by a signal, or by the end of the
//! process on the terminal.

use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use std::{fs::File, thread};

use anyhow::{Result, bail};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;

/// How soon a request to end is noticed.
const STEP: Duration = Duration::from_millis(20);

#[derive(Clone)]
pub(super) struct Stop {
    asked: Arc<AtomicBool>,
    /// Whether the process on the terminal may go.
    alone: Arc<AtomicBool>,
}

impl Stop {
    /// From now on signals are taken as requests.
    pub(super) fn install() -> Result<Self> {
        let stop = Self { asked: Arc::default(), alone: Arc::default() };
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            flag::register(signal, Arc::clone(&stop.asked))?;
        }
        let watching = stop.clone();
        thread::spawn(move || {
            // Nothing is ever sent: the read ends when the other end is gone.
            let _ = io::stdin().read(&mut [0]);
            if !watching.alone.load(Ordering::SeqCst) {
                watching.asked.store(true, Ordering::SeqCst);
            }
        });
        Ok(stop)
    }

    pub(super) fn asked(&self) -> bool {
        self.asked.load(Ordering::SeqCst)
    }

    /// An error once it was asked for.
    pub(super) fn check(&self) -> Result<()> {
        if self.asked() {
            bail!("interrupted");
        }
        Ok(())
    }

    /// Waits until then, unless asked to stop.
    pub(super) fn sleep_until(&self, then: Instant) -> Result<()> {
        while Instant::now() < then {
            self.check()?;
            thread::sleep(STEP.min(then.saturating_duration_since(Instant::now())));
        }
        self.check()
    }

    /// Lets the process on the terminal end, and waits to be told by a signal.
    pub(super) fn stay(&self) -> Result<()> {
        self.alone.store(true, Ordering::SeqCst);
        // Who reads the output to its end must not wait for this process.
        let nowhere = File::options().write(true).open("/dev/null")?;
        nix::unistd::dup2_stdout(&nowhere)?;
        nix::unistd::dup2_stderr(&nowhere)?;
        File::from(io::stdin().as_fd().try_clone_to_owned()?).write_all(b"k")?;
        while !self.asked() {
            thread::sleep(5 * STEP);
        }
        Ok(())
    }
}
