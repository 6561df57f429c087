//! TCP checks and what they bring about: damping, the kernel, what is shown and kept.

use std::time::Instant;

use anyhow::{Context, Result};
use lb_tests::{
    Daemon, Lab, Shape,
    client::{Spread, tcp},
};

use super::kit::{DATAPATH, PATIENCE, faults, lab, pg, row, start, turns, wait_log, wait_row};

const FIRST: &str = "10.0.1.11:5432";
const SECOND: &str = "10.0.1.12:5432";

fn checked(check: &str) -> String {
    format!("{}        healthCheck: {{ {check} }}\n", pg())
}

fn both_up(daemon: &Daemon<'_>) -> Result<()> {
    wait_row(daemon, FIRST, "state", "up")?;
    wait_row(daemon, SECOND, "state", "up")
}

#[test]
fn a_new_server_is_pending_until_its_first_pass() -> Result<()> {
    let lab = Lab::new(Shape { backends: 2, ..Shape::default() })?;
    // The first check comes at once, the next after the interval: with nobody listening it
    // stays pending for so long.
    let daemon = start(&lab, &checked("interval: 200ms, timeout: 1s, fall: 1000"))?;
    daemon.wait_for("a check failed", PATIENCE, |daemon| {
        Ok(row(daemon, FIRST)?["lastCheck"] == "connection refused")
    })?;
    assert_eq!(row(&daemon, FIRST)?["state"], "pending");
    assert!(lab.client.run(|| tcp::Echo::connect(lab.vip(5432))).is_err());
    let host = &lab.backends[0];
    let _server = lb_tests::server::echo::start(&host.ns, host.at(5432), "b1")?;
    wait_row(&daemon, FIRST, "state", "up")?;
    let spread = lab.client.run(|| tcp::short_connections(lab.vip(5432), 4))?;
    assert_eq!(spread, Spread::from([("b1".into(), 4)]));
    // A first verdict is no change of one.
    assert_eq!(row(&daemon, FIRST)?["transitions"], 0);
    assert_eq!(row(&daemon, SECOND)?["state"], "pending");
    Ok(())
}

#[test]
fn a_dead_server_goes_down_and_comes_back_with_every_step_shown() -> Result<()> {
    let (lab, mut servers) = lab()?;
    let daemon = start(&lab, &checked("interval: 100ms, timeout: 1s, rise: 2, fall: 2"))?;
    both_up(&daemon)?;
    assert!(
        row(&daemon, FIRST)?["lastCheck"].as_str().is_some_and(|s| s.starts_with("connected in "))
    );
    servers[0].kill();
    wait_row(&daemon, FIRST, "state", "down")?;
    let down = row(&daemon, FIRST)?;
    assert_eq!(
        (&down["lastCheck"], &down["transitions"]),
        (&"connection refused".into(), &1.into())
    );
    assert!(down["since"].as_u64().is_some_and(|since| since > 1_700_000_000), "{down}");
    assert!(
        daemon.log().contains("backend 10.0.1.11:5432 of tcp/pg@file is down: connection refused")
    );
    let spread = lab.client.run(|| tcp::short_connections(lab.vip(5432), 6))?;
    assert_eq!(spread, Spread::from([("b2".into(), 6)]));
    let table = daemon.ok(&["backends"])?;
    assert!(
        table
            .lines()
            .any(|l| l.contains(FIRST) && l.contains("down") && l.ends_with("connection refused")),
        "{table}"
    );

    servers[0].listen(&lab.backends[0].ns)?;
    wait_row(&daemon, FIRST, "state", "up")?;
    assert_eq!(row(&daemon, FIRST)?["transitions"], 2);
    let spread = lab.client.run(|| tcp::short_connections(lab.vip(5432), 8))?;
    assert_eq!(spread.len(), 2, "{spread:?}");
    Ok(())
}

