//! Thousands of clients that take their time over a request.

use std::{
    io::Write,
    net::TcpStream,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use lb_tests::{Daemon, client::http1::Connection};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::{
    kit::{PATIENCE, WEB, World, app},
    watch::{FRESH, fresh, memory, p99},
};

/// As many as there are to be.
const CLIENTS: u64 = 5000;
/// What each may cost in the daemon, in bytes: its state, the head so far, and what a debug build
/// adds; no buffer of a busy connection.
const EACH: u64 = 8 * 1024;
/// Of memory that isn't a connection's, in KiB.
const SLACK: u64 = 16 * 1024;

/// How many descriptors this process may have, less those for everything else.
fn affordable() -> Result<u64> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    Ok(CLIENTS.min(hard.saturating_sub(1000)))
}

/// Begins so many requests.
fn begin(world: &World, count: u64) -> Result<Vec<TcpStream>> {
    world.ns.run(|| {
        let one = || -> Result<TcpStream> {
            let mut stream = TcpStream::connect(WEB)?;
            stream.write_all(b"GET / HTTP/1.1\r\nHost: lb\r\nX-Slow: ")?;
            Ok(stream)
        };
        (0..count).map(|_| one()).collect()
    })
}

#[test]
fn five_thousand_slow_heads_leave_others_alone() -> Result<()> {
    let count = affordable()?;
    let world = World::new(1)?;
    let text = app(&[0], "").replace(
        ":8080\" }",
        ":8080\", transport: { respondingTimeouts: { headTimeout: 5m, readTimeout: 5m } } }",
    );
    let daemon = world.start(&text)?;
    fresh(&world, 50)?;
    let (before, idle) = (memory(&daemon)?, descriptors(&daemon)?);
    let mut peaks = Vec::new();
    for round in 0..3 {
        let mut slow = begin(&world, count)?;
        let mut took = Vec::new();
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(2) {
            for stream in &mut slow {
                stream.write_all(b"a")?;
            }
            took.extend(fresh(&world, 20)?);
        }
        took.sort();
        let peak = memory(&daemon)?;
        let (asked, p99) = (took.len(), p99(&took));
        println!(
            "round {round}: {count} slow clients, {asked} fresh ones, p99 {p99:?}; {} bytes each",
            peak.saturating_sub(before) * 1024 / count
        );
        ensure!(p99 < FRESH, "fresh clients waited: p99 {p99:?}");
        ensure!(peak < before + SLACK + count * EACH / 1024, "from {before} to {peak} KiB");
        peaks.push(peak);
        // None was cut off, and each may still be answered.
        if let Some(stream) = slow.pop() {
            let mut connection = Connection::over(stream);
            connection.send(b"\r\n\r\n")?;
            ensure!(connection.answer("GET")?.status == 200, "a slow client was cut off");
        }
        drop(slow);
        let deadline = Instant::now() + PATIENCE;
        while descriptors(&daemon)? > idle + 20 {
            ensure!(Instant::now() < deadline, "connections stay open");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    // What the first round took is there for the others.
    ensure!(peaks[2] <= peaks[0] + SLACK, "memory doesn't come back: {peaks:?} KiB");
    Ok(())
}

/// Descriptors that the daemon has open.
fn descriptors(daemon: &Daemon<'_>) -> Result<usize> {
    let pid = daemon.pid().context("not running")?;
    Ok(std::fs::read_dir(format!("/proc/{pid}/fd"))?.count())
}
