//! Which server gets a request: weights, stickiness, load, the client's address, bounds.

use std::{collections::BTreeMap, net::SocketAddr};

use anyhow::{Context, Result};
use lb_tests::client::http1::{Connection, request};
use socket2::{Domain, Socket, Type};

use super::kit::{PATIENCE, WEB, World, app, origin_at};

/// Requests over one connection, by origin.
fn spread(world: &World, count: usize) -> Result<BTreeMap<String, u64>> {
    let mut connection = world.connect()?;
    let mut spread = BTreeMap::new();
    for _ in 0..count {
        let answer = connection.get("/", &[])?;
        let origin = answer.header("x-server").with_context(|| format!("{answer:?}"))?;
        *spread.entry(origin.to_owned()).or_default() += 1;
    }
    Ok(spread)
}

fn counts<const N: usize>(wanted: [(&str, u64); N]) -> BTreeMap<String, u64> {
    wanted.into_iter().map(|(name, count)| (name.to_owned(), count)).collect()
}

/// `app` with a weight for each origin.
fn weighted(weights: &[u32]) -> String {
    let numbers: Vec<usize> = (0..weights.len()).collect();
    let mut text = app(&numbers, "");
    for (n, weight) in weights.iter().enumerate() {
        let url = format!("http://{}\"", origin_at(n));
        text = text.replace(&url, &format!("{url}, weight: {weight}"));
    }
    text
}

#[test]
fn taking_turns_is_exact() -> Result<()> {
    let world = World::new(3)?;
    let _daemon = world.start(&app(&[0, 1, 2], ""))?;
    assert_eq!(spread(&world, 300)?, counts([("a", 100), ("b", 100), ("c", 100)]));
    Ok(())
}

#[test]
fn weights_are_exact() -> Result<()> {
    let world = World::new(3)?;
    let _daemon = world.start(&weighted(&[5, 3, 0]))?;
    assert_eq!(spread(&world, 160)?, counts([("a", 100), ("b", 60)]));
    Ok(())
}

#[test]
fn weights_and_drains_change_at_run_time() -> Result<()> {
    let world = World::new(2)?;
    let daemon = world.start(&app(&[0, 1], ""))?;
    let (a, b) = (origin_at(0).to_string(), origin_at(1).to_string());
    daemon.ok(&["weight", "app", &a, "3"])?;
    assert_eq!(spread(&world, 80)?, counts([("a", 60), ("b", 20)]));
    daemon.ok(&["drain", "app", &a])?;
    assert_eq!(spread(&world, 20)?, counts([("b", 20)]));
    daemon.ok(&["undrain", "app", &a])?;
    assert_eq!(spread(&world, 80)?, counts([("a", 60), ("b", 20)]));
    daemon.ok(&["weight", "app", &a, "--reset"])?;
    assert_eq!(spread(&world, 80)?, counts([("a", 40), ("b", 40)]));
    daemon.ok(&["drain", "app", &a])?;
    daemon.ok(&["drain", "app", &b])?;
    assert_eq!(world.get("/")?.status, 503);
    Ok(())
}

#[test]
fn a_cookie_keeps_a_client_at_its_server() -> Result<()> {
    let world = World::new(3)?;
    let cookie = "sticky: { cookie: { name: server_id, secure: true, httpOnly: true, sameSite: lax, maxAge: 60 } }";
    let daemon = world.start(&app(&[0, 1, 2], cookie))?;
    let mut seen = std::collections::BTreeSet::new();
    let mut last = (String::new(), String::new());
    for _ in 0..6 {
        let first = world.get("/")?;
        let set = first.header("set-cookie").context("no cookie")?.to_owned();
        let mut parts = set.split("; ");
        let pair = parts.next().unwrap_or_default().to_owned();
        assert!(pair.starts_with("server_id="), "{set}");
        let rest: Vec<String> = parts.map(str::to_ascii_lowercase).collect();
        for wanted in ["secure", "httponly", "samesite=lax", "max-age=60", "path=/"] {
            assert!(rest.iter().any(|part| part == wanted), "{wanted} in {set}");
        }
        let origin = first.header("x-server").context("no name")?.to_owned();
        for _ in 0..5 {
            let again = world.connect()?.get("/", &[("Cookie", &format!("x=1; {pair}"))])?;
            assert_eq!(again.header("x-server"), Some(origin.as_str()), "{pair}");
        }
        seen.insert(origin.clone());
        last = (origin, pair);
    }
    assert_eq!(seen.len(), 3);
    // A server that is drained keeps those who are its own; a cookie of nobody's is set anew.
    let (origin, pair) = last;
    let number = usize::from(origin.as_bytes()[0] - b'a');
    daemon.ok(&["drain", "app", &origin_at(number).to_string()])?;
    for _ in 0..6 {
        assert_ne!(world.get("/")?.header("x-server"), Some(origin.as_str()));
    }
    assert_eq!(world.connect()?.get("/", &[("Cookie", &pair)])?.status, 200);
    let answer = world.connect()?.get("/", &[("Cookie", "server_id=unknown")])?;
    assert!(answer.header("set-cookie").is_some());
    Ok(())
}

