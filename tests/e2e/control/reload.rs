//! `lb reload`: what changed, or every fault, and the running state untouched.

use std::fs;

use anyhow::Result;
use lb_tests::{Daemon, Namespace, client::tcp::Echo, daemon::binary};

use super::kit::{PATIENCE, QUIET, faults, lab, pg, put, quiet, start, wait_log};

#[test]
fn a_reload_says_what_changed() -> Result<()> {
    let (lab, _servers) = lab()?;
    let daemon = start(&lab, &pg())?;
    assert_eq!(daemon.ok(&["reload"])?, "nothing changed\n");
    let changed = pg()
        .replace("roundRobin", "leastConn")
        .replace("{ address: \"10.0.1.12:5432\" }", "{ address: \"10.0.1.13:5432\", weight: 2 }")
        .replace("entryPoints:\n", "entryPoints:\n  more: { address: \"198.51.100.11:5432\" }\n")
        .replace("datapath: {", "log: { level: debug }\ndatapath: { timeouts: { udp: 1m },");
    daemon.configure(&changed)?;
    assert_eq!(
        daemon.ok(&["reload"])?.lines().collect::<Vec<_>>(),
        [
            "datapath.timeouts: changed",
            "log: changed",
            "entry point more: added",
            "service tcp/pg@file: 10.0.1.12:5432 removed, 10.0.1.13:5432 added with weight 2, \
             algorithm roundRobin → leastConn",
        ]
    );
    assert_eq!(daemon.ok(&["reload"])?, "nothing changed\n");
    let status = daemon.json(&["status"])?;
    assert_eq!(status["entryPoints"].as_array().map(Vec::len), Some(2));
    Ok(())
}

#[test]
fn a_refused_reload_prints_every_fault_and_changes_nothing() -> Result<()> {
    let (lab, _servers) = lab()?;
    let daemon = start(&lab, &pg())?;
    let mut open = lab.client.run(|| Echo::connect(lab.vip(5432)))?;
    let before = (daemon.json(&["services"])?, daemon.json(&["status"])?["generation"].clone());
    daemon.configure(&pg().replace("servers:", "severs:").replace("rule:", "rul:"))?;
    for _ in 0..2 {
        let outcome = daemon.cli(&["reload"])?;
        assert_eq!((outcome.code, outcome.stdout.as_str()), (1, ""));
        let lines: Vec<&str> = outcome.stderr.lines().collect();
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines[0].contains("tcp.routers.pg.rul: unknown key; did you mean \"rule\"?"));
        assert!(lines[1].contains("loadBalancer.severs: unknown key; did you mean \"servers\"?"));
        let checked = super::kit::lb(&["check", "-c", &daemon.config().display().to_string()])?;
        assert_eq!(checked.stderr, outcome.stderr);
    }
    assert_eq!(daemon.json(&["services"])?, before.0);
    assert_eq!(daemon.json(&["status"])?["generation"], before.1);
    open.ping(b"still here")?;
    lab.client.run(|| Echo::connect(lab.vip(5432)))?;
    Ok(())
}

#[test]
fn a_reload_tells_what_the_watcher_refused_already() -> Result<()> {
    let ns = Namespace::new("quiet")?;
    let daemon = Daemon::prepare(
        &ns,
        &binary(),
        &format!("providers: {{ file: {{ filename: more.yaml }} }}\n{QUIET}"),
    )?;
    let more = daemon.folder().join("more.yaml");
    put(&more, "tcp: {}\n")?;
    let mut daemon = daemon;
    daemon.run(&[])?;
    put(&more, "tcp: { service: {} }\n")?;
    wait_log(&daemon, "unknown key")?;
    for _ in 0..2 {
        let outcome = daemon.cli(&["reload"])?;
        assert_eq!(outcome.code, 1);
        assert!(outcome.stderr.contains("more.yaml:1:8: tcp.service: unknown key"), "{outcome:?}");
    }
    put(&more, "tcp: {}\n")?;
    daemon.wait_for("the fault is gone", PATIENCE, |daemon| Ok(faults(daemon)?.is_empty()))?;
    assert_eq!(daemon.ok(&["reload"])?, "nothing changed\n");
    Ok(())
}

#[test]
fn the_main_file_is_read_through_a_swapped_link() -> Result<()> {
    let ns = Namespace::new("quiet")?;
    let daemon = quiet(&ns, "")?;
    let link = daemon.folder().join("next");
    fs::create_dir(daemon.folder().join("v2"))?;
    fs::write(daemon.folder().join("v2/lb.yaml"), QUIET.replace("weight: 3", "weight: 4"))?;
    std::os::unix::fs::symlink("v2/lb.yaml", &link)?;
    fs::rename(&link, daemon.config())?;
    assert_eq!(daemon.ok(&["reload"])?, "service tcp/pg@file: 10.0.1.11:5432 weight 3 → 4\n");
    Ok(())
}

#[test]
fn a_main_file_that_is_gone_leaves_what_runs() -> Result<()> {
    let ns = Namespace::new("quiet")?;
    let daemon = quiet(&ns, "")?;
    fs::remove_file(daemon.config())?;
    let outcome = daemon.cli(&["reload"])?;
    assert_eq!(outcome.code, 1);
    assert!(outcome.stderr.contains("lb.yaml: can't be read: No such file"), "{outcome:?}");
    assert_eq!(daemon.json(&["services"])?.as_array().map(Vec::len), Some(3));
    Ok(())
}

#[test]
fn listeners_follow_a_reload() -> Result<()> {
    let ns = Namespace::new("quiet")?;
    let daemon = quiet(&ns, "api: { address: \"127.0.0.1:8080\" }\n")?;
    let at = |port: u16| super::kit::get_tcp(&ns, ([127, 0, 0, 1], port).into(), "/ping");
    assert_eq!(at(8080)?.body, "OK");
    daemon.configure(&format!("api: {{ address: \"127.0.0.1:8081\" }}\n{QUIET}"))?;
    assert_eq!(daemon.ok(&["reload"])?, "api: changed\n");
    assert_eq!(at(8081)?.body, "OK");
    assert!(at(8080).is_err());
    Ok(())
}

#[test]
fn an_address_in_use_is_a_fault_until_it_is_free() -> Result<()> {
    let ns = Namespace::new("quiet")?;
    let taken = ns.run(|| std::net::TcpListener::bind("127.0.0.1:8080"))?;
    let daemon = quiet(&ns, "api: { address: \"127.0.0.1:8080\" }\n")?;
    let fault = faults(&daemon)?;
    assert_eq!(fault.len(), 1, "{fault:?}");
    assert!(fault[0].starts_with("can't listen on 127.0.0.1:8080: Address already in use"));
    drop(taken);
    daemon.wait_for("the API listens", PATIENCE, |daemon| Ok(faults(daemon)?.is_empty()))?;
    assert_eq!(super::kit::get_tcp(&ns, "127.0.0.1:8080".parse()?, "/ping")?.body, "OK");
    Ok(())
}
