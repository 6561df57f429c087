//! Bounds on what a client may send, and on how long it may take.

use std::time::Instant;

use anyhow::{Context, Result};
use lb_tests::client::http1::{Connection, request};

use super::{
    kit::{PATIENCE, WEB, World, app},
    watch::{FRESH, fresh, memory, p99},
};

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

/// Clients that send a few bytes now and then take nobody's place, and little memory, which others get
/// after them.
#[test]
fn slow_clients_leave_a_fresh_one_served() -> Result<()> {
    const SLOW: usize = 5000;
    /// Bytes of the daemon's for each: a buffer for its head, and what a connection is.
    const EACH: u64 = 8 * 1024;
    let world = World::new(1)?;
    let timeouts = "transport: { respondingTimeouts: { headTimeout: 300s } }";
    let daemon = world.start(&with(timeouts))?;
    fresh(&world, 20)?;
    let before = memory(&daemon)?;
    let mut after = Vec::new();
    for wave in 0..3 {
        let open = || (0..SLOW).map(|_| Connection::open(WEB)).collect::<Result<Vec<_>>>();
        let mut slow = world.ns.run(open)?;
        for connection in &mut slow {
            connection.send(b"GET /slow HTTP/1.1\r\nHost: lb\r\n")?;
        }
        let served = world.origins[0].requests();
        let mut took = Vec::new();
        for round in 0..3 {
            for (n, connection) in slow.iter_mut().enumerate() {
                connection.send(format!("X-{round}: {n}\r\n").as_bytes())?;
                if n % 100 == 0 {
                    took.extend(fresh(&world, 1)?);
                }
            }
        }
        took.sort();
        let most = memory(&daemon)?;
        let each = (most.saturating_sub(before)) * 1024 / SLOW as u64;
        println!("wave {wave}: p99 of fresh clients {:?}, {each} bytes a slow one", p99(&took));
        assert!(p99(&took) < FRESH, "fresh clients waited: {:?}", p99(&took));
        assert!(each < EACH, "{each} bytes a slow client");
        assert_eq!(world.origins[0].requests() - served, 150, "half a request went on");
        after.push(most);
        // They are served once they are whole.
        for connection in slow.iter_mut().take(200) {
            connection.send(b"\r\n")?;
            assert_eq!(connection.answer("GET")?.brief(), (200, "a".to_owned()));
        }
    }
    let (first, last) = (after[0], after[2]);
    assert!(last < first + (first - before) / 4 + 4096, "memory doesn't return: {after:?} KiB");
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
