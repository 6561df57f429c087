//! lb's own registry: the lines that people know from Consul, and what comes of them.

use std::net::UdpSocket;

use anyhow::{Context, Result, ensure};
use lb_tests::{Daemon, Namespace, engine, server::Origin};

use super::agent::{ask, bash, get, register, until, visit};

const CONFIG: &str = r#"
entryPoints:
  web: { address: "127.0.0.1:8080" }
registry: { address: "127.0.0.1:8500", dns: "127.0.0.1:8600", exposedByDefault: false }
"#;

/// As the chapter on networking has them.
const LINES: &str = r#"
curl -X PUT http://consul:8500/v1/agent/service/register \
  -d '{
    "ID": "api-1",
    "Name": "api",
    "Tags": ["production", "v2"],
    "Address": "10.0.1.5",
    "Port": 8080,
    "Check": {
      "TTL": "30s",
      "DeregisterCriticalServiceAfter": "90s"
    }
  }'
curl -X PUT http://consul:8500/v1/agent/check/pass/service:api-1
curl -X PUT http://consul:8500/v1/kv/config/database/host -d 'postgres.example.com'
curl -X PUT http://consul:8500/v1/kv/config/database/port -d '5432'
curl -X PUT http://consul:8500/v1/kv/config/app -d '{
  "debug": false,
  "max_connections": 100,
  "timeout": 30
}'
"#;

/// Everything that a client may have seen.
fn seen(ns: &Namespace) -> Result<String> {
    bash(
        ns,
        r#"
curl http://consul:8500/v1/agent/services
curl http://consul:8500/v1/agent/checks
curl http://consul-server:8500/v1/health/service/api?passing
curl http://consul:8500/v1/kv/config/database/host?raw
curl http://consul:8500/v1/kv/config/database?recurse
curl "http://consul:8500/v1/kv/config/app?wait=1s&index=1"
"#,
    )
}

#[test]
fn the_chapters_lines_work_and_survive_a_kill() -> Result<()> {
    let ns = Namespace::new("registry")?;
    let mut daemon = Daemon::start(&ns, CONFIG)?;
    assert_eq!(bash(&ns, LINES)?, "truetruetrue");
    let before = seen(&ns)?;
    for part in ["api-1", "production", "10.0.1.5", "passing", "postgres.example.com"] {
        ensure!(before.contains(part), "no {part}: {before}");
    }
    daemon.crash()?;
    daemon.run(&[])?;
    assert_eq!(seen(&ns)?, before);

    // DNS: dig @consul-server -p 8600 api.service.consul SRV
    let answer = dns(&ns, "api.service.consul", 33)?;
    let target = b"\x080a000105\x04addr";
    ensure!(answer.windows(target.len()).any(|part| part == target), "{answer:?}");

    let status = daemon.ok(&["status"])?;
    ensure!(status.contains("one host only"), "{status}");
    let services = daemon.ok(&["registry", "services"])?;
    ensure!(services.contains("10.0.1.5:8080") && services.contains("passing"), "{services}");
    let export = daemon.json(&["registry", "export"])?;
    let service = &export["services"][0];
    assert_eq!((&service["id"], &service["checks"][0]["ttl"]), (&"api-1".into(), &"30s".into()));

    // A torn last record: cut off, and said so.
    let pid = daemon.pid();
    daemon.crash()?;
    let log = format!("/var/lib/lb/{}/registry.log", daemon.instance);
    let whole = std::fs::metadata(&log)?.len();
    bash(&ns, &format!("printf '01234567 {{\"i\":99' >> {log}"))?;
    daemon.run(&[])?;
    ensure!(daemon.pid() != pid);
    assert_eq!(seen(&ns)?, before);
    let status = daemon.ok(&["status"])?;
    ensure!(status.contains("never acknowledged are cut off"), "{status}");
    assert_eq!(std::fs::metadata(&log)?.len(), whole);
    Ok(())
}

/// A client library of Consul's, which knows nothing of lb.
const CLIENT: &str = r#"
import consul, threading
c = consul.Consul(host="127.0.0.1", port=8500)
assert c.status.leader()
assert c.agent.service.register("db", service_id="db-1", address="10.0.1.9", port=5432,
    tags=["primary"], check=consul.Check.ttl("30s"))