#[test]
fn fall_and_rise_damp_what_flaps() -> Result<()> {
    let (lab, mut servers) = lab()?;
    let daemon = start(&lab, &checked("interval: 50ms, timeout: 1s, rise: 3, fall: 1000"))?;
    both_up(&daemon)?;
    servers[0].kill();
    daemon.wait_for("a check failed", PATIENCE, |daemon| {
        Ok(row(daemon, FIRST)?["lastCheck"] == "connection refused")
    })?;
    // A failure is shown, and is no verdict yet.
    assert_eq!(row(&daemon, FIRST)?["state"], "up");
    servers[0].listen(&lab.backends[0].ns)?;
    daemon.wait_for("a check passed", PATIENCE, |daemon| {
        Ok(row(daemon, FIRST)?["lastCheck"] != "connection refused")
    })?;
    assert_eq!(row(&daemon, FIRST)?["transitions"], 0);
    Ok(())
}

#[test]
fn a_host_that_is_cut_off_times_out() -> Result<()> {
    let (lab, _servers) = lab()?;
    let daemon = start(&lab, &checked("interval: 100ms, timeout: 300ms, fall: 2"))?;
    both_up(&daemon)?;
    lab.backends[0].cut()?;
    wait_row(&daemon, FIRST, "state", "down")?;
    let why = row(&daemon, FIRST)?["lastCheck"].as_str().context("words")?.to_owned();
    assert!(why == "timed out after 300 ms" || why.starts_with("no route to host"), "{why}");
    lab.backends[0].restore()?;
    wait_row(&daemon, FIRST, "state", "up")
}

