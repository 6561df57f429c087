//! `lb flows`: the kernel's table, by service, client, backend and state.

use anyhow::{Result, ensure};
use lb_tests::{
    Daemon,
    client::{tcp::Echo, udp::Pinger},
    server::UdpEcho,
};
use serde_json::Value;

use super::kit::{DATAPATH, PATIENCE, lab, start};

/// TCP at 5432 and UDP at 53, on both backends.
fn config() -> String {
    format!(
        r#"{DATAPATH}
entryPoints:
  pg: {{ address: "198.51.100.10:5432" }}
  dns: {{ address: "198.51.100.10:53/udp" }}
tcp:
  routers: {{ pg: {{ entryPoints: [pg], service: pg }} }}
  services:
    pg:
      loadBalancer:
        algorithm: roundRobin
        servers: [ {{ address: "10.0.1.11:5432" }}, {{ address: "10.0.1.12:5432" }} ]
udp:
  routers: {{ dns: {{ entryPoints: [dns], service: dns }} }}
  services: {{ dns: {{ loadBalancer: {{ servers: [ {{ address: "10.0.1.11:53" }} ] }} }} }}
"#
    )
}

fn flows(daemon: &Daemon<'_>, filters: &[&str]) -> Result<Vec<Value>> {
    let rows = daemon.json(&[&["flows"], filters].concat())?;
    Ok(rows.as_array().cloned().unwrap_or_default())
}

/// One lab for all filters: six TCP flows and one of UDP.
#[test]
fn flows_are_found_by_every_filter() -> Result<()> {
    let (lab, _servers) = lab()?;
    let _udp = UdpEcho::start(&lab.backends[0].ns, lab.backends[0].at(53), "b1")?;
    let daemon = start(&lab, &config())?;
    let open = lab
        .client
        .run(|| -> Result<Vec<Echo>> { (0..6).map(|_| Echo::connect(lab.vip(5432))).collect() })?;
    lab.client.run(|| Pinger::new(lab.vip(53))?.ping(b"x"))?;
    let client = open[0].stream.local_addr()?;
    let port = client.to_string();
    // Each CPU has turns of its own, so it isn't three each where the client moves between them.
    let first = open.iter().filter(|echo| echo.server == lab.backends[0].name).count();
    let second = open.len() - first;
    ensure!(first.min(second) > 0, "{first} and {second}");

    assert_eq!(flows(&daemon, &[])?.len(), 7);
    for (filters, count) in [
        (&["--service", "pg"][..], 6),
        (&["--service", "udp/dns@file"], 1),
        (&["--client", "192.0.2.2"], 7),
        (&["--client", "192.0.2.0/24"], 7),
        (&["--client", "192.0.3.0/24"], 0),
        (&["--client", &port], 1),
        (&["--backend", "10.0.1.12:5432"], second),
        (&["--backend", "10.0.1.11"], first + 1),
        (&["--backend", "10.0.1.13"], 0),
        (&["--state", "established", "--service", "pg"], 6),
        (&["--state", "syn-received"], 0),
        (&["--limit", "2"], 2),
        (&["--limit", "0"], 7),
        (&["--service", "pg", "--backend", "10.0.1.11:5432"], first),
        (&["--service", "pg", "--backend", "10.0.1.11:5432", "--limit", "2"], 2),
    ] {
        assert_eq!(flows(&daemon, filters)?.len(), count, "{filters:?}");
    }
    let row = flows(&daemon, &["--client", &port])?.remove(0);
    assert_eq!((&row["proto"], &row["vip"]), (&"tcp".into(), &"198.51.100.10:5432".into()));
    assert_eq!((&row["service"], &row["state"]), (&"pg@file".into(), &"established".into()));
    assert_eq!(row["nat"], format!("10.0.1.1:{}", client.port()));
    Ok(())
}

#[test]
fn a_flow_is_followed_to_its_end() -> Result<()> {
    let (lab, _servers) = lab()?;
    let daemon = start(&lab, &config())?;
    let echo = lab.client.run(|| Echo::connect(lab.vip(5432)))?;
    assert_eq!(flows(&daemon, &[])?[0]["state"], "established");
    assert_eq!(super::kit::row(&daemon, "10.0.1.11:5432")?["activeConnections"], 1);
    echo.close()?;
    daemon.wait_for("the flow is closed", PATIENCE, |daemon| {
        Ok(flows(daemon, &["--state", "closed"])?.len() == 1)
    })?;
    Ok(())
}

#[test]
fn a_shortened_table_says_so() -> Result<()> {
    let (lab, _servers) = lab()?;
    let daemon = start(&lab, &config())?;
    let _open = lab
        .client
        .run(|| -> Result<Vec<Echo>> { (0..3).map(|_| Echo::connect(lab.vip(5432))).collect() })?;
    let outcome = daemon.cli(&["flows", "--limit", "2"])?;
    assert_eq!(outcome.stdout.lines().count(), 3, "{}", outcome.stdout);
    assert_eq!(outcome.stderr, "shown: 2 flows; there may be more, see --limit\n");
    assert_eq!(daemon.cli(&["flows"])?.stderr, "");
    Ok(())
}

#[test]
fn filters_that_make_no_sense_are_usage() -> Result<()> {
    let ns = lb_tests::Namespace::new("quiet")?;
    let daemon = super::kit::quiet(&ns, "")?;
    assert_eq!(daemon.ok(&["flows"])?.lines().count(), 1);
    for (filter, stderr) in [
        (["--client", "nobody"], "client \"nobody\": expected IP, IP:PORT or IP/LEN"),
        (["--backend", "nobody"], "backend \"nobody\": expected IP or IP:PORT"),
        (
            ["--state", "open"],
            "state \"open\": expected one of new, syn-received, established, closing, closed, reset",
        ),
    ] {
        let outcome = daemon.cli(&[&["flows"][..], &filter].concat())?;
        assert_eq!((outcome.code, outcome.stderr.trim_end()), (2, stderr));
    }
    Ok(())
}
