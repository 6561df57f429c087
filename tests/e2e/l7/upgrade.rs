//! WebSocket and whatever else a connection is upgraded to.

use std::{io, time::Duration};

use anyhow::Result;
use lb_tests::{
    Daemon,
    client::http1::{Connection, request},
    pattern,
};

use super::kit::{PATIENCE, World, app, service};

/// Asks for another protocol and reads the greeting behind the 101.
pub(super) fn open(world: &World, path: &str, protocol: &str) -> Result<Connection> {
    let mut connection = world.connect()?;
    let headers = [
        ("Connection", "Upgrade"),
        ("Upgrade", protocol),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    connection.send(&request("GET", path, &headers, b""))?;
    let head = connection.head()?;
    assert_eq!((head.status, head.header("upgrade")), (101, Some(protocol)), "{head:?}");
    assert!(head.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("upgrade")));
    assert_eq!(connection.bytes(6)?, b"hello\n");
    Ok(connection)
}

/// A masked text frame (RFC 6455 §5.2), as an origin that knows nothing of frames sends it back.
pub(super) fn frame(text: &[u8]) -> Vec<u8> {
    let mask = [1u8, 2, 3, 4];
    let masked = text.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask);
    [&[0x81, 0x80 | text.len() as u8][..], &mask, &masked.collect::<Vec<_>>()].concat()
}

pub(super) fn ping(connection: &mut Connection, bytes: &[u8]) -> Result<()> {
    connection.send(bytes)?;
    assert_eq!(connection.bytes(bytes.len())?, bytes);
    Ok(())
}

#[test]
fn a_websocket_passes_through() -> Result<()> {
    let world = World::new(1)?;
    let _daemon = world.start(&app(&[0], ""))?;
    let mut socket = open(&world, "/upgrade", "websocket")?;
    for n in 0..100u8 {
        ping(&mut socket, &frame(&[n; 100]))?;
    }
    Ok(())
}

#[test]
fn any_other_protocol_does_as_well() -> Result<()> {
    let world = World::new(1)?;
    let _daemon = world.start(&app(&[0], ""))?;
    let mut tunnel = open(&world, "/upgrade", "my-protocol/3")?;
    let sent = pattern::bytes(30_000, 3);
    for _ in 0..20 {
        ping(&mut tunnel, &sent)?;
    }
    Ok(())
}

#[test]
fn an_upgrade_that_the_server_declines_is_an_answer() -> Result<()> {
    let world = World::new(1)?;
    let _daemon = world.start(&app(&[0], ""))?;
    let mut connection = world.connect()?;
    let headers = [("Connection", "Upgrade"), ("Upgrade", "websocket")];
    assert_eq!(connection.get("/plain", &headers)?.brief(), (200, "a".to_owned()));
    assert_eq!(connection.get("/plain", &[])?.brief(), (200, "a".to_owned()));
    Ok(())
}

#[test]
fn h2c_is_never_upgraded_to() -> Result<()> {
    let world = World::new(1)?;
    let _daemon = world.start(&app(&[0], ""))?;
    let headers = [
        ("Connection", "Upgrade, HTTP2-Settings"),
        ("Upgrade", "h2c"),
        ("HTTP2-Settings", "AAMAAABkAARAAAAAAAIAAAAA"),
    ];
    let answer = world.connect()?.get("/head", &headers)?;
    assert_eq!(answer.status, 200);
    let seen = answer.text().to_ascii_lowercase();
    assert!(!seen.contains("upgrade") && !seen.contains("http2-settings"), "{seen}");
    Ok(())
}

#[test]
fn connect_is_refused() -> Result<()> {
    let world = World::new(1)?;
    let _daemon = world.start(&app(&[0], ""))?;
    let text = world.raw(b"CONNECT lb:443 HTTP/1.1\r\nHost: lb:443\r\n\r\n")?;
    assert!(text.starts_with("HTTP/1.1 405 "), "{text}");
    assert_eq!(world.origins[0].requests(), 0);
    Ok(())
}

/// Neither new routers nor other servers touch what is open.
#[test]
fn a_websocket_and_a_download_survive_reloads() -> Result<()> {
    let world = World::new(2)?;
    let daemon = world.start(&app(&[0], ""))?;
    let mut socket = open(&world, "/upgrade", "websocket")?;
    let mut download = world.connect()?;
    download.send(&request("GET", "/drip/60/50", &[], b""))?;
    assert_eq!(download.head()?.status, 200);
    for n in 0..20 {
        let mut text = app(if n % 2 == 0 { &[0, 1] } else { &[0] }, "");
        if n % 3 == 0 {
            text = text.replacen(
                "  services:\n",
                &format!("    r{n}: {{ rule: \"Path(`/{n}`)\", service: app }}\n  services:\n"),
                1,
            ) + &service(&format!("s{n}"), &[1], "");
        }
        daemon.configure(&text)?;
        daemon.ok(&["reload"])?;
        ping(&mut socket, &frame(&[n; 50]))?;
    }
    let mut lines = Vec::new();
    loop {
        let chunk = download.chunk()?;
        if chunk.is_empty() {
            break;
        }
        lines.extend(chunk);
    }
    let wanted: String = (0..60).map(|n| format!("{n}\n")).collect();
    assert_eq!(String::from_utf8(lines)?, wanted);
    ping(&mut socket, &frame(b"still here"))?;
    Ok(())
}

/// A server that is configured no more keeps its connections for the time to drain, and is
/// forgotten when they have ended.
#[test]
fn a_tunnel_to_a_removed_server_goes_on() -> Result<()> {
    let world = World::new(2)?;
    let drain = "drainTimeout: 5m";
    let daemon = world.start(&app(&[0], drain))?;
    let mut socket = open(&world, "/upgrade", "websocket")?;
    daemon.configure(&app(&[1], drain))?;
    daemon.ok(&["reload"])?;
    let known = |daemon: &Daemon<'_>| -> Result<usize> {
        let rows = daemon.json(&["backends"])?;
        Ok(rows.as_array().map_or(0, Vec::len))
    };
    // Those that have nothing to wait for are forgotten each second.
    for n in 0..30u8 {
        ping(&mut socket, &frame(&[n; 9]))?;
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(known(&daemon)?, 2);
    drop(socket);
    daemon.wait_for("it is forgotten", PATIENCE, |daemon| Ok(known(daemon)? == 1))
}

/// Once its server is gone and the time to drain is over, nobody would ever end it.
#[test]
fn a_tunnel_ends_with_its_server() -> Result<()> {
    let world = World::new(2)?;
    let drain = "drainTimeout: 100ms";
    let daemon = world.start(&app(&[0], drain))?;
    let mut socket = open(&world, "/upgrade", "websocket")?;
    daemon.configure(&app(&[0, 1], drain))?;
    daemon.ok(&["reload"])?;
    ping(&mut socket, &frame(b"still here"))?;
    daemon.configure(&app(&[1], drain))?;
    daemon.ok(&["reload"])?;
    let error = socket.bytes(1).expect_err("it goes on");
    let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
    assert_eq!(kind, Some(io::ErrorKind::ConnectionReset), "{error:#}");
    Ok(())
}
