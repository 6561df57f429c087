//! HTTP and TCP at one entry point.

use anyhow::Result;
use lb_tests::{Daemon, daemon::binary, server::echo};

use super::{
    certs::{Cert, client, open},
    kit::{World, local, origin_at, service},
};

/// The name in the ClientHello decides: TCP routers take theirs, HTTP what is left.
#[test]
fn names_part_tcp_from_http() -> Result<()> {
    let world = World::new(1)?;
    let _echo = echo::start(&world.ns, origin_at(1), "echo")?;
    let text = format!(
        r#"
entryPoints: {{ websecure: {{ address: "127.0.0.1:8443" }} }}
http:
  routers:
    all: {{ rule: "PathPrefix(`/`)", service: app, tls: true }}
  services:
{}
tcp:
  routers:
    db: {{ entryPoints: [websecure], rule: "HostSNI(`db.example`)", service: db, tls: {{}} }}
  services:
    db: {{ loadBalancer: {{ servers: [ {{ address: "{}" }} ] }} }}
tls: {{ certificates: [ {{ certFile: db.crt, keyFile: db.key }}, {{ certFile: web.crt, keyFile: web.key }} ] }}
"#,
        service("app", &[0], ""),
        origin_at(1)
    );
    let mut daemon = Daemon::prepare(&world.ns, &binary(), &text)?;
    let (db, web) = (Cert::new("db.example")?, Cert::new("web.example")?);
    db.write(daemon.folder(), "db")?;
    web.write(daemon.folder(), "web")?;
    daemon.run(&[])?;
    let trusting = client(&[&db, &web], None, &[])?;
    let (mut connection, shown) = open(&world, local(8443), &trusting, "db.example")?;
    assert_eq!(shown, db.der);
    assert_eq!(connection.bytes(5)?, b"echo\n");
    connection.send(b"neither HTTP nor anything")?;
    assert_eq!(connection.bytes(25)?, b"neither HTTP nor anything");
    let (mut connection, shown) = open(&world, local(8443), &trusting, "web.example")?;
    assert_eq!(shown, web.der);
    assert_eq!(connection.get("/", &[])?.brief(), (200, "a".to_owned()));
    Ok(())
}

/// On loopback the kernel path has no part: the proxy forwards what is for everybody.
#[test]
fn tcp_on_loopback_goes_through_the_proxy() -> Result<()> {
    let world = World::new(0)?;
    let _echo = echo::start(&world.ns, origin_at(1), "echo")?;
    let text = format!(
        r#"
entryPoints: {{ tcp: {{ address: "127.0.0.1:8080" }} }}
tcp:
  routers:
    all: {{ entryPoints: [tcp], rule: "HostSNI(`*`)", service: db }}
  services:
    db: {{ loadBalancer: {{ servers: [ {{ address: "{}" }} ] }} }}
"#,
        origin_at(1)
    );
    let _daemon = world.start(&text)?;
    world.ns.run(|| lb_tests::client::tcp::transfer(super::kit::WEB, 5_000_000, 5))?;
    Ok(())
}
