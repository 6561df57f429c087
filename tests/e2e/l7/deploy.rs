//! Deployments without downtime: blue-green by weights, canary by header, rolling replacement.

use anyhow::Result;

use super::{
    kit::{ENTRY, PATIENCE, World, app, origin_at, service},
    load::Load,
};

/// Service `app` over `blue` (origin a) and `green` (origin b), by weights.
fn blue_green(blue: u32, green: u32) -> String {
    format!(
        "{ENTRY}http:\n  routers:\n    all: {{ rule: \"PathPrefix(`/`)\", service: app }}\n  services:\n\
         \x20   app: {{ weighted: {{ services: [ {{ name: blue, weight: {blue} }}, {{ name: green, weight: {green} }} ] }} }}\n{}{}",
        service("blue", &[0], ""),
        service("green", &[1], "")
    )
}

#[test]
fn blue_green_by_weighted_services() -> Result<()> {
    let world = World::new(2)?;
    let daemon = world.start(&blue_green(90, 10))?;
    let load = Load::start(&world, 3, 3)?;
    for (blue, green) in [(90, 10), (50, 50), (0, 100)] {
        daemon.configure(&blue_green(blue, green))?;
        daemon.ok(&["reload"])?;
        load.wait_for(50)?;
        // A client alone: the shares are exact, whatever turn it is.
        let before = (world.origins[0].requests(), world.origins[1].requests());
        if blue == 0 {
            load.wait_for(100)?;
            let after = world.origins[0].requests();
            assert_eq!(after, before.0, "blue still gets requests");
        }
    }
    let tally = load.check()?;
    assert!(tally.of("a") > 0 && tally.of("b") > 0, "{tally:?}");
    Ok(())
}

/// The shares of each step, counted without other clients.
#[test]
fn the_shares_of_blue_and_green_are_exact() -> Result<()> {
    let world = World::new(2)?;
    let daemon = world.start(&blue_green(90, 10))?;
    for (blue, green) in [(90, 10), (50, 50), (0, 100)] {
        daemon.configure(&blue_green(blue, green))?;
        daemon.ok(&["reload"])?;
        let before = (world.origins[0].requests(), world.origins[1].requests());
        let mut connection = world.connect()?;
        for _ in 0..200 {
            assert_eq!(connection.get("/", &[])?.status, 200);
        }
        let got = (world.origins[0].requests() - before.0, world.origins[1].requests() - before.1);
        assert_eq!(got, (u64::from(blue) * 2, u64::from(green) * 2));
    }
    Ok(())
}

#[test]
fn blue_green_by_weights_at_run_time() -> Result<()> {
    let world = World::new(2)?;
    let (blue, green) = (origin_at(0).to_string(), origin_at(1).to_string());
    let daemon = world.start(&app(&[0, 1], ""))?;
    let load = Load::start(&world, 3, 3)?;
    for (blue_weight, green_weight) in [("90", "10"), ("50", "50"), ("0", "100")] {
        daemon.ok(&["weight", "app", &blue, blue_weight])?;
        daemon.ok(&["weight", "app", &green, green_weight])?;
        load.wait_for(100)?;
    }
    load.wait_for(50)?;
    let before = world.origins[0].requests();
    load.wait_for(100)?;
    assert_eq!(world.origins[0].requests(), before, "blue still gets requests");
    load.check()?;
    Ok(())
}

#[test]
fn canary_by_header() -> Result<()> {
    let world = World::new(2)?;
    let config = |canary: &str| {
        format!(
            "{ENTRY}http:\n  routers:\n{canary}\
             \x20   api-stable: {{ rule: \"Host(`api.example.com`)\", service: v1, priority: 1 }}\n  services:\n{}{}",
            service("v1", &[0], ""),
            service("v2", &[1], "")
        )
    };
    let daemon = world.start(&config(""))?;
    let stable = Load::asking(&world, 2, 2, &[("Host", "api.example.com")])?;
    let canary = Load::asking(&world, 2, 2, &[("Host", "api.example.com"), ("X-Canary", "true")])?;
    canary.wait_for(30)?;
    daemon.configure(&config(
        "    api-canary: { rule: \"Host(`api.example.com`) && Header(`X-Canary`, `true`)\", service: v2, priority: 100 }\n",
    ))?;
    daemon.ok(&["reload"])?;
    canary.wait_for(50)?;
    let early = canary.take();
    canary.wait_for(100)?;
    let tally = canary.check()?;
    assert!(early.failures.is_empty(), "{early:?}");
    assert_eq!((tally.of("a"), tally.of("b")), (0, tally.good()));
    let tally = stable.check()?;
    assert_eq!((tally.of("a"), tally.of("b")), (tally.good(), 0));
    Ok(())
}

/// Five servers are replaced one by one: the new one is started and checked before the old one
/// goes, as `start-first` does.
#[test]
fn rolling_replacement_of_every_server() -> Result<()> {
    let mut world = World::new(5)?;
    let check = "healthCheck: { path: /health, interval: 200ms, timeout: 5s }";
    let mut servers: Vec<usize> = (0..5).collect();
    let config = app(&servers, check);
    for _ in 0..5 {
        world.add_origin()?;
    }
    // The daemon borrows the world: origins are stopped through `stop` below.
    let mut old: Vec<_> = world.origins.drain(..5).collect();
    let daemon = world.start(&config)?;
    daemon.wait_for("the first ones pass", PATIENCE, |_| Ok(world.get("/")?.status == 200))?;
    let load = Load::start(&world, 4, 4)?;
    load.wait_for(50)?;
    for next in 5..10 {
        servers.push(next);
        daemon.configure(&app(&servers, check))?;
        daemon.ok(&["reload"])?;
        daemon.wait_for("the new one serves", PATIENCE, |_| {
            Ok(world.origins[next - 5].requests() > 0)
        })?;
        servers.remove(0);
        daemon.configure(&app(&servers, check))?;
        daemon.ok(&["reload"])?;
        let mut gone = old.remove(0);
        let seen = gone.requests();
        load.wait_for(50)?;
        // What was under way at the moment of the reload may still come: no more than that.
        assert!(gone.requests() - seen <= 8, "{} still gets requests", gone.name);
        gone.tcp.stop();
    }
    let tally = load.check()?;
    assert!(tally.of("j") > 0, "{tally:?}");
    Ok(())
}
