//! `providers.docker` with the real dockerd.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::Duration,
};

use anyhow::{Result, ensure};
use lb_tests::{Daemon, Docker};
use nix::sys::signal::Signal;

use super::kit::{PATIENCE, config, get, provider, skipped, takes_new, wait_status, wait_text};

fn start<'d>(docker: &'d Docker, name: &str, port: u16, more: &str) -> Result<Daemon<'d>> {
    Daemon::start(&docker.ns, &config(docker, name, port, more))
}

#[test]
fn containers_come_and_go() -> Result<()> {
    let docker = Docker::shared()?;
    let first = docker.run("cg-first", &["test=cg"], &[])?;
    let daemon = start(&docker, "cg", 8101, "")?;
    wait_text(&daemon, &docker, 8101, "cg-first", "cg-first")?;
    let rule = "traefik.http.routers.x.rule=Host(`second.example`) && Path(`/`)";
    let second = docker.run("cg-second", &["test=cg", rule], &[])?;
    wait_text(&daemon, &docker, 8101, "second.example", "cg-second")?;
    assert!(daemon.ok(&["routers"])?.contains("x@docker"));
    drop(first);
    wait_status(&daemon, &docker, 8101, "cg-first", 404)?;
    assert_eq!(get(&docker.ns, 8101, "second.example", "/")?.text(), "cg-second");
    docker.ok(&["pause", "cg-second"])?;
    // A request that came just before would wait until it goes on.
    daemon.wait_for("it is skipped", PATIENCE, |daemon| {
        Ok(skipped(daemon, "cg-second")?.is_some_and(|(_, detail)| detail == "paused"))
    })?;
    wait_status(&daemon, &docker, 8101, "second.example", 404)?;
    docker.ok(&["unpause", "cg-second"])?;
    wait_text(&daemon, &docker, 8101, "second.example", "cg-second")?;
    drop(second);
    wait_status(&daemon, &docker, 8101, "second.example", 404)
}

#[test]
fn what_serves_nothing_is_listed_with_its_reason() -> Result<()> {
    let docker = Docker::shared()?;
    let daemon = start(&docker, "skip", 8102, "    exposedByDefault: false\n")?;
    let on = ["test=skip", "traefik.enable=true"];
    let with = |label: &'static str| [on[0], on[1], label];
    let _kept = [
        docker.run("skip-sound", &on, &[])?,
        docker.run("skip-disabled", &["test=skip"], &[])?,
        docker.run("skip-other", &["test=another", "traefik.enable=true"], &[])?,
        docker.run("skip-network", &with("traefik.docker.network=nowhere"), &[])?,
        docker.run("skip-none", &on, &["--network", "none"])?,
        docker.run("skip-label", &with("traefik.http.routers.skip.rul=Host(`x`)"), &[])?,
        docker.run(
            "skip-port",
            &with("traefik.http.services.skip.loadbalancer.server.port=http"),
            &[],
        )?,
        docker.run(
            "skip-sick",
            &on,
            &["--health-cmd", "/bin/busybox false", "--health-interval", "1s"],
        )?,
    ];
    wait_text(&daemon, &docker, 8102, "skip-sound", "skip-sound")?;
    for (name, reason, detail) in [
        ("skip-disabled", "not_enabled", ""),
        ("skip-other", "constraint", ""),
        ("skip-network", "no_address", "not in network \"nowhere\"; in bridge"),
        ("skip-none", "no_address", "in no network"),
        ("skip-label", "bad_label", "traefik.http.routers.skip.rul: unknown key"),
        ("skip-port", "bad_label", "server.port: expected a port"),
        ("skip-sick", "unhealthy", ""),
    ] {
        daemon.wait_for(&format!("{name} is skipped"), PATIENCE, |daemon| {
            let found = skipped(daemon, name)?;
            Ok(found.is_some_and(|(why, more)| why == reason && more.contains(detail)))
        })?;
    }
    assert_eq!(skipped(&daemon, "skip-sound")?, None);
    let status = daemon.ok(&["status"])?;
    assert!(
        status.contains("docker container \"skip-label\": traefik.http.routers.skip.rul"),
        "{status}"
    );
    assert!(status.contains("did you mean \"rule\"?"), "{status}");
    Ok(())
}

#[test]
fn a_container_counts_once_it_is_healthy() -> Result<()> {
    let docker = Docker::shared()?;
    let daemon = start(&docker, "health", 8103, "")?;
    let check = [
        "--health-cmd",
        "/bin/busybox test -e /w/ok",
        "--health-interval",
        "1s",
        "--health-retries",
        "1",
    ];
    let _one = docker.run("health-one", &["test=health"], &check)?;
    daemon.wait_for("it is skipped", PATIENCE, |daemon| {
        Ok(skipped(daemon, "health-one")?.is_some_and(|(reason, _)| reason == "unhealthy"))
    })?;
    docker.ok(&["exec", "health-one", "/bin/busybox", "touch", "/w/ok"])?;
    wait_text(&daemon, &docker, 8103, "health-one", "health-one")?;
    docker.ok(&["exec", "health-one", "/bin/busybox", "rm", "/w/ok"])?;
    wait_status(&daemon, &docker, 8103, "health-one", 404)
}

