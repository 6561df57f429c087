//! `providers.dns` with real name servers: lb's registry's and Consul's, and one with priorities.

use std::{
    net::UdpSocket,
    sync::Arc,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::Duration,
};

use anyhow::{Result, ensure};
use lb_tests::{Daemon, Namespace, server::Origin};

use super::{
    agent::{ask, register, until, visit},
    consul::Consul,
    kit::provider,
};

/// Asks the DNS of Consul's port for the service `api`.
const EDGE: &str = r#"
entryPoints:
  web: { address: "127.0.0.1:8080" }
providers:
  dns:
    resolvers: ["127.0.0.1:8600"]
    timeout: 2s
    services:
      api:
        name: api.service.consul
        type: SRV
        labels: { traefik.http.routers.api.rule: "Host(`api.example.com`)" }
"#;

const REGISTRY: &str = r#"
registry: { address: "127.0.0.1:8500", dns: "127.0.0.1:8600", exposedByDefault: false }
"#;

/// Why the name isn't resolved, as `lb status` lists it.
fn unresolved(daemon: &Daemon<'_>) -> Result<Option<String>> {
    let skipped = provider(daemon, "dns")?["skipped"].as_array().cloned().unwrap_or_default();
    let found = skipped.into_iter().find(|one| one["reason"] == "unresolved");
    Ok(found.and_then(|one| one["detail"].as_str().map(str::to_owned)))
}

#[test]
fn what_the_registrys_dns_says_is_routed() -> Result<()> {
    let ns = Namespace::new("names")?;
    let a = Origin::start(&ns, "127.0.0.1:9001".parse()?, "a")?;
    let _b = Origin::start(&ns, "127.0.0.1:9002".parse()?, "b")?;
    let mut registry = Daemon::start(&ns, REGISTRY)?;
    let mut edge = Daemon::start(&ns, EDGE)?;
    until("there is no such name yet", || {
        Ok(unresolved(&edge)?.is_some_and(|why| why.contains("no servers in DNS")))
    })?;
    assert_eq!(visit(&ns)?.0, 404);
    register(&ns, "api-1", 9001, &[])?;
    until("the first is routed", || Ok(visit(&ns)? == (200, "a".to_owned())))?;
    register(&ns, "api-2", 9002, &[])?;
    until("the second too", || Ok(visit(&ns)?.1 == "b"))?;
    a.set_health(503);
    until("the first is out", || {
        let seen: Vec<_> = (0..10).map(|_| visit(&ns)).collect::<Result<_>>()?;
        Ok(seen.iter().all(|seen| *seen == (200, "b".to_owned())))
    })?;

    // Away: what answered last stays, over a restart of lb too.
    registry.crash()?;
    until("lb has noticed", || {
        Ok(unresolved(&edge)?.is_some_and(|why| why.contains("the last answer stays")))
    })?;
    assert_eq!(visit(&ns)?, (200, "b".to_owned()));
    ensure!(edge.terminate()?.success());
    edge.run(&[])?;
    until("what was kept serves", || Ok(visit(&ns)? == (200, "b".to_owned())))?;
    a.set_health(200);
    registry.run(&[])?;
    until("the first is back", || Ok(visit(&ns)?.1 == "a"))?;
    until("nothing is unresolved", || Ok(unresolved(&edge)?.is_none()))?;

    // The name is gone: the last answer stays, and is said to.
    ask(&ns, "PUT", "/v1/agent/service/deregister/api-1", "")?;
    ask(&ns, "PUT", "/v1/agent/service/deregister/api-2", "")?;
    until("the name is gone", || Ok(unresolved(&edge)?.is_some()))?;
    assert_eq!(visit(&ns)?.0, 200);
    Ok(())
}