#[test]
fn the_least_loaded_server_is_chosen() -> Result<()> {
    let world = World::new(2)?;
    let _daemon = world.start(&app(&[0, 1], "algorithm: leastConn"))?;
    let mut busy = world.connect()?;
    busy.send(&request("GET", "/slow/4000", &[], b""))?;
    while world.origins.iter().all(|origin| origin.requests() == 0) {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let other = if world.origins[0].requests() == 1 { "b" } else { "a" };
    assert_eq!(spread(&world, 20)?, counts([(other, 20)]));
    assert_eq!(busy.answer("GET")?.status, 200);
    Ok(())
}

/// A connection from an address of the client's choice.
fn connect_from(world: &World, source: [u8; 4]) -> Result<Connection> {
    let stream = world.ns.run(|| -> Result<std::net::TcpStream> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.bind(&SocketAddr::from((source, 0)).into())?;
        socket.connect_timeout(&WEB.into(), PATIENCE)?;
        Ok(socket.into())
    })?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(Connection::over(stream))
}

#[test]
fn a_client_address_stays_at_its_server() -> Result<()> {
    let world = World::new(3)?;
    let _daemon = world.start(&app(&[0, 1, 2], "algorithm: sourceHash"))?;
    let mut seen = BTreeMap::<String, u64>::new();
    for n in 1..=40 {
        let mut chosen = Vec::new();
        for _ in 0..3 {
            let answer = connect_from(&world, [127, 0, 7, n])?.get("/", &[])?;
            chosen.push(answer.text());
        }
        assert!(chosen.iter().all(|other| *other == chosen[0]), "127.0.7.{n}: {chosen:?}");
        *seen.entry(chosen[0].clone()).or_default() += 1;
    }
    assert_eq!(seen.len(), 3, "{seen:?}");
    Ok(())
}

/// `app` of one server with a bound, and what waits for it.
fn bounded(queue: &str) -> String {
    let url = format!("http://{}\"", origin_at(0));
    app(&[0], queue).replace(&url, &format!("{url}, maxConnections: 1"))
}

#[test]
fn requests_beyond_the_bound_wait_for_their_turn() -> Result<()> {
    let world = World::new(1)?;
    let _daemon = world.start(&bounded("queue: 10, queueTimeout: 60s"))?;
    let mut waiting = Vec::new();
    for _ in 0..5 {
        let mut connection = world.connect()?;
        connection.send(&request("GET", "/slow/200", &[], b""))?;
        waiting.push(connection);
    }
    for connection in &mut waiting {
        assert_eq!(connection.answer("GET")?.brief(), (200, "a".to_owned()));
    }
    assert_eq!(world.origins[0].requests(), 5);
    Ok(())
}

#[test]
fn a_full_queue_is_503() -> Result<()> {
    let world = World::new(1)?;
    let _daemon = world.start(&bounded("queue: 0"))?;
    let mut busy = world.connect()?;
    busy.send(&request("GET", "/slow/3000", &[], b""))?;
    while world.origins[0].requests() == 0 {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert_eq!(world.get("/")?.status, 503);
    assert_eq!(busy.answer("GET")?.status, 200);
    // The place is free once the proxy has seen the end of the answer, which a client may do before it.
    let deadline = std::time::Instant::now() + PATIENCE;
    while world.get("/")?.status != 200 {
        assert!(std::time::Instant::now() < deadline, "the place doesn't come back");
    }
    Ok(())
}
