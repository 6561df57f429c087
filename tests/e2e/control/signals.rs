//! Signals, and what systemd is told.

use std::{os::unix::net::UnixDatagram, time::Duration};

use anyhow::{Context, Result};
use lb_tests::{Daemon, Namespace, daemon::binary};
use nix::sys::signal::Signal;

use super::kit::{PATIENCE, QUIET, pg, quiet, row, wait_log};

/// The service manager's end of `NOTIFY_SOCKET`.
struct Manager {
    socket: UnixDatagram,
    path: std::path::PathBuf,
}

impl Manager {
    fn new(daemon: &Daemon<'_>) -> Result<Self> {
        let path = daemon.folder().join("notify");
        let socket = UnixDatagram::bind(&path)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { socket, path })
    }

    /// The next message, which must begin with this line.
    fn expect(&self, first: &str) -> Result<String> {
        let mut buffer = [0; 4096];
        let n = self.socket.recv(&mut buffer).with_context(|| format!("waiting for {first}"))?;
        let message = String::from_utf8_lossy(&buffer[..n]).into_owned();
        assert_eq!(message.lines().next(), Some(first), "{message}");
        Ok(message)
    }

    fn is_silent(&self) -> Result<bool> {
        self.socket.set_nonblocking(true)?;
        let silent = self.socket.recv(&mut [0; 4096]).is_err();
        self.socket.set_nonblocking(false)?;
        Ok(silent)
    }
}

#[test]
fn systemd_is_told_of_start_reload_and_end() -> Result<()> {
    let ns = Namespace::new("notify")?;
    let mut daemon = Daemon::prepare(&ns, &binary(), QUIET)?;
    let manager = Manager::new(&daemon)?;
    daemon.spawn_with(&[], |command| {
        command.env("NOTIFY_SOCKET", &manager.path);
    })?;
    let ready = manager.expect("READY=1")?;
    assert!(ready.contains("STATUS=generation 1, 0 routers, 3 services"), "{ready}");
    // READY means ready.
    assert_eq!(daemon.cli(&["status"])?.code, 0);

    daemon.configure(&QUIET.replace("weight: 3", "weight: 4"))?;
    daemon.signal(Signal::SIGHUP)?;
    let reloading = manager.expect("RELOADING=1")?;
    assert!(reloading.contains("\nMONOTONIC_USEC="), "{reloading}");
    let ready = manager.expect("READY=1")?;
    assert!(ready.contains("STATUS=generation 2,"), "{ready}");
    assert_eq!(row(&daemon, "10.0.1.11:5432")?["weight"], 4);

    // A refused reload ends too, with the old state and a word of it.
    daemon.configure("tcp: { service: {} }\n")?;
    daemon.signal(Signal::SIGHUP)?;
    manager.expect("RELOADING=1")?;
    let ready = manager.expect("READY=1")?;
    assert!(ready.contains("STATUS=generation 2,") && ready.contains("at fault"), "{ready}");
    assert!(manager.is_silent()?);

    daemon.signal(Signal::SIGTERM)?;
    let stopping = manager.expect("STOPPING=1")?;
    assert!(stopping.contains("STATUS="), "{stopping}");
    assert_eq!(daemon.wait()?.code(), Some(0));
    Ok(())
}

#[test]
fn a_start_that_fails_never_says_ready() -> Result<()> {
    let ns = Namespace::new("notify")?;
    let mut daemon = Daemon::prepare(&ns, &binary(), "tcp: { service: {} }\n")?;
    let manager = Manager::new(&daemon)?;
    daemon.spawn_with(&[], |command| {
        command.env("NOTIFY_SOCKET", &manager.path);
    })?;
    assert_eq!(daemon.wait()?.code(), Some(1));
    assert!(manager.is_silent()?);
    Ok(())
}

#[test]
fn sighup_reads_the_files_as_reload_does() -> Result<()> {
    let ns = Namespace::new("quiet")?;
    let daemon = quiet(&ns, "")?;
    daemon.configure(&QUIET.replace("weight: 3", "weight: 4"))?;
    daemon.signal(Signal::SIGHUP)?;
    daemon.wait_for("the weight", PATIENCE, |daemon| {
        Ok(row(daemon, "10.0.1.11:5432")?["weight"] == 4)
    })?;
    daemon.configure("tcp: { service: {} }\n")?;
    daemon.signal(Signal::SIGHUP)?;
    wait_log(&daemon, "lb.yaml:1:8: tcp.service: unknown key")?;
    daemon.wait_for("the refusal", PATIENCE, |daemon| {
        Ok(daemon.json(&["status"])?["lastReload"]["success"] == false)
    })?;
    assert_eq!(row(&daemon, "10.0.1.11:5432")?["weight"], 4);
    Ok(())
}

#[test]
fn sigterm_and_sigint_end_with_exit_code_0() -> Result<()> {
    let ns = Namespace::new("quiet")?;
    let mut daemon = quiet(&ns, "")?;
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        daemon.signal(signal)?;
        assert_eq!(daemon.wait()?.code(), Some(0));
        assert!(!daemon.socket().exists());
        daemon.run(&[])?;
    }
    Ok(())
}

#[test]
fn a_signal_during_the_start_still_ends_it() -> Result<()> {
    let ns = Namespace::new("early")?;
    let mut daemon = Daemon::prepare(&ns, &binary(), &pg())?;
    daemon.spawn(&[])?;
    // As soon as it listens, its signals are its own: it has not loaded anything by then.
    daemon.wait_for("the socket", Duration::from_secs(60), |d| Ok(d.socket().exists()))?;
    daemon.signal(Signal::SIGTERM)?;
    assert_eq!(daemon.wait()?.code(), Some(0));
    Ok(())
}

#[test]
fn a_log_that_is_no_terminal_has_no_colours() -> Result<()> {
    let ns = Namespace::new("quiet")?;
    let daemon = quiet(&ns, "")?;
    assert!(daemon.log().contains("service tcp/pg@file: added"), "{}", daemon.log());
    assert!(!daemon.log().contains('\u{1b}'), "{:?}", daemon.log());
    Ok(())
}

#[test]
fn the_log_is_json_where_it_is_asked_for() -> Result<()> {
    let ns = Namespace::new("quiet")?;
    let mut daemon = quiet(&ns, "log: { format: json, level: info }\n")?;
    daemon.terminate()?;
    let log = daemon.log();
    assert!(!log.is_empty());
    for line in log.lines() {
        let line: serde_json::Value = serde_json::from_str(line).context(line.to_owned())?;
        assert!(line["level"].is_string(), "{line}");
    }
    Ok(())
}