#[test]
fn containers_of_one_service_are_pooled_by_their_weights() -> Result<()> {
    let docker = Docker::shared()?;
    let rule = "traefik.http.routers.pool.rule=Host(`pool`)";
    let weight = |n: u8| format!("traefik.http.services.pool.loadbalancer.server.weight={n}");
    let (one, three) = (weight(1), weight(3));
    let mut kept = Vec::new();
    for (name, weight) in [("pool-a", &one), ("pool-b", &one), ("pool-c", &one), ("pool-d", &three)]
    {
        kept.push(docker.run(name, &["test=pool", rule, weight], &[])?);
    }
    let daemon = start(&docker, "pool", 8104, "")?;
    daemon
        .wait_for("four backends", PATIENCE, |daemon| Ok(takes_new(daemon, "pool@docker")? == 4))?;
    let mut spread = BTreeMap::new();
    for _ in 0..60 {
        *spread.entry(get(&docker.ns, 8104, "pool", "/")?.text()).or_insert(0) += 1;
    }
    assert_eq!(spread.len(), 4, "{spread:?}");
    // Each worker has a rotation of its own.
    assert!((24..=36).contains(&spread["pool-d"]), "{spread:?}");
    Ok(())
}

#[test]
fn a_container_that_is_stopped_loses_no_request() -> Result<()> {
    let docker = Docker::shared()?;
    let labels = [
        "test=stop",
        "traefik.http.routers.stop.rule=Host(`stop`)",
        "traefik.http.services.stop.loadbalancer.server.port=80",
    ];
    let _stays = docker.run("stop-a", &labels, &[])?;
    let goes = docker.run("stop-b", &labels, &[])?;
    let daemon = start(&docker, "stop", 8105, "")?;
    daemon.wait_for("both serve", PATIENCE, |daemon| Ok(takes_new(daemon, "stop@docker")? == 2))?;
    let done = AtomicBool::new(false);
    let (asked, stopped) = std::thread::scope(|scope| {
        let asking = scope.spawn(|| -> Result<BTreeMap<String, usize>> {
            let mut said = BTreeMap::new();
            while !done.load(Relaxed) {
                let answer = get(&docker.ns, 8105, "stop", "/")?;
                ensure!(answer.status == 200, "{} {}", answer.status, answer.text());
                *said.entry(answer.text()).or_insert(0) += 1;
            }
            Ok(said)
        });
        std::thread::sleep(Duration::from_millis(500));
        let stopped = goes.stop(2);
        std::thread::sleep(Duration::from_millis(500));
        done.store(true, Relaxed);
        (asking.join(), stopped)
    });
    stopped?;
    let said = asked.expect("no panic")?;
    assert_eq!(said.len(), 2, "both were asked: {said:?}");
    daemon.wait_for("one is left", PATIENCE, |daemon| Ok(takes_new(daemon, "stop@docker")? == 1))
}

#[test]
fn while_dockerd_hangs_all_goes_on_over_a_restart_too() -> Result<()> {
    let docker = Docker::start()?;
    let _one = docker.run("hang-one", &["test=hang"], &[])?;
    let mut daemon = start(&docker, "hang", 8106, "    httpClientTimeout: 1s\n")?;
    wait_text(&daemon, &docker, 8106, "hang-one", "hang-one")?;
    daemon.wait_for("it is kept", PATIENCE, |daemon| {
        let path = format!("/var/lib/lb/{}/providers/docker.json", daemon.instance);
        Ok(std::fs::read_to_string(path).is_ok_and(|text| text.contains("hang-one")))
    })?;
    docker.signal(Signal::SIGSTOP)?;
    daemon.crash()?;
    daemon.run(&[])?;
    wait_text(&daemon, &docker, 8106, "hang-one", "hang-one")?;
    daemon.wait_for("the failure is told", PATIENCE, |daemon| {
        let docker = provider(daemon, "docker")?;
        Ok(docker["kept"] == true
            && docker["lastError"].is_string()
            && docker["connectedSince"].is_null())
    })?;
    assert_eq!(get(&docker.ns, 8106, "hang-one", "/")?.text(), "hang-one");
    docker.signal(Signal::SIGCONT)?;
    let _two = docker.run("hang-two", &["test=hang"], &[])?;
    wait_text(&daemon, &docker, 8106, "hang-two", "hang-two")?;
    assert!(provider(&daemon, "docker")?["connectedSince"].is_u64());
    Ok(())
}
