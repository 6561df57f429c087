//! Changes under load: nobody notices them.

use anyhow::Result;

use super::{
    kit::{World, app, local, service},
    load::Load,
};

/// `app` with a router and a service of its own for this number.
fn numbered(n: usize) -> String {
    let servers: &[usize] = [&[0, 1][..], &[0, 1, 2], &[2, 1]][n % 3];
    let router = format!("    r{n}: {{ rule: \"Path(`/{n}`)\", service: s{n} }}\n  services:\n");
    app(servers, "").replacen("  services:\n", &router, 1)
        + &service(&format!("s{n}"), &[n % 3], "")
}

#[test]
fn a_hundred_reloads_fail_no_request() -> Result<()> {
    let world = World::new(3)?;
    let daemon = world.start(&numbered(0))?;
    let load = Load::start(&world, 4, 4)?;
    load.wait_for(100)?;
    for n in 1..=100 {
        daemon.configure(&numbered(n))?;
        daemon.ok(&["reload"])?;
        if n % 10 == 0 {
            load.wait_for(20)?;
            assert_eq!(world.get(&format!("/{n}"))?.status, 200);
            assert_eq!(world.get(&format!("/{}", n - 1))?.status, 200, "the router for all");
        }
    }
    let tally = load.check()?;
    assert!(["a", "b", "c"].iter().all(|origin| tally.of(origin) > 0), "{tally:?}");
    Ok(())
}

#[test]
fn a_faulty_reload_changes_nothing() -> Result<()> {
    let world = World::new(1)?;
    let daemon = world.start(&app(&[0], ""))?;
    let load = Load::start(&world, 2, 2)?;
    load.wait_for(20)?;
    daemon.configure(&app(&[0], "").replace("service: app", "service: nobody"))?;
    let outcome = daemon.cli(&["reload"])?;
    assert_eq!(outcome.code, 1);
    assert!(
        outcome.stderr.contains("http.routers.all.service: no service \"nobody\""),
        "{}",
        outcome.stderr
    );
    load.wait_for(20)?;
    load.check()?;
    Ok(())
}

#[test]
fn entry_points_come_move_and_go() -> Result<()> {
    let world = World::new(1)?;
    let text = app(&[0], "");
    let daemon = world.start(&text)?;
    let load = Load::start(&world, 2, 2)?;
    load.wait_for(20)?;
    // One more.
    let two = text.replacen("http:\n", "  more: { address: \"127.0.0.1:8081\" }\nhttp:\n", 1);
    daemon.configure(&two)?;
    daemon.ok(&["reload"])?;
    let mut kept = world.connect_to(local(8081))?;
    assert_eq!(kept.get("/", &[])?.brief(), (200, "a".to_owned()));
    // It moves: what is connected stays.
    daemon.configure(&two.replace("127.0.0.1:8081", "127.0.0.1:8082"))?;
    daemon.ok(&["reload"])?;
    assert_eq!(world.connect_to(local(8082))?.get("/", &[])?.status, 200);
    daemon.wait_for("the old port is closed", super::kit::PATIENCE, |_| {
        Ok(world.connect_to(local(8081)).is_err())
    })?;
    assert_eq!(kept.get("/", &[])?.brief(), (200, "a".to_owned()));
    // It goes.
    daemon.configure(&text)?;
    daemon.ok(&["reload"])?;
    daemon.wait_for("the port is closed", super::kit::PATIENCE, |_| {
        Ok(world.connect_to(local(8082)).is_err())
    })?;
    load.wait_for(20)?;
    load.check()?;
    Ok(())
}

#[test]
fn options_of_an_entry_point_change_in_place() -> Result<()> {
    let world = World::new(1)?;
    let text = app(&[0], "");
    let daemon = world.start(&text)?;
    let mut kept = world.connect()?;
    let long = "x".repeat(3000);
    assert_eq!(kept.get("/", &[("X", &long)])?.status, 200);
    daemon.configure(&text.replace(":8080\" }", ":8080\", http: { maxHeaderBytes: 2048 } }"))?;
    daemon.ok(&["reload"])?;
    assert_eq!(kept.get("/", &[("X", &long)])?.status, 431);
    assert_eq!(world.get("/")?.status, 200);
    Ok(())
}

#[test]
fn a_port_that_is_taken_is_told_and_tried_again() -> Result<()> {
    let world = World::new(1)?;
    let text = app(&[0], "");
    let taken = world.ns.run(|| std::net::TcpListener::bind(local(8081)))?;
    let two = text.replacen("http:\n", "  more: { address: \"127.0.0.1:8081\" }\nhttp:\n", 1);
    let daemon = world.start(&two)?;
    assert_eq!(world.get("/")?.status, 200);
    let faults = daemon.json(&["status"])?["faults"].to_string();
    assert!(faults.contains("127.0.0.1:8081"), "{faults}");
    drop(taken);
    daemon.configure(&(two.clone() + &service("other", &[0], "")))?;
    daemon.ok(&["reload"])?;
    assert_eq!(world.connect_to(local(8081))?.get("/", &[])?.status, 200);
    Ok(())
}
