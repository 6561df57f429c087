//! `lb shift`: traffic moves step by step, and back where the new side fails.

use std::time::Duration;

use anyhow::{Context, Result};
use lb_tests::{Daemon, server::Origin};
use serde_json::{Value, json};

use super::{
    kit::{ENTRY, PATIENCE, World, app, fixed, origin_at, service},
    load::Load,
};

/// Service `app` over `blue` (origin a) and `green` (origin b), of which green gets nothing.
fn blue_green() -> String {
    format!(
        "{ENTRY}http:\n  routers:\n    all: {{ rule: \"PathPrefix(`/`)\", service: app }}\n  services:\n\
         \x20   app: {{ weighted: {{ services: [ {{ name: blue, weight: 100 }}, {{ name: green, weight: 0 }} ] }} }}\n{}{}",
        service("blue", &[0], ""),
        service("green", &[1], "")
    )
}

fn state(daemon: &Daemon<'_>) -> Result<Value> {
    let rows = daemon.json(&["shift", "status"])?;
    rows.get(0).cloned().context("a shift")
}

fn wait(daemon: &Daemon<'_>, wanted: &str) -> Result<Value> {
    daemon.wait_for(&format!("it is {wanted}"), PATIENCE, |d| Ok(state(d)?["state"] == wanted))?;
    state(daemon)
}

/// Types of events so far, those of shifts.
fn told(daemon: &Daemon<'_>, count: usize) -> Result<Vec<String>> {
    let count = count.to_string();
    let text = daemon.ok(&["events", "--past", "-n", &count, "-o", "json", "lb.shift"])?;
    let kind = |line: &str| -> Result<String> {
        let event: Value = serde_json::from_str(line)?;
        Ok(event["type"].as_str().context("a type")?.to_owned())
    };
    text.lines().map(kind).collect()
}

#[test]
fn traffic_moves_from_blue_to_green() -> Result<()> {
    let world = World::new(2)?;
    let daemon = world.start(&blue_green())?;
    let load = Load::start(&world, 2, 2)?;
    load.wait_for(50)?;
    let line = "shift app blue green --steps 50,100 --every 2s --max-errors 1% --max-p99 30s";
    daemon.ok(&line.split(' ').collect::<Vec<_>>())?;
    assert_eq!(state(&daemon)?["percent"], 50);
    load.wait_for(50)?;
    let early = load.take();
    assert!(early.failures.is_empty() && early.of("b") > 0, "{early:?}");
    let row = wait(&daemon, "finished")?;
    assert_eq!((&row["percent"], &row["toSeen"]["errors"]), (&json!(100), &json!(0)));
    assert!(row["toSeen"]["requests"].as_u64() > Some(0), "{row}");
    assert!(daemon.ok(&["status"])?.contains("SHIFTS"));
    let before = world.origins[0].requests();
    load.wait_for(100)?;
    assert!(world.origins[0].requests() - before <= 8, "blue still gets requests");
    load.check()?;
    let kinds = told(&daemon, 4)?;
    let expected = ["started", "advanced", "advanced", "finished"];
    assert_eq!(kinds, expected.map(|one| format!("lb.shift.{one}")));

    daemon.ok(&["shift", "app", "--reset"])?;
    let before = world.origins[1].requests();
    for _ in 0..10 {
        assert_eq!(world.get("/")?.status, 200);
    }
    assert_eq!(world.origins[1].requests(), before, "the weights are as configured");
    Ok(())
}

#[test]
fn a_new_side_that_fails_gets_nothing_more() -> Result<()> {
    let world = World::new(1)?;
    let answer = b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let _green = fixed(&world, 1, answer.to_vec())?;
    let daemon = world.start(&blue_green())?;
    let load = Load::start(&world, 2, 2)?;
    load.wait_for(20)?;
    daemon.ok(&["shift", "app", "blue", "green", "--steps", "10,100", "--every", "20s"])?;
    let row = wait(&daemon, "rolled back")?;
    let why = row["reason"].as_str().context("a reason")?;
    assert!(why.contains("green: ") && why.contains("failed"), "{why}");
    assert_eq!(told(&daemon, 3)?[2], "lb.shift.rolledback");
    let _errors = load.finish()?;
    for _ in 0..20 {
        assert_eq!(world.get("/")?.status, 200, "green gets nothing");
    }
    Ok(())
}

