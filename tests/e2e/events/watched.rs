//! What the proxy finds out by itself, circuits and certificates, is told to whoever follows
//! `/api/events`, and to NATS.

use std::{path::Path, time::Instant};

use anyhow::{Result, ensure};
use lb_tests::{Daemon, Namespace, server::Origin};
use rcgen::generate_simple_self_signed;
use serde_json::{Value, json};

use super::kit::{Follower, Nats, PATIENCE, counter};
use crate::l7::kit::{ENTRY, World, origin_at, service};

const EVENTS: &str = "events: { node: edge, nats: { servers: \"nats://127.0.0.1:4222\" } }\n";

/// One key of the events of a type in the stream.
fn told(events: &[(String, Value)], kind: &str, key: &str) -> Vec<Value> {
    let of = events.iter().filter(|(_, event)| event["type"] == kind);
    of.map(|(_, event)| event["data"][key].clone()).collect()
}

#[test]
fn circuits_are_told_as_they_go_round() -> Result<()> {
    let world = World::new(0)?;
    let nats = Nats::start(&world.ns)?;
    let config = format!(
        "{EVENTS}{ENTRY}http:\n  routers:\n\
         \x20   all: {{ rule: \"PathPrefix(`/`)\", service: app, middlewares: [fuse] }}\n\
         \x20 middlewares:\n    fuse: {{ circuitBreaker: {{ expression: \"NetworkErrorRatio() > 0.5\", \
         fallbackDuration: 200ms, recoveryDuration: 200ms }} }}\n  services:\n{}",
        service("app", &[0], "")
    );
    let daemon = Daemon::start(&world.ns, &config)?;
    let follower = Follower::start(&world.ns, &daemon, &["--past", "lb.circuit"])?;
    let deadline = Instant::now() + PATIENCE;
    // Nobody listens there yet.
    while world.get("/")?.status != 503 {
        ensure!(Instant::now() < deadline, "the circuit doesn't open");
    }
    let event = follower.next("lb.circuit.changed")?;
    assert_eq!(event["data"]["to"], "open");
    assert_eq!(event["subject"], "http/all@file/fuse@file");
    let _origin = Origin::start(&world.ns, origin_at(0), "a")?;
    let is_closed = |events: &[(String, Value)]| {
        let states = told(events, "lb.circuit.changed", "to");
        states.ends_with(&[json!("recovering"), json!("closed")])
    };
    while !is_closed(&nats.events()?.unwrap_or_default()) {
        ensure!(Instant::now() < deadline, "the circuit doesn't close: {:?}", nats.events()?);
        world.get("/")?;
    }
    assert_eq!(world.get("/")?.status, 200);
    let labels = "middleware=\"fuse@file\",router=\"all@file\"";
    for state in ["open", "recovering", "closed"] {
        let name = format!("lb_circuit_breaker_changes_total{{{labels},state=\"{state}\"}}");
        ensure!(counter(&daemon, &name)? > 0, "{state}");
    }
    Ok(())
}

/// Writes a certificate of its own and its key for this name.
fn certificate(folder: &Path, name: &str) -> Result<()> {
    let made = generate_simple_self_signed([name.to_owned()])?;
    std::fs::write(folder.join("a.key"), made.signing_key.serialize_pem())?;
    std::fs::write(folder.join("a.crt"), made.cert.pem())?;
    Ok(())
}

#[test]
fn certificates_that_come_change_fail_and_go_are_told() -> Result<()> {
    let ns = Namespace::new("events")?;
    let nats = Nats::start(&ns)?;
    let folder = tempfile::tempdir()?;
    certificate(folder.path(), "a.example")?;
    let [cert, key] = ["a.crt", "a.key"].map(|name| folder.path().join(name).display().to_string());
    let config = |tls: &str| format!("{EVENTS}{ENTRY}{tls}");
    let with = format!("tls: {{ certificates: [ {{ certFile: {cert}, keyFile: {key} }} ] }}\n");
    let daemon = Daemon::start(&ns, &config(&with))?;
    let follower = Follower::start(&ns, &daemon, &["--past", "lb.certificate"])?;
    let next = |what: &str, key: &str, holds: &str| -> Result<()> {
        while !follower.next(&format!("lb.certificate.{what}"))?["data"][key]
            .to_string()
            .contains(holds)
        {}
        Ok(())
    };
    next("loaded", "names", "a.example")?;
    certificate(folder.path(), "b.example")?;
    next("loaded", "names", "b.example")?;
    next("removed", "names", "a.example")?;
    std::fs::write(&cert, "no certificate")?;
    next("failed", "reason", "a.crt")?;
    daemon.configure(&config(""))?;
    daemon.ok(&["reload"])?;
    next("removed", "names", "b.example")?;
    nats.wait_for("the end of it", |events| {
        let removed = told(events, "lb.certificate.removed", "names");
        removed == [json!(["a.example"]), json!(["b.example"])]
            && !told(events, "lb.certificate.failed", "reason").is_empty()
    })?;
    Ok(())
}
