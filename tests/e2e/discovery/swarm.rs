//! `providers.swarm` with a real swarm of one manager. Its overlay network works here; virtual
//! addresses don't (they need IPVS), so that what `lbswarm` makes of them is looked at alone.

use anyhow::{Result, ensure};
use lb_tests::{Daemon, Docker};

use super::kit::{get, provider, wait_status, wait_text};

const PORT: u16 = 8180;

fn config(docker: &Docker) -> String {
    format!(
        "entryPoints: {{ web: {{ address: \"127.0.0.1:{PORT}\" }} }}\nproviders:\n  swarm:\n\
         \x20   endpoint: \"{}\"\n    exposedByDefault: false\n    network: ov\n    refreshSeconds: 2\n\
         \x20   constraints: \"!Label(`kept`, `out`)\"\n",
        docker.endpoint()
    )
}

/// Addresses of a service's servers that take new connections.
fn servers(daemon: &Daemon<'_>, service: &str) -> Result<Vec<String>> {
    let rows = daemon.json(&["backends"])?;
    let of = rows.as_array().into_iter().flatten();
    let of = of.filter(|row| row["service"] == service && row["weight"] != 0);
    Ok(of.filter_map(|row| row["address"].as_str().map(str::to_owned)).collect())
}

/// Why an instance serves nothing.
fn skipped(daemon: &Daemon<'_>, name: &str) -> Result<Option<String>> {
    let all = provider(daemon, "swarm")?["skipped"].as_array().cloned().unwrap_or_default();
    let found = all.iter().find(|one| one["instance"].as_str().is_some_and(|i| i.contains(name)));
    Ok(found.map(|one| format!("{}: {}", one["reason"], one["detail"])))
}

#[test]
fn services_of_a_swarm_are_routed_to_their_tasks() -> Result<()> {
    let docker = Docker::start()?;
    docker.ok(&["swarm", "init", "--advertise-addr", "127.0.0.1"])?;
    docker.ok(&[
        "network",
        "create",
        "-d",
        "overlay",
        "--attachable",
        "--subnet",
        "10.0.1.0/24",
        "ov",
    ])?;
    let daemon = Daemon::start(&docker.ns, &config(&docker))?;
    let on = "traefik.enable=true";
    let port = |name: &str| format!("traefik.http.services.{name}.loadbalancer.server.port=80");
    let wait = |what: &str, wanted: &dyn Fn() -> Result<bool>| {
        daemon.wait_for(what, super::kit::PATIENCE, |_| wanted())
    };

    // Tasks of a service, at their addresses in the overlay network.
    let overlay = ["--network", "ov", "--endpoint-mode", "dnsrr", "--replicas", "2"];
    docker.service("web", &[on, &port("web")], &overlay)?;
    wait("two tasks serve", &|| Ok(servers(&daemon, "web@swarm")?.len() == 2))?;
    docker.join_overlay("ov", "10.0.1.250/24")?;
    wait_text(&daemon, &docker, PORT, "web", "web")?;
    for _ in 0..10 {
        assert_eq!(get(&docker.ns, PORT, "web", "/")?.text(), "web");
    }

    // Another number of tasks, other labels.
    docker.ok(&["service", "update", "--detach", "--replicas", "3", "web"])?;
    wait("three tasks serve", &|| Ok(servers(&daemon, "web@swarm")?.len() == 3))?;
    docker.ok(&["service", "update", "--detach", "--replicas", "1", "web"])?;
    wait("one task serves", &|| Ok(servers(&daemon, "web@swarm")?.len() == 1))?;
    let rule = "traefik.http.routers.web.rule=Host(`other.example`)";
    docker.ok(&["service", "update", "--detach", "--label-add", rule, "web"])?;
    wait_text(&daemon, &docker, PORT, "other.example", "web")?;
    wait_status(&daemon, &docker, PORT, "web", 404)?;

    // The node's own network; a service that swarm is to balance; and some that don't count.
    docker.service(
        "node",
        &[on, "traefik.swarm.network=host", "lb.http.services.node.loadbalancer.server.port=9080"],
        &["--network", "host", "-e", "PORT=9080"],
    )?;
    wait_text(&daemon, &docker, PORT, "node", "node")?;
    docker.service(
        "vip",
        &[on, &port("vip"), "traefik.swarm.lbswarm=true"],
        &["--network", "ov"],
    )?;
    docker.service("off", &[], &["--network", "ov"])?;
    docker.service("out", &[on, "kept=out"], &["--network", "ov"])?;
    docker.service("bare", &[on], &[])?;
    let inspect = "{{range .Endpoint.VirtualIPs}}{{.Addr}}{{end}}";
    wait("the service's own address serves", &|| {
        let vip = docker.ok(&["service", "inspect", "-f", inspect, "vip"])?;
        let vip = vip.split('/').next().unwrap_or_default().to_owned();
        Ok(!vip.is_empty() && servers(&daemon, "vip@swarm")? == [format!("{vip}:80")])
    })?;
    for (name, why) in [
        ("off.1", "not_enabled"),
        ("out.1", "constraint"),
        ("bare.1", "not in network \\\"ov\\\", nor in any other"),
    ] {
        wait(&format!("{name} is skipped"), &|| {
            Ok(skipped(&daemon, name)?.is_some_and(|found| found.contains(why)))
        })?;
    }

    // Gone.
    docker.ok(&["service", "rm", "node"])?;
    wait_status(&daemon, &docker, PORT, "node", 404)?;
    ensure!(get(&docker.ns, PORT, "other.example", "/")?.text() == "web");
    Ok(())
}

#[test]
fn docker_that_is_no_manager_is_told() -> Result<()> {
    let docker = Docker::shared()?;
    let daemon = Daemon::start(&docker.ns, &config(&docker).replace("8180", "8181"))?;
    daemon.wait_for("it is told", super::kit::PATIENCE, |daemon| {
        let provider = provider(daemon, "swarm")?;
        Ok(provider["lastError"].as_str().is_some_and(|why| why.contains("no manager")))
    })
}
