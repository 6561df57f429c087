//! The chapter's integration, whole: an edge router that finds an API's replicas in a registry, the
//! replicas that register themselves and tell each other of orders by NATS, and new versions of them
//! that come without a failed request. With lb's own registry, and with a real Consul.

mod bus;
mod edge;

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use self::edge::{EDGE_TAG, Edge, Registry};
use crate::{
    discovery::agent::until,
    l7::{
        kit::World,
        load::{Load, Tally},
    },
};

#[test]
fn the_whole_with_lbs_own_registry() -> Result<()> {
    whole(Registry::Own)
}

#[test]
fn the_whole_with_a_real_consul() -> Result<()> {
    whole(Registry::Consul)
}

fn whole(registry: Registry) -> Result<()> {
    let world = World::new(0)?;
    let mut edge = Edge::start(&world, registry)?;
    comes_and_goes(&mut edge).context("coming and going")?;
    orders(&edge).context("orders")?;
    rolling(&mut edge).context("rolling")?;
    blue_green(&mut edge).context("blue-green")?;
    canary(&mut edge).context("canary")
}

/// Register, routed; a failing check, out; deregister, drained.
fn comes_and_goes(edge: &mut Edge<'_>) -> Result<()> {
    for n in 1..=3 {
        edge.replica(&format!("v1-{n}"), 9000 + n)?;
        edge.register(&format!("v1-{n}"), "api", &[EDGE_TAG])?;
        let took = until("a registered replica is routed", || {
            Ok(edge.visit(&[])? == (200, format!("v1-{n}")))
        })?;
        println!("registered to routed: {took:?}");
    }
    edge.origin("v1-2").set_health(500);
    let took = until("a failing replica is out", || Ok(edge.serving()? == 2))?;
    println!("failing to out: {took:?}");
    ensure!(edge.names(20)?.iter().all(|name| name != "v1-2"), "it still gets requests");
    edge.origin("v1-2").set_health(200);
    until("it is back", || Ok(edge.names(3)?.contains(&"v1-2".to_owned())))?;

    // A request that is being answered outlives its replica's farewell.
    let before = edge.origin("v1-3").requests();
    let slow: Vec<_> = (0..3).map(|_| edge.begin("/slow/1500")).collect::<Result<_>>()?;
    until("one is at each replica", || Ok(edge.origin("v1-3").requests() == before + 1))?;
    edge.deregister("v1-3")?;
    until("it takes no more", || Ok(edge.serving()? == 2))?;
    let asked = edge.origin("v1-3").requests();
    edge.names(10)?;
    ensure!(edge.origin("v1-3").requests() == asked, "a replica that left gets requests");
    let mut said: Vec<_> = slow.into_iter().map(edge::finish).collect::<Result<_>>()?;
    said.sort();
    assert_eq!(said, ["v1-1", "v1-2", "v1-3"]);
    edge.register("v1-3", "api", &[EDGE_TAG])?;
    until("it is back", || Ok(edge.serving()? == 3))?;
    Ok(())
}

/// Through the edge's TLS: 201, every subscriber hears of it, and one of the workers.
fn orders(edge: &Edge<'_>) -> Result<()> {
    const COUNT: usize = 30;
    for _ in 0..COUNT {
        edge.order()?;
    }
    edge.bus.wait_for(COUNT)
}

/// One after the other is replaced: the new one is in before the old one goes.
fn rolling(edge: &mut Edge<'_>) -> Result<()> {
    let load = Load::asking(edge.world, 2, 2, edge::HOST)?;
    for n in 1..=3 {
        let (old, new) = (format!("v1-{n}"), format!("v2-{n}"));
        edge.replica(&new, 9010 + n)?;
        edge.register(&new, "api", &[EDGE_TAG])?;
        until("the new one serves", || Ok(edge.serving()? == 4))?;
        edge.retire(&old)?;
    }
    load.wait_for(100)?;
    let tally = load.check()?;
    ensure!((1..=3).all(|n| tally.of(&format!("v2-{n}")) > 0), "{tally:?}");
    Ok(())
}

