//! Bounds on what a client may send, and on how long it may take.

use std::time::Instant;

use anyhow::{Context, Result};
use lb_tests::client::http1::{Connection, request};

use super::kit::{PATIENCE, World, app};

/// `app` with more keys of the entry point.
fn with(more: &str) -> String {
    app(&[0], "").replace("127.0.0.1:8080\" }", &format!("127.0.0.1:8080\", {more} }}"))
}

fn status_of(text: &str) -> Result<u16> {
    let status = text.split(' ').nth(1).and_then(|word| word.parse().ok());
    status.with_context(|| format!("no status in {text:?}"))
}

#[test]
fn heads_have_a_bound() -> Result<()> {
    let world = World::new(1)?;
    let _daemon = world.start(&with("http: { maxHeaderBytes: 4096, maxHeaders: 20 }"))?;
    let long = "x".repeat(5000);
    let text = world.raw(format!("GET / HTTP/1.1\r\nHost: lb\r\nX: {long}\r\n\r\n").as_bytes())?;
    assert_eq!(status_of(&text)?, 431, "{text}");
    let many = "X: y\r\n".repeat(30);
    let text = world.raw(format!("GET / HTTP/1.1\r\nHost: lb\r\n{many}\r\n").as_bytes())?;
    assert_eq!(status_of(&text)?, 431, "{text}");
    let text = world.raw(format!("GET /{long} HTTP/1.1\r\nHost: lb\r\n\r\n").as_bytes())?;
    assert_eq!(status_of(&text)?, 414, "{text}");
    assert_eq!(world.origins[0].requests(), 0);
    let below = "x".repeat(3000);
    assert_eq!(world.connect()?.get("/", &[("X", &below)])?.status, 200);
    Ok(())
}

#[test]
fn bodies_have_a_bound_where_buffered() -> Result<()> {
    let world = World::new(1)?;
    let config = app(&[0], "").replace("service: app }", "service: app, middlewares: [small] }")
        + "  middlewares:\n    small: { buffering: { maxRequestBodyBytes: 1000 } }\n";
    let _daemon = world.start(&config)?;
    let answer = world.connect()?.ask("POST", "/x", &[], &[b'x'; 1001])?;
    assert_eq!(answer.status, 413, "{answer:?}");
    assert_eq!(world.origins[0].requests(), 0);
    let answer = world.connect()?.ask("POST", "/echo", &[], &[b'x'; 1000])?;
    assert_eq!((answer.status, answer.body.len()), (200, 1000));
    Ok(())
}

#[test]
fn a_head_that_doesnt_come_is_408() -> Result<()> {
    let world = World::new(1)?;
    let timeouts = "transport: { respondingTimeouts: { headTimeout: 500ms, idleTimeout: 500ms } }";
    let _daemon = world.start(&with(timeouts))?;
    let text = world.raw(b"GET / HTTP/1.1\r\nHost: lb\r\nX-Slow")?;
    assert_eq!(status_of(&text)?, 408, "{text}");
    // Silence between requests is nobody's fault: the connection ends without a word.
    let mut connection = world.connect()?;
    assert_eq!(connection.get("/", &[])?.status, 200);
    assert!(connection.rest()?.is_empty());
    assert!(world.raw(b"")?.is_empty());
    Ok(())
}

#[test]
fn a_body_that_doesnt_come_is_408() -> Result<()> {
    let world = World::new(1)?;
    let timeouts = "transport: { respondingTimeouts: { readTimeout: 500ms } }";
    let _daemon = world.start(&with(timeouts))?;
    let text = world.raw(b"POST /sink/9 HTTP/1.1\r\nHost: lb\r\nContent-Length: 9\r\n\r\nhalf")?;
    assert_eq!(status_of(&text)?, 408, "{text}");
    Ok(())
}

/// Clients that send a byte now and then take nobody's place.
#[test]
fn slow_clients_leave_a_fresh_one_served() -> Result<()> {
    let world = World::new(1)?;
    let timeouts = "transport: { respondingTimeouts: { headTimeout: 60s } }";
    let daemon = world.start(&with(timeouts))?;
    let mut slow: Vec<Connection> = (0..500).map(|_| world.connect()).collect::<Result<_>>()?;
    for connection in &mut slow {
        connection.send(b"GET /slow HTTP/1.1\r\nHost: lb\r\n")?;
    }
    for round in 0..3 {
        for (n, connection) in slow.iter_mut().enumerate() {
            connection.send(format!("X-{round}: {n}\r\n").as_bytes())?;
        }
        for _ in 0..20 {
            assert_eq!(world.get("/")?.brief(), (200, "a".to_owned()));
        }
    }
    assert_eq!(world.origins[0].requests(), 60, "half a request went on");
    // They are served once they are whole.
    for connection in &mut slow {
        connection.send(b"\r\n")?;
        assert_eq!(connection.answer("GET")?.brief(), (200, "a".to_owned()));
    }
    drop(slow);
    daemon.ok(&["status"])?;
    Ok(())
}

#[test]
fn connections_have_a_bound() -> Result<()> {
    let world = World::new(1)?;
    let _daemon = world.start(&with("transport: { maxConnections: 3 }"))?;
    let mut kept = Vec::new();
    for _ in 0..3 {
        let mut connection = world.connect()?;
        assert_eq!(connection.get("/", &[])?.status, 200);
        kept.push(connection);
    }
    let refused = world.connect().and_then(|mut connection| connection.get("/", &[]));
    assert!(refused.is_err() || refused.as_ref().is_ok_and(|a| a.status == 503), "{refused:?}");
    drop(kept);
    let deadline = Instant::now() + PATIENCE;
    while world.get("/").is_err() {
        assert!(Instant::now() < deadline, "places don't come back");
    }
    Ok(())
}

#[test]
fn a_connection_serves_so_many_requests_and_no_more() -> Result<()> {
    let world = World::new(1)?;
    let _daemon = world.start(&with("transport: { keepAliveMaxRequests: 3 }"))?;
    let mut connection = world.connect()?;
    connection.send(&request("GET", "/", &[], b"").repeat(4))?;
    for n in 1..=3 {
        let answer = connection.answer("GET")?;
        let is_last = answer.header("connection") == Some("close");
        assert_eq!((answer.status, is_last), (200, n == 3));
    }
    assert!(connection.rest()?.is_empty());
    Ok(())
}