/// From the end of a server to the kernel's refusal: the order of events, and how long it took.
#[test]
fn a_verdict_is_in_the_kernel_when_it_is_shown() -> Result<()> {
    let (lab, mut servers) = lab()?;
    let daemon = start(&lab, &checked("interval: 50ms, timeout: 1s, fall: 1"))?;
    both_up(&daemon)?;
    let explain = |daemon: &Daemon<'_>| -> Result<String> {
        let said =
            daemon.json(&["explain", "l4", "tcp", "192.0.2.2:40000", "198.51.100.10:5432"])?;
        Ok(said["action"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(explain(&daemon)?, "forward");
    servers.iter_mut().for_each(|server| server.kill());
    wait_log(&daemon, "10.0.1.11:5432 of tcp/pg@file is down")?;
    wait_log(&daemon, "10.0.1.12:5432 of tcp/pg@file is down")?;
    let verdict = Instant::now();
    daemon.wait_for("the kernel knows", PATIENCE, |daemon| Ok(explain(daemon)? == "answer"))?;
    println!("seen in the kernel {:?} after the verdict", verdict.elapsed());
    wait_row(&daemon, FIRST, "state", "down")?;
    // What is shown as down has been down in the kernel since before.
    assert_eq!(explain(&daemon)?, "answer");
    Ok(())
}

#[test]
fn verdicts_are_kept_over_a_reload() -> Result<()> {
    let (lab, mut servers) = lab()?;
    let config = checked("interval: 100ms, timeout: 1s, fall: 1");
    let daemon = start(&lab, &config)?;
    both_up(&daemon)?;
    servers[0].kill();
    wait_row(&daemon, FIRST, "state", "down")?;
    let before = row(&daemon, FIRST)?;
    daemon.configure(
        &config.replace("interval: 100ms", "interval: 1h").replace("roundRobin", "random"),
    )?;
    assert!(daemon.ok(&["reload"])?.contains("health check changed"));
    let after = row(&daemon, FIRST)?;
    for field in ["state", "since", "transitions"] {
        assert_eq!(after[field], before[field], "{field}");
    }
    assert_eq!(row(&daemon, SECOND)?["state"], "up");
    let spread = lab.client.run(|| tcp::short_connections(lab.vip(5432), 6))?;
    assert_eq!(spread, Spread::from([("b2".into(), 6)]));
    Ok(())
}

#[test]
fn verdicts_are_kept_over_adoption() -> Result<()> {
    let (lab, mut servers) = lab()?;
    let config = checked("interval: 100ms, timeout: 1s, fall: 1");
    let mut daemon = start(&lab, &config)?;
    both_up(&daemon)?;
    servers[0].kill();
    wait_row(&daemon, FIRST, "state", "down")?;
    daemon.crash()?;
    // No check of the next run says anything for an hour but the first, which a dead host swallows.
    lab.backends[0].cut()?;
    lab.backends[1].cut()?;
    daemon.configure(
        &config.replace("interval: 100ms, timeout: 1s, fall: 1", "interval: 1h, timeout: 30m"),
    )?;
    daemon.run(&[])?;
    assert_eq!(row(&daemon, FIRST)?["state"], "down");
    assert_eq!(row(&daemon, SECOND)?["state"], "up");
    Ok(())
}

#[test]
fn a_service_that_gets_a_check_serves_on_meanwhile() -> Result<()> {
    let (lab, _servers) = lab()?;
    let daemon = start(&lab, &pg())?;
    assert_eq!(row(&daemon, FIRST)?["state"], "unchecked");
    daemon.configure(&checked("interval: 1h, timeout: 30m, port: 1"))?;
    lab.backends[0].cut()?;
    daemon.ok(&["reload"])?;
    assert_eq!(row(&daemon, FIRST)?["state"], "up");
    daemon.configure(&pg())?;
    daemon.ok(&["reload"])?;
    assert_eq!(row(&daemon, FIRST)?["state"], "unchecked");
    Ok(())
}

#[test]
fn a_check_may_go_to_another_port() -> Result<()> {
    let (lab, servers) = lab()?;
    let host = &lab.backends[0];
    let mut control = lb_tests::server::echo::start(&host.ns, host.at(7000), "control")?;
    let daemon = start(&lab, &checked("port: 7000, interval: 100ms, timeout: 1s, fall: 1"))?;
    wait_row(&daemon, FIRST, "state", "up")?;
    wait_row(&daemon, SECOND, "state", "down")?;
    let spread = lab.client.run(|| tcp::short_connections(lab.vip(5432), 4))?;
    assert_eq!(spread, Spread::from([("b1".into(), 4)]));
    control.kill();
    wait_row(&daemon, FIRST, "state", "down")?;
    drop(servers);
    Ok(())
}

#[test]
fn udp_servers_are_checked_by_another_port() -> Result<()> {
    let (lab, mut servers) = lab()?;
    let config = format!(
        "{DATAPATH}entryPoints: {{ echo: {{ address: \"198.51.100.10:7/udp\" }} }}\nudp:\n  routers: {{ echo: {{ service: echo }} }}\n  \
         services: {{ echo: {{ loadBalancer: {{ servers: [ {{ address: \"10.0.1.11:7\" }} ], healthCheck: {{ port: 5432, interval: 100ms, timeout: 1s, fall: 1 }} }} }} }}\n"
    );
    let daemon = start(&lab, &config)?;
    wait_row(&daemon, "10.0.1.11:7", "state", "up")?;
    servers[0].kill();
    wait_row(&daemon, "10.0.1.11:7", "state", "down")
}

#[test]
fn a_backend_without_a_route_says_so() -> Result<()> {
    let (lab, _servers) = lab()?;
    let daemon = Daemon::start(&lab.lb, &turns("198.51.100.10:5432", &[FIRST, "172.16.9.9:5432"]))?;
    wait_row(&daemon, "172.16.9.9:5432", "obstacle", "the host has no route to it")?;
    let table = daemon.ok(&["backends"])?;
    assert!(
        table
            .lines()
            .any(|l| l.contains("172.16.9.9") && l.ends_with("the host has no route to it")),
        "{table}"
    );
    let spread = lab.client.run(|| tcp::short_connections(lab.vip(5432), 6))?;
    assert_eq!(spread, Spread::from([("b1".into(), 6)]));
    lab.lb.ip("route add 172.16.9.0/24 via 10.0.1.12")?;
    daemon.wait_for("the route is taken", PATIENCE, |daemon| {
        Ok(row(daemon, "172.16.9.9:5432")?["obstacle"].is_null())
    })?;
    assert_eq!(faults(&daemon)?, [""; 0]);
    Ok(())
}
