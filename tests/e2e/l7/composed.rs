//! Services made of services, and servers that speak something else.

use std::time::Instant;

use anyhow::{Result, ensure};
use lb_tests::{Daemon, client::http2::PREFACE, daemon::binary, pattern, server::TcpServer};

use super::{
    certs::Cert,
    kit::{ENTRY, PATIENCE, World, local, origin_at, service},
};

/// Router `all` to `service`, which is among these.
fn routed(name: &str, services: &[String]) -> String {
    let services = services.concat();
    format!(
        "{ENTRY}http:\n  routers:\n    all: {{ rule: \"PathPrefix(`/`)\", service: {name}, entryPoints: [web] }}\n  \
         services:\n{services}"
    )
}

#[test]
fn a_mirror_gets_what_the_service_gets() -> Result<()> {
    let world = World::new(2)?;
    let mirroring =
        "    both: { mirroring: { service: main, mirrors: [ { name: shadow, percent: 50 } ] } }\n";
    let services = [service("main", &[0], ""), service("shadow", &[1], ""), mirroring.to_owned()];
    let _daemon = world.start(&routed("both", &services))?;
    let mut connection = world.connect()?;
    for _ in 0..40 {
        assert_eq!(connection.get("/", &[])?.brief(), (200, "a".to_owned()));
    }
    let deadline = Instant::now() + PATIENCE;
    while world.origins[1].requests() < 20 {
        ensure!(Instant::now() < deadline, "{} of 20 were mirrored", world.origins[1].requests());
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    assert_eq!((world.origins[0].requests(), world.origins[1].requests()), (40, 20));
    Ok(())
}

#[test]
fn where_one_service_fails_the_other_serves() -> Result<()> {
    let world = World::new(2)?;
    let check = "healthCheck: { path: /health, interval: 100ms, timeout: 5s, fall: 1, rise: 1 }";
    let failing = "    safe: { failover: { service: main, fallback: spare } }\n";
    let services = [service("main", &[0], check), service("spare", &[1], ""), failing.to_owned()];
    let daemon = world.start(&routed("safe", &services))?;
    let served_by = |name: &str| {
        daemon.wait_for(&format!("{name} serves"), PATIENCE, |_| {
            Ok(world.get("/")?.brief() == (200, name.to_owned()))
        })
    };
    served_by("a")?;
    world.origins[0].set_health(500);
    served_by("b")?;
    world.origins[0].set_health(200);
    served_by("a")
}

/// A chain: HTTP/1.1 to `front`, HTTP/2 in the clear to `web`, HTTP/1.1 to the origin.
#[test]
fn servers_may_speak_http2_in_the_clear() -> Result<()> {
    let world = World::new(1)?;
    let front = "    next: { loadBalancer: { servers: [ { url: \"h2c://127.0.0.1:8080\" } ] } }\n";
    let text = routed("app", &[service("app", &[0], ""), front.to_owned()])
        .replace("entryPoints:\n", "entryPoints:\n  front: { address: \"127.0.0.1:8081\" }\n")
        .replace("  services:\n", "    front: { rule: \"PathPrefix(`/`)\", service: next, entryPoints: [front] }\n  services:\n");
    let daemon = world.start(&text)?;
    let mut connection = world.connect_to(local(8081))?;
    for n in 0..20u64 {
        let answer = connection.get(&format!("/big/{}", 50_000 + n), &[])?;
        assert_eq!(answer.body, pattern::bytes(50_000 + n as usize, 50_000 + n));
    }
    let body = pattern::bytes(300_000, 300_000);
    let answer = connection.ask("POST", "/sink/300000", &[], &body)?;
    assert_eq!(answer.brief(), (200, "same".to_owned()));
    drop(connection);

    // What such a server sees first is no request of HTTP/1.1.
    let (first, seen) = std::sync::mpsc::channel();
    let handler = move |mut stream: std::net::TcpStream| {
        let mut bytes = [0; 24];
        if std::io::Read::read_exact(&mut stream, &mut bytes).is_ok() {
            let _gone = first.send(bytes.to_vec());
        }
    };
    let _server = TcpServer::start(&world.ns, origin_at(5), std::sync::Arc::new(handler))?;
    daemon.configure(&text.replace("h2c://127.0.0.1:8080", &format!("h2c://{}", origin_at(5))))?;
    daemon.ok(&["reload"])?;
    assert_eq!(world.connect_to(local(8081))?.get("/", &[])?.status, 502);
    assert_eq!(seen.recv_timeout(PATIENCE)?, PREFACE);
    Ok(())
}

/// As above, by TLS; a server whose certificate isn't trusted is none.
#[test]
fn servers_may_speak_tls() -> Result<()> {
    let world = World::new(1)?;
    let text = format!(
        r#"
entryPoints: {{ web: {{ address: "127.0.0.1:8080" }}, inner: {{ address: "127.0.0.1:8443" }} }}
http:
  routers:
    all: {{ entryPoints: [web], rule: "PathPrefix(`/`)", service: next }}
    inner: {{ entryPoints: [inner], rule: "Host(`inner.example`)", service: app, tls: {{}} }}
  services:
{}    next: {{ loadBalancer: {{ passHostHeader: false, serversTransport: trusting, servers: [ {{ url: "https://127.0.0.1:8443" }} ] }} }}
  middlewares: {{}}
  serversTransports: {{ trusting: {{ serverName: inner.example, rootCAs: [ca.crt] }} }}
tls: {{ certificates: [ {{ certFile: inner.crt, keyFile: inner.key }} ] }}
"#,
        service("app", &[0], "")
    )
    .replace("Host(`inner.example`)", "PathPrefix(`/`)");
    let mut daemon = Daemon::prepare(&world.ns, &binary(), &text)?;
    let inner = Cert::new("inner.example")?;
    inner.write(daemon.folder(), "inner")?;
    inner.write(daemon.folder(), "ca")?;
    daemon.run(&[])?;
    let mut connection = world.connect()?;
    for n in 0..10u64 {
        let answer = connection.get(&format!("/big/{}", 60_000 + n), &[])?;
        assert_eq!(answer.body, pattern::bytes(60_000 + n as usize, 60_000 + n));
    }
    let answer = connection.get("/head", &[])?.text().to_ascii_lowercase();
    assert!(answer.contains("x-forwarded-proto: https"), "{answer}");

    Cert::new("inner.example")?.write(daemon.folder(), "other")?;
    daemon.configure(&text.replace("ca.crt", "other.crt"))?;
    daemon.ok(&["reload"])?;
    daemon.wait_for("the server is not trusted", PATIENCE, |_| Ok(world.get("/")?.status == 502))
}