/// 90/10, 50/50 by tags; the rest by `lb shift`, told on NATS.
fn blue_green(edge: &mut Edge<'_>) -> Result<()> {
    let weigh = |edge: &Edge<'_>, blue: u32, green: u32| -> Result<()> {
        for n in 1..=3 {
            for (name, weight) in [(format!("v3-{n}"), green), (format!("v2-{n}"), blue)] {
                let tag = format!("traefik.http.services.api.loadbalancer.server.weight={weight}");
                edge.register(&name, "api", &[EDGE_TAG, &tag])?;
            }
        }
        Ok(())
    };
    for n in 1..=3 {
        edge.replica(&format!("v3-{n}"), 9020 + n)?;
    }
    for (blue, green) in [(90, 10), (50, 50)] {
        let load = Load::asking(edge.world, 2, 2, edge::HOST)?;
        weigh(edge, blue, green)?;
        until("the weights are in force", || {
            edge.weighs(&[blue, blue, blue, green, green, green])
        })?;
        load.wait_for(50)?;
        load.check()?;
        // Without other clients whole turns are exact.
        let names = edge.names(300)?;
        let of_green = names.iter().filter(|name| name.starts_with("v3")).count();
        assert_eq!(of_green, 3 * green as usize, "{blue}/{green}");
    }
    let load = Load::asking(edge.world, 2, 2, edge::HOST)?;
    load.wait_for(20)?;
    edge.shift(&["v2-1", "v2-2", "v2-3"], &["v3-1", "v3-2", "v3-3"])?;
    load.wait_for(50)?;
    let _before = load.take();
    load.wait_for(50)?;
    let after = load.check()?;
    ensure!(of_version(&after, "v2") == 0, "blue still gets requests: {after:?}");
    for n in 1..=3 {
        edge.retire(&format!("v2-{n}"))?;
    }
    ensure!(edge.names(6)?.iter().all(|name| name.starts_with("v3")));
    edge.nats.wait_for("the shift", |events| {
        let is = |kind: &str| events.iter().any(|(_, event)| event["type"] == kind);
        is("lb.shift.started") && is("lb.shift.finished")
    })?;
    Ok(())
}

/// By a header, with the chapter's two routers.
fn canary(edge: &mut Edge<'_>) -> Result<()> {
    let stable = [
        EDGE_TAG,
        "traefik.http.routers.api-stable.rule=Host(`api.example.com`)",
        "traefik.http.routers.api-stable.service=api-v1",
        "traefik.http.routers.api-stable.priority=1",
    ];
    let canary = [
        EDGE_TAG,
        "traefik.http.routers.api-canary.rule=Host(`api.example.com`) && Header(`X-Canary`, `true`)",
        "traefik.http.routers.api-canary.service=api-v2",
        "traefik.http.routers.api-canary.priority=100",
    ];
    let stable_load = Load::asking(edge.world, 1, 1, edge::HOST)?;
    edge.replica("stable", 9031)?;
    edge.replica("canary", 9032)?;
    edge.register("stable", "api-v1", &stable)?;
    until("the stable one is known", || Ok(edge.routers()?.contains("api-stable")))?;
    for n in 1..=3 {
        edge.deregister(&format!("v3-{n}"))?;
    }
    until("the stable one serves", || Ok(edge.names(4)?.iter().all(|name| name == "stable")))?;
    edge.register("canary", "api-v2", &canary)?;
    until("the canary serves", || {
        Ok(edge.visit(&[("X-Canary", "true")])? == (200, "canary".to_owned()))
    })?;
    let _before = stable_load.take();
    let canary_load = Load::asking(edge.world, 1, 1, edge::CANARY)?;
    canary_load.wait_for(50)?;
    stable_load.wait_for(50)?;
    let (canary, stable) = (canary_load.check()?, stable_load.check()?);
    assert_eq!(canary.of("canary"), canary.good());
    assert_eq!(stable.of("stable"), stable.good());
    // A canary that goes takes nobody with it: its clients are served by the stable one.
    let load = Load::asking(edge.world, 1, 1, edge::CANARY)?;
    load.wait_for(20)?;
    edge.deregister("canary")?;
    until("its clients are elsewhere", || Ok(edge.visit(&[("X-Canary", "true")])?.1 == "stable"))?;
    std::thread::sleep(Duration::from_millis(100));
    load.check()?;
    Ok(())
}

fn of_version(tally: &Tally, version: &str) -> u64 {
    let of = tally.by_origin.iter().filter(|(name, _)| name.starts_with(version));
    of.map(|(_, count)| count).sum()
}
