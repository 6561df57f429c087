//! Servers that fail leave, and come back when they are well.

use anyhow::Result;

use super::{
    kit::{PATIENCE, World, app, fixed},
    load::Load,
};

const CHECK: &str =
    "healthCheck: { path: /health, interval: 200ms, timeout: 5s, rise: 1, fall: 1 }";

/// Waits until ten requests in a row are answered by these alone.
fn wait_served_by(world: &World, daemon: &lb_tests::Daemon<'_>, wanted: &[&str]) -> Result<()> {
    daemon.wait_for(&format!("served by {wanted:?}"), PATIENCE, |_| {
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..10 {
            let answer = world.get("/")?;
            seen.insert(match answer.status {
                200 => answer.text(),
                status => status.to_string(),
            });
        }
        Ok(seen.iter().map(String::as_str).eq(wanted.iter().copied()))
    })
}

#[test]
fn a_server_leaves_and_returns() -> Result<()> {
    let world = World::new(2)?;
    let daemon = world.start(&app(&[0, 1], CHECK))?;
    wait_served_by(&world, &daemon, &["a", "b"])?;
    let load = Load::start(&world, 2, 2)?;
    load.wait_for(20)?;
    world.origins[0].set_health(500);
    wait_served_by(&world, &daemon, &["b"])?;
    let before = world.origins[0].requests();
    load.wait_for(50)?;
    assert_eq!(world.origins[0].requests(), before, "it gets requests while it is down");
    world.origins[0].set_health(200);
    wait_served_by(&world, &daemon, &["a", "b"])?;
    load.check()?;
    Ok(())
}

#[test]
fn nobody_well_is_503() -> Result<()> {
    let world = World::new(1)?;
    let daemon = world.start(&app(&[0], CHECK))?;
    wait_served_by(&world, &daemon, &["a"])?;
    world.origins[0].set_health(503);
    wait_served_by(&world, &daemon, &["503"])?;
    world.origins[0].set_health(200);
    wait_served_by(&world, &daemon, &["a"])?;
    Ok(())
}

#[test]
fn a_new_server_waits_for_its_first_pass() -> Result<()> {
    let world = World::new(2)?;
    world.origins[1].set_health(500);
    let daemon = world.start(&app(&[0], CHECK))?;
    wait_served_by(&world, &daemon, &["a"])?;
    let load = Load::start(&world, 2, 2)?;
    daemon.configure(&app(&[0, 1], CHECK))?;
    daemon.ok(&["reload"])?;
    daemon.wait_for("it is checked", PATIENCE, |_| Ok(world.origins[1].checks() >= 3))?;
    load.wait_for(50)?;
    assert_eq!(world.origins[1].requests(), 0, "it got requests before it passed");
    world.origins[1].set_health(200);
    wait_served_by(&world, &daemon, &["a", "b"])?;
    load.check()?;
    Ok(())
}

#[test]
fn a_server_that_fails_requests_is_ejected() -> Result<()> {
    let world = World::new(1)?;
    let failing = "HTTP/1.1 500 X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    let _failing = fixed(&world, 9, failing.as_bytes().to_vec())?;
    let passive =
        "passiveHealthCheck: { maxFailedAttempts: 3, failureWindow: 1h, ejectionTime: 1h }";
    let _daemon = world.start(&app(&[0, 9], passive))?;
    let mut connection = world.connect()?;
    let mut failed = 0;
    for _ in 0..40 {
        failed += u32::from(connection.get("/", &[])?.status == 500);
    }
    assert_eq!((failed, world.origins[0].requests()), (3, 37));
    Ok(())
}

#[test]
fn a_killed_server_costs_no_request() -> Result<()> {
    let mut world = World::new(3)?;
    let mut killed = world.origins.remove(0);
    let passive = "passiveHealthCheck: { maxFailedAttempts: 3, ejectionTime: 1h }";
    let _daemon = world.start(&app(&[0, 1, 2], passive))?;
    let load = Load::start(&world, 3, 3)?;
    load.wait_for(100)?;
    assert!(killed.requests() > 0);
    // It stops listening and ends what is idle, as a server does that is shut down in order.
    killed.tcp.stop();
    load.wait_for(100)?;
    load.check()?;
    Ok(())
}
