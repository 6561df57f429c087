//! `lb explain l4`: what it says of a flow is what then happens to that very flow.

use std::net::{SocketAddr, TcpStream, UdpSocket};

use anyhow::{Context, Result};
use lb_tests::{
    Daemon, Lab, Namespace,
    client::tcp::{Echo, PATIENCE as STEP},
    server::UdpEcho,
};
use serde_json::Value;
use socket2::{Domain, Protocol, Socket, Type};

use super::kit::{DATAPATH, PATIENCE, lab, pg, quiet, start};

const VIP: &str = "198.51.100.10:5432";

fn explain(daemon: &Daemon<'_>, proto: &str, client: &str, vip: &str) -> Result<Value> {
    daemon.json(&["explain", "l4", proto, client, vip])
}

/// Connects from a port of the caller's choice.
fn connect_from(lab: &Lab, port: u16) -> Result<Echo> {
    let (from, to): (SocketAddr, SocketAddr) = (([192, 0, 2, 2], port).into(), VIP.parse()?);
    lab.client.run(|| {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        socket.bind(&from.into())?;
        socket.connect_timeout(&to.into(), STEP)?;
        Echo::over(TcpStream::from(socket), STEP)
    })
}

fn algorithm(name: &str) -> String {
    pg().replace("roundRobin", name)
}

/// Twenty flows: first explained, then made, then looked up.
fn explained_then_real(name: &str) -> Result<()> {
    let (lab, _servers) = lab()?;
    let daemon = start(&lab, &algorithm(name))?;
    let mut open = Vec::new();
    for port in 40_000..40_020 {
        let client = format!("192.0.2.2:{port}");
        let said = explain(&daemon, "tcp", &client, VIP)?;
        assert_eq!((&said["action"], &said["flow"]), (&"forward".into(), &"new".into()), "{said}");
        assert_eq!(said["algorithm"], name, "{said}");
        assert_eq!((&said["entryPoint"], &said["router"]), (&"pg".into(), &"pg@file".into()));
        assert_eq!((&said["service"], &said["interface"]), (&"pg@file".into(), &"eth1".into()));
        let echo = connect_from(&lab, port)?;
        let flow = daemon.json(&["flows", "--client", &client])?[0].clone();
        assert_eq!(said["backend"], flow["backend"], "{said} {flow}");
        assert_eq!(said["nat"], flow["nat"], "{said} {flow}");
        let host = lab.backends.iter().find(|host| host.name == echo.server).context("a host")?;
        assert_eq!(said["backend"], host.at(5432).to_string());
        let known = explain(&daemon, "tcp", &client, VIP)?;
        assert_eq!((&known["backend"], &known["flow"]), (&said["backend"], &"established".into()));
        assert!(
            known["summary"].as_str().is_some_and(|s| s.starts_with("a known flow")),
            "{known}"
        );
        open.push(echo);
    }
    Ok(())
}

#[test]
fn a_maglev_flow_goes_where_explain_says() -> Result<()> {
    explained_then_real("maglev")
}

#[test]
fn a_source_hash_flow_goes_where_explain_says() -> Result<()> {
    explained_then_real("sourceHash")
}

#[test]
fn explain_changes_neither_flows_nor_counters_nor_turns() -> Result<()> {
    let (lab, _servers) = lab()?;
    let daemon = start(&lab, &pg())?;
    let _open = connect_from(&lab, 41_000)?;
    let state = || -> Result<(Value, Value, String)> {
        let metrics = super::kit::ask(&daemon, "GET", "/metrics", "")?.body;
        let l4 = metrics.lines().filter(|line| line.starts_with("lb_l4_"));
        // What the host sends to its neighbours meanwhile passes by.
        let own = l4.filter(|line| !line.contains("\"passed\"")).collect::<Vec<_>>().join("\n");
        let mut flows = daemon.json(&["flows"])?;
        flows[0].as_object_mut().context("a flow")?.remove("idleSeconds");
        Ok((flows, daemon.json(&["backends"])?, own))
    };
    let before = state()?;
    for port in 42_000..42_050 {
        explain(&daemon, "tcp", &format!("192.0.2.2:{port}"), VIP)?;
        explain(&daemon, "tcp", &format!("192.0.2.2:{port}"), "198.51.100.10:1")?;
        explain(&daemon, "udp", &format!("192.0.2.2:{port}"), VIP)?;
    }
    explain(&daemon, "tcp", "192.0.2.2:41000", VIP)?;
    assert_eq!(state()?, before);
    Ok(())
}

