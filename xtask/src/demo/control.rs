//! The process on the terminal: it starts the one that plays, hands signals on
//! and waits. A Ctrl-C must not reach the commands of the other one (an `ip`
//! that dies half-way leaves things behind), so that has a session of its own.

use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, exit};
use std::thread;

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// Plays to the end, or until it is up for good.
///
/// # Errors
/// When it can't be started or was killed; its own failures are its own to tell, and this
/// process ends with their exit code.
pub(super) fn run(lb: &Path, keep: bool) -> Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    let (mut ours, theirs) = UnixStream::pair()?;
    // By this name it is found even when the build has just put another xtask in its place.
    let mut command = Command::new("/proc/self/exe");
    command.args(["demo", "--play"]).args(keep.then_some("--keep"));
    command.env("LB_BIN", lb).stdin(OwnedFd::from(theirs));
    let mut player = command.spawn().context("the demo does not start")?;
    // The copy of their end must go, or the end of the player would not be seen.
    drop(command);
    let pid = Pid::from_raw(i32::try_from(player.id())?);
    thread::spawn(move || {
        for _ in &mut signals {
            // One that has ended meanwhile needs no telling.
            let _ = kill(pid, Signal::SIGTERM);
        }
    });
    let stays = ours.read(&mut [0])? > 0;
    if stays {
        return Ok(());
    }
    let status = player.wait()?;
    if let Some(signal) = status.signal() {
        lb_tests::reaper::reap();
        bail!("the demo was killed by signal {signal}; what it had made is removed");
    }
    match status.code() {
        Some(0) => Ok(()),
        code => exit(code.unwrap_or(1)),
    }
}
