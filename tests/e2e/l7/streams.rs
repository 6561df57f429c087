//! TCP by name without decrypting, UDP, and the PROXY protocol both ways.

use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::Arc,
    time::Duration,
};

use anyhow::Result;
use lb_tests::{
    Daemon,
    client::{
        http1::{Connection, request},
        udp::{Pinger, spread},
    },
    daemon::binary,
    server::{TcpServer, UdpEcho},
};

use super::{
    certs::{Cert, client, open},
    kit::{WEB, World, local, origin_at, service},
};

/// Whoever decrypts is behind the entry point: here another one of the same daemon.
#[test]
fn tls_passes_by_name_as_it_is() -> Result<()> {
    let world = World::new(1)?;
    let text = format!(
        r#"
entryPoints: {{ front: {{ address: "127.0.0.1:8444" }}, websecure: {{ address: "127.0.0.1:8443" }} }}
http:
  routers:
    all: {{ entryPoints: [websecure], rule: "PathPrefix(`/`)", service: app, tls: true }}
  services:
{}
tcp:
  routers:
    pass: {{ entryPoints: [front], rule: "HostSNI(`web.example`)", service: inner, tls: {{ passthrough: true }} }}
  services:
    inner: {{ loadBalancer: {{ servers: [ {{ address: "127.0.0.1:8443" }} ] }} }}
tls: {{ certificates: [ {{ certFile: web.crt, keyFile: web.key }} ] }}
"#,
        service("app", &[0], "")
    );
    let mut daemon = Daemon::prepare(&world.ns, &binary(), &text)?;
    let web = Cert::new("web.example")?;
    web.write(daemon.folder(), "web")?;
    daemon.run(&[])?;
    let trusting = client(&[&web], None, &[])?;
    let (mut connection, shown) = open(&world, local(8444), &trusting, "web.example")?;
    assert_eq!(shown, web.der);
    assert_eq!(connection.get("/", &[])?.brief(), (200, "a".to_owned()));
    assert!(open(&world, local(8444), &trusting, "other.example").is_err(), "nobody's name");
    Ok(())
}

#[test]
fn udp_sessions_keep_their_servers() -> Result<()> {
    let world = World::new(0)?;
    let _servers = [0, 1].map(|n| UdpEcho::start(&world.ns, origin_at(n), ["a", "b"][n]));
    let text = format!(
        r#"
entryPoints: {{ dns: {{ address: "127.0.0.1:5353/udp" }} }}
udp:
  routers: {{ dns: {{ entryPoints: [dns], service: dns }} }}
  services: {{ dns: {{ loadBalancer: {{ servers: [ {{ address: "{}" }}, {{ address: "{}" }} ] }} }} }}
"#,
        origin_at(0),
        origin_at(1)
    );
    let daemon = world.start(&text)?;
    let all = world.ns.run(|| spread(local(5353), 20))?;
    assert_eq!(all.values().sum::<u64>(), 20, "{all:?}");
    assert_eq!(all.len(), 2, "{all:?}");
    world.ns.run(|| -> Result<()> {
        let pinger = Pinger::new(local(5353))?;
        let first = pinger.ping(b"1")?;
        for _ in 0..20 {
            assert_eq!(pinger.ping(b"again")?, first);
            daemon.ok(&["reload"])?;
        }
        Ok(())
    })
}

#[test]
fn the_sender_of_a_proxy_header_is_believed_where_it_is_trusted() -> Result<()> {
    let world = World::new(1)?;
    let entry = |trusted: &str| {
        format!(
            "entryPoints:\n  web: {{ address: \"127.0.0.1:8080\", proxyProtocol: {{ trustedIPs: [\"{trusted}\"] }} }}\n\
             http:\n  routers:\n    all: {{ rule: \"PathPrefix(`/`)\", service: app }}\n  services:\n{}",
            service("app", &[0], "")
        )
    };
    let daemon = world.start(&entry("127.0.0.1/32"))?;
    let asked = request("GET", "/head", &[], b"");
    let seen = |header: &[u8]| -> Result<String> {
        let mut connection = world.connect()?;
        connection.send(&[header, &asked].concat())?;
        Ok(connection.answer("GET")?.text().to_ascii_lowercase())
    };
    let v1 = b"PROXY TCP4 192.0.2.7 198.51.100.1 4000 80\r\n";
    assert!(seen(v1)?.contains("x-forwarded-for: 192.0.2.7\r\n"));
    let mut v2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
    v2.extend([192, 0, 2, 8, 198, 51, 100, 1, 0x0f, 0xa0, 0, 80]);
    assert!(seen(&v2)?.contains("x-forwarded-for: 192.0.2.8\r\n"));
    // Of others it is the beginning of a request that is none.
    daemon.configure(&entry("10.0.0.0/8"))?;
    daemon.ok(&["reload"])?;
    assert!(world.raw(v1)?.starts_with("HTTP/1.1 400 "));
    Ok(())
}

#[test]
fn servers_are_told_who_connects() -> Result<()> {
    let world = World::new(0)?;
    let handler = |mut stream: TcpStream| {
        let mut header = [0; 28];
        let _ended = stream.read_exact(&mut header).and_then(|()| stream.write_all(&header));
    };
    let _server = TcpServer::start(&world.ns, origin_at(0), Arc::new(handler))?;
    let text = format!(
        r#"
entryPoints: {{ tcp: {{ address: "127.0.0.1:8080" }} }}
tcp:
  routers: {{ all: {{ entryPoints: [tcp], rule: "HostSNI(`*`)", service: db }} }}
  services: {{ db: {{ loadBalancer: {{ proxyProtocol: {{ version: 2 }}, servers: [ {{ address: "{}" }} ] }} }} }}
"#,
        origin_at(0)
    );
    let _daemon = world.start(&text)?;
    let stream = world.ns.run(|| TcpStream::connect(WEB))?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    let own = stream.local_addr()?.port().to_be_bytes();
    let header = Connection::over(stream).bytes(28)?;
    assert_eq!(&header[..12], b"\r\n\r\n\0\r\nQUIT\n");
    assert_eq!((header[12], header[13], &header[14..16]), (0x21, 0x11, &[0, 12][..]));
    assert_eq!(&header[16..24], &[127, 0, 0, 1, 127, 0, 0, 1]);
    assert_eq!((&header[24..26], &header[26..]), (&own[..], &8080u16.to_be_bytes()[..]));
    Ok(())
}