index, nodes = c.health.service("db", passing=True)
assert nodes == [], nodes
assert c.agent.check.ttl_pass("service:db-1", "fine")
index, nodes = c.health.service("db", passing=True)
assert nodes[0]["Service"]["Address"] == "10.0.1.9", nodes
assert nodes[0]["Service"]["Tags"] == ["primary"], nodes
assert "db" in c.catalog.services()[1]
assert c.catalog.service("db")[1][0]["ServicePort"] == 5432
assert c.agent.services()["db-1"]["Port"] == 5432
assert c.kv.put("a/b", "one", flags=5)
index, pair = c.kv.get("a/b")
assert (pair["Value"], pair["Flags"]) == (b"one", 5), pair
assert c.kv.put("a/b", "two", cas=0) is False
assert c.kv.put("a/b", "two", cas=pair["ModifyIndex"]) is True
index, pair = c.kv.get("a/b")
threading.Timer(0.2, lambda: consul.Consul(host="127.0.0.1", port=8500).kv.put("a/b", "three")).start()
index, pair = c.kv.get("a/b", index=index, wait="30s")
assert pair["Value"] == b"three", pair
assert c.kv.get("a/", keys=True)[1] == ["a/b"]
assert c.kv.delete("a", recurse=True)
assert c.kv.get("a/b")[1] is None
assert c.agent.service.deregister("db-1")
assert c.health.service("db")[1] == []
print("all held")
"#;

#[test]
fn a_client_library_works_as_with_consul() -> Result<()> {
    let ns = Namespace::new("client")?;
    let _daemon = Daemon::start(&ns, CONFIG)?;
    let mut python = std::process::Command::new("python3");
    python.args(["-c", CLIENT]).env("PYTHONPATH", engine::part("py-consul-1"));
    let output = ns.run(|| python.output())?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "all held\n", "{stderr}");
    Ok(())
}

/// One question over UDP; the answer's bytes.
fn dns(ns: &Namespace, name: &str, kind: u8) -> Result<Vec<u8>> {
    let mut question = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0".to_vec();
    for label in name.split('.') {
        question.push(u8::try_from(label.len())?);
        question.extend_from_slice(label.as_bytes());
    }
    question.extend_from_slice(&[0, 0, kind, 0, 1]);
    let socket = ns.run(|| UdpSocket::bind("127.0.0.1:0"))?;
    socket.set_read_timeout(Some(super::agent::PATIENCE))?;
    socket.send_to(&question, "127.0.0.1:8600")?;
    let mut answer = vec![0; 2048];
    let length = socket.recv(&mut answer)?;
    answer.truncate(length);
    Ok(answer)
}

#[test]
fn what_registers_is_routed_and_what_fails_goes() -> Result<()> {
    const TAGS: &[&str] =
        &["traefik.enable=true", "traefik.http.routers.api.rule=Host(`api.example.com`)"];
    let ns = Namespace::new("routed")?;
    let a = Origin::start(&ns, "127.0.0.1:9001".parse()?, "a")?;
    let _b = Origin::start(&ns, "127.0.0.1:9002".parse()?, "b")?;
    let daemon = Daemon::start(&ns, CONFIG)?;
    assert_eq!(visit(&ns)?.0, 404);
    register(&ns, "api-1", 9001, TAGS)?;
    until("the first is routed", || Ok(visit(&ns)? == (200, "a".to_owned())))?;
    register(&ns, "api-2", 9002, TAGS)?;
    until("the second too", || Ok(visit(&ns)?.1 == "b"))?;

    a.set_health(503);
    until("the first is critical", || {
        let checks = get(&ns, "/v1/agent/checks")?;
        Ok(checks["service:api-1"]["Status"] == "critical")
    })?;
    until("it serves no more", || {
        let rows = daemon.json(&["backends"])?;
        let rows = rows.as_array().context("rows")?;
        Ok(rows.iter().all(|row| row["address"] != "127.0.0.1:9001" || row["state"] == "draining"))
    })?;
    for _ in 0..20 {
        assert_eq!(visit(&ns)?, (200, "b".to_owned()));
    }
    let status = daemon.ok(&["-o", "json", "status"])?;
    ensure!(status.contains("unhealthy"), "{status}");

    // It stays through a crash: no visitor finds nothing.
    let mut daemon = daemon;
    daemon.crash()?;
    daemon.run(&[])?;
    until("b is routed again", || Ok(visit(&ns)? == (200, "b".to_owned())))?;

    ask(&ns, "PUT", "/v1/agent/service/deregister/api-2", "")?;
    until("nobody is there", || Ok(visit(&ns)?.0 == 404))?;
    Ok(())
}