#[test]
fn a_new_side_that_is_slow_gets_nothing_more() -> Result<()> {
    let world = World::new(1)?;
    let slow = |method: &str, _: &str| {
        std::thread::sleep(Duration::from_secs(1));
        (method == "GET").then(|| (200, b"b".to_vec()))
    };
    let _green = Origin::hooked(&world.ns, origin_at(1), "b", Some(Box::new(slow)))?;
    let daemon = world.start(&blue_green())?;
    let load = Load::start(&world, 2, 2)?;
    load.wait_for(20)?;
    let line = "shift app blue green --steps 10,100 --every 20s --max-p99 300ms";
    daemon.ok(&line.split(' ').collect::<Vec<_>>())?;
    let row = wait(&daemon, "rolled back")?;
    let why = row["reason"].as_str().context("a reason")?;
    assert!(why.contains("green: 99% of ") && why.contains("more than 300ms"), "{why}");
    assert_eq!(told(&daemon, 3)?[2], "lb.shift.rolledback");
    load.check()?;
    Ok(())
}

#[test]
fn a_new_side_without_servers_gets_nothing_more() -> Result<()> {
    let world = World::new(1)?;
    let check = "healthCheck: { path: /health, interval: 200ms, timeout: 5s, fall: 1 }";
    let text = blue_green().replace(&service("green", &[1], ""), &service("green", &[1], check));
    let daemon = world.start(&text)?;
    daemon.ok(&["shift", "app", "blue", "green", "--every", "20s"])?;
    let row = wait(&daemon, "rolled back")?;
    assert!(row["reason"].to_string().contains("no server takes requests"), "{row}");
    Ok(())
}

#[test]
fn servers_of_one_service_are_two_sides_as_well() -> Result<()> {
    let world = World::new(3)?;
    let daemon = world.start(&app(&[0, 1, 2], ""))?;
    let (old, new) = (origin_at(0).to_string(), format!("{},{}", origin_at(1), origin_at(2)));
    daemon.ok(&["shift", "app", &old, &new, "--steps", "50,100", "--every", "1s"])?;
    let rows = daemon.json(&["backends", "app"])?;
    let weights: Vec<_> = (0..3).map(|n| rows[n]["weight"].clone()).collect();
    assert_eq!(weights, [2, 1, 1]);
    wait(&daemon, "finished")?;
    let before = world.origins[0].requests();
    for _ in 0..10 {
        assert_eq!(world.get("/")?.status, 200);
    }
    assert_eq!(world.origins[0].requests(), before);
    Ok(())
}

#[test]
fn a_shift_outlives_the_daemon_and_is_taken_back_by_hand() -> Result<()> {
    let world = World::new(2)?;
    let mut daemon = world.start(&blue_green())?;
    daemon.ok(&["weight", "app", "green", "25"])?;
    daemon.ok(&["shift", "app", "blue", "green", "--steps", "50,100", "--every", "1h"])?;
    let again = daemon.cli(&["shift", "app", "blue", "green"])?;
    assert_eq!(again.code, 4, "{}", again.stderr);
    daemon.crash()?;
    daemon.run(&[])?;
    let row = state(&daemon)?;
    assert_eq!((&row["state"], &row["percent"]), (&json!("running"), &json!(50)));
    daemon.ok(&["shift", "app", "--abort"])?;
    let row = state(&daemon)?;
    assert_eq!((&row["state"], &row["reason"]), (&json!("rolled back"), &json!("aborted")));
    let before = (world.origins[0].requests(), world.origins[1].requests());
    let mut connection = world.connect()?;
    for _ in 0..125 {
        assert_eq!(connection.get("/", &[])?.status, 200);
    }
    let got = (world.origins[0].requests() - before.0, world.origins[1].requests() - before.1);
    assert_eq!(got, (100, 25), "the weight from before the shift holds again");
    Ok(())
}

#[test]
fn orders_that_make_no_sense_are_refused() -> Result<()> {
    let world = World::new(2)?;
    let daemon = world.start(&blue_green())?;
    let table: [(&[&str], i32, &str); 7] = [
        (&["app", "blue", "grean"], 1, "did you mean \"green\""),
        (&["appp", "blue", "green"], 1, "did you mean"),
        (&["app", "blue", "blue"], 2, "both sides"),
        (&["app", "blue", "green", "--steps", "50,10"], 2, "rising percentages"),
        (&["app", "blue", "green", "--max-errors", "lots"], 2, "maxErrors"),
        (&["app", "blue", "green", "--every", "soon"], 2, "every"),
        (&["app", "--abort"], 4, "no shift"),
    ];
    for (args, code, words) in table {
        let outcome = daemon.cli(&[&["shift"], args].concat())?;
        assert_eq!(outcome.code, code, "{args:?}: {}", outcome.stderr);
        assert!(outcome.stderr.contains(words), "{args:?}: {}", outcome.stderr);
    }
    Ok(())
}