#[test]
fn what_is_not_for_lb_passes() -> Result<()> {
    let (lab, _servers) = lab()?;
    let daemon = start(&lab, &pg())?;
    for (proto, vip) in [("tcp", "198.51.100.10:5433"), ("udp", VIP), ("tcp", "192.0.2.1:5432")] {
        let said = explain(&daemon, proto, "192.0.2.2:40000", vip)?;
        assert_eq!(said["action"], "pass", "{said}");
        assert_eq!((&said["backend"], &said["router"]), (&Value::Null, &Value::Null));
    }
    let text = daemon.ok(&["explain", "l4", "udp", "192.0.2.2:40000", VIP])?;
    assert_eq!(text, "pass: not for lb: left to the host\n");
    Ok(())
}

#[test]
fn no_healthy_backend_is_said_with_the_reason() -> Result<()> {
    let (lab, servers) = lab()?;
    drop(servers);
    let check = "        healthCheck: { interval: 50ms, timeout: 1s, fall: 1 }\n";
    let daemon = start(&lab, &(pg() + check))?;
    daemon.wait_for("both are down", PATIENCE, |daemon| {
        Ok(explain(daemon, "tcp", "192.0.2.2:40000", VIP)?["action"] == "answer")
    })?;
    let text = daemon.ok(&["explain", "l4", "tcp", "192.0.2.2:40000", VIP])?;
    assert!(text.starts_with("answer: answered by lb itself: "), "{text}");
    assert!(text.contains("  reason:      no_backend_reset\n"), "{text}");
    Ok(())
}

#[test]
fn udp_and_ipv6_are_explained_too() -> Result<()> {
    let (lab, _servers) = lab()?;
    let config = format!(
        "{DATAPATH}entryPoints: {{ echo: {{ address: \"[2001:db8:100::10]:7/udp\" }} }}\n\
         udp:\n  routers: {{ echo: {{ service: echo }} }}\n  services: {{ echo: {{ loadBalancer: \
         {{ servers: [ {{ address: \"[2001:db8:2::11]:7\" }}, {{ address: \"[2001:db8:2::12]:7\" }} ] }} }} }}\n"
    );
    let hosts = lab.backends.iter();
    let _udp = hosts
        .map(|host| UdpEcho::start(&host.ns, host.at6(7), &host.name))
        .collect::<Result<Vec<_>>>()?;
    let daemon = start(&lab, &config)?;
    let (client, vip) = ("[2001:db8:1::2]:40000", "[2001:db8:100::10]:7");
    let said = explain(&daemon, "udp", client, vip)?;
    assert_eq!(said["action"], "forward", "{said}");
    let answered = lab.client.run(|| -> Result<String> {
        let socket = UdpSocket::bind(client)?;
        socket.set_read_timeout(Some(STEP))?;
        socket.send_to(b"hello", vip)?;
        let mut buffer = [0; 100];
        let n = socket.recv(&mut buffer)?;
        Ok(String::from_utf8_lossy(&buffer[..n]).into_owned())
    })?;
    let name = answered.split(':').next().unwrap_or_default();
    let host = lab.backends.iter().find(|host| host.name == name).context(answered.clone())?;
    assert_eq!(said["backend"], host.at6(7).to_string());
    Ok(())
}

#[test]
fn without_the_kernel_path_everything_passes() -> Result<()> {
    let ns = Namespace::new("quiet")?;
    let daemon = quiet(&ns, "")?;
    let text = daemon.ok(&["explain", "l4", "tcp", "192.0.2.2:40000", VIP])?;
    assert_eq!(text, "pass: nothing is loaded: no router is forwarded by the kernel\n");
    Ok(())
}

#[test]
fn addresses_of_two_versions_are_usage() -> Result<()> {
    let ns = Namespace::new("quiet")?;
    let daemon = quiet(&ns, "")?;
    let outcome = daemon.cli(&["explain", "l4", "tcp", "[2001:db8::1]:1", VIP])?;
    assert_eq!(outcome.code, 2);
    assert!(outcome.stderr.contains("are of two IP versions"), "{outcome:?}");
    Ok(())
}