#[test]
fn what_consuls_dns_says_is_routed() -> Result<()> {
    // Beside SRV the addresses alone, with the port that the configuration has.
    let more = r#"
      plain: { name: plain.service.consul, type: A, port: 9003, labels: [ "traefik.http.routers.plain.rule=Path(`/plain`)" ] }
"#;
    let ns = Namespace::new("consuldns")?;
    let _a = Origin::start(&ns, "127.0.0.1:9001".parse()?, "a")?;
    let _b = Origin::start(&ns, "127.0.0.1:9002".parse()?, "b")?;
    let _c = Origin::start(&ns, "127.0.0.1:9003".parse()?, "c")?;
    let mut consul = Consul::start(&ns)?;
    let edge = Daemon::start(&ns, &format!("{EDGE}{more}"))?;
    let body = |id: &str, name: &str, port: u16, weight: u16| {
        format!(
            r#"{{"ID":"{id}","Name":"{name}","Address":"127.0.0.1","Port":{port},"Weights":{{"Passing":{weight},"Warning":1}}}}"#
        )
    };
    for body in
        [body("api-1", "api", 9001, 3), body("api-2", "api", 9002, 1), body("p", "plain", 1, 1)]
    {
        ask(&ns, "PUT", "/v1/agent/service/register", &body)?;
    }
    until("both serve, by their weights", || {
        let rows = edge.json(&["backends", "api@dns"]).unwrap_or_default();
        let weights: Vec<_> =
            rows.as_array().into_iter().flatten().map(|row| &row["weight"]).collect();
        Ok(weights == [3, 1])
    })?;
    let seen: Vec<String> = (0..40).map(|_| Ok(visit(&ns)?.1)).collect::<Result<_>>()?;
    // Each worker has a rotation of its own.
    let of_a = seen.iter().filter(|name| *name == "a").count();
    ensure!((24..=36).contains(&of_a), "{seen:?}");
    let explained = || edge.ok(&["explain", "http", "GET", "http://x.example:8080/plain"]);
    until("the other is routed", || Ok(explained()?.contains("plain@dns")))?;
    ensure!(edge.ok(&["backends", "plain@dns"])?.contains("127.0.0.1:9003"));

    consul.kill()?;
    until("lb has noticed", || Ok(unresolved(&edge)?.is_some()))?;
    ensure!(visit(&ns)?.0 == 200);
    consul.run()?;
    ask(&ns, "PUT", "/v1/agent/service/deregister/api-1", "")?;
    until("only the second is there", || {
        let rows = edge.json(&["backends", "api@dns"])?;
        let up = rows.as_array().into_iter().flatten().filter(|row| row["weight"] != 0);
        Ok(up.map(|row| &row["address"]).collect::<Vec<_>>() == ["127.0.0.1:9002"])
    })?;
    Ok(())
}

/// Answers any SRV question with these (priority, port) at `127-0-0-1.example`, whose address is 127.0.0.1.
struct Ranked(Arc<AtomicBool>, Option<std::thread::JoinHandle<()>>);

impl Ranked {
    fn start(ns: &Namespace, servers: &'static [(u16, u16)]) -> Result<Self> {
        let socket = ns.run(|| UdpSocket::bind("127.0.0.1:8600"))?;
        socket.set_read_timeout(Some(Duration::from_millis(50)))?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut buffer = [0; 1500];
            while !stopped.load(Relaxed) {
                let Ok((length, from)) = socket.recv_from(&mut buffer) else { continue };
                if let Some(reply) = reply(&buffer[..length], servers) {
                    let _lost = socket.send_to(&reply, from);
                }
            }
        });
        Ok(Self(stop, Some(thread)))
    }
}

impl Drop for Ranked {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
        let _ended = self.1.take().map(std::thread::JoinHandle::join);
    }
}

/// RFC 1035 §4.1 and RFC 2782.
fn reply(query: &[u8], servers: &[(u16, u16)]) -> Option<Vec<u8>> {
    let name = query.get(12..)?.iter().position(|&byte| byte == 0)? + 1;
    let question = query.get(12..12 + name + 4)?;
    let kind = question[name + 1];
    let records: Vec<Vec<u8>> = match kind {
        33 => servers
            .iter()
            .map(|(priority, port)| {
                let mut data = [priority.to_be_bytes(), [0, 1], port.to_be_bytes()].concat();
                data.extend(b"\x04host\x07example\0");
                data
            })
            .collect(),
        1 => vec![vec![127, 0, 0, 1]],
        _ => Vec::new(),
    };
    let mut reply = query.get(..2)?.to_vec();
    reply.extend([0x84, 0, 0, 1, 0, u8::try_from(records.len()).ok()?, 0, 0, 0, 0]);
    reply.extend(question);
    for data in records {
        // The question's name, IN, one second.
        reply.extend([0xc0, 12, 0, kind, 0, 1, 0, 0, 0, 1, 0, u8::try_from(data.len()).ok()?]);
        reply.extend(data);
    }
    Some(reply)
}

#[test]
fn the_next_priority_stands_in_while_the_first_is_down() -> Result<()> {
    let ns = Namespace::new("ranks")?;
    let a = Origin::start(&ns, "127.0.0.1:9001".parse()?, "a")?;
    let b = Origin::start(&ns, "127.0.0.1:9002".parse()?, "b")?;
    let _c = Origin::start(&ns, "127.0.0.1:9003".parse()?, "c")?;
    let _zone = Ranked::start(&ns, &[(10, 9001), (20, 9002), (30, 9003)])?;
    let check = "traefik.http.services.api.loadbalancer.healthcheck";
    let config = EDGE.replace(
        "labels: {",
        &format!("labels: {{ {check}.path: /health, {check}.interval: 100ms, {check}.rise: 1,"),
    );
    let _edge = Daemon::start(&ns, &config)?;
    let serves = |name: &str| until(name, || Ok(visit(&ns)? == (200, name.to_owned())));
    serves("a")?;
    a.set_health(503);
    serves("b")?;
    b.set_health(503);
    serves("c")?;
    a.set_health(200);
    serves("a")?;
    Ok(())
}
