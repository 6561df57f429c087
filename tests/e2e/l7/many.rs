//! Thousands of routers, each of which serves. How long they take is `cargo xtask bench load`.

use std::fmt::Write;

use anyhow::{Context, Result, ensure};

use super::kit::{ENTRY, World, origin_at};

const ROUTERS: usize = 3_000;

/// Routers by host, by host and prefix, by prefix, in turn; to a service each, of one of two origins.
fn config() -> Result<String> {
    let mut text = format!("{ENTRY}http:\n  services:\n");
    for n in 0..ROUTERS {
        let url = format!("http://{}", origin_at(n % 2));
        writeln!(text, "    s{n}:\n      loadBalancer:\n        servers:\n          - url: {url}")?;
    }
    text += "  routers:\n";
    for n in 0..ROUTERS {
        let rule = match n % 3 {
            0 => format!("Host(`h{n}.example`)"),
            1 => format!("Host(`h{n}.example`) && PathPrefix(`/p{n}/`)"),
            _ => format!("PathPrefix(`/p{n}/`)"),
        };
        writeln!(text, "    r{n}:\n      rule: \"{rule}\"\n      service: s{n}")?;
    }
    Ok(text)
}

#[test]
fn each_of_thousands_of_routers_serves() -> Result<()> {
    let world = World::new(2)?;
    let daemon = world.start(&config()?)?;
    let mut connection = world.connect()?;
    for n in 0..ROUTERS {
        let host = format!("h{n}.example");
        let answer = connection.get(&format!("/p{n}/x"), &[("Host", &host)])?;
        let taken = answer.header("x-server").unwrap_or_default();
        ensure!(taken == ["a", "b"][n % 2], "router {n}: {answer:?}");
    }
    let answer = connection.get("/p1/x", &[("Host", "other.example")])?;
    ensure!(answer.status == 404, "another host's prefix: {answer:?}");
    let routers = daemon.json(&["routers"])?;
    let count = routers.as_array().context("no routers")?.len();
    ensure!(count == ROUTERS, "{count} routers are told");
    // The log says how many came, and doesn't list them all.
    let log = daemon.log();
    ensure!(
        log.contains("more changes") && log.lines().count() < ROUTERS,
        "{} lines",
        log.lines().count()
    );
    Ok(())
}
