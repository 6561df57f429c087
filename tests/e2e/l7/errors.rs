//! What a client is answered where the server is missing, silent or wrong.

use anyhow::Result;
use lb_tests::client::http1::request;

use super::kit::{ENTRY, World, app, fixed, service};

#[test]
fn no_router_is_404() -> Result<()> {
    let world = World::new(1)?;
    let text = format!(
        "{ENTRY}http:\n  routers:\n    one: {{ rule: \"Path(`/one`)\", service: app }}\n  services:\n{}",
        service("app", &[0], "")
    );
    let _daemon = world.start(&text)?;
    assert_eq!(world.get("/two")?.brief(), (404, "404 page not found".to_owned()));
    assert_eq!(world.get("/one")?.status, 200);
    assert_eq!(world.origins[0].requests(), 1);
    Ok(())
}

#[test]
fn an_entry_point_without_routers_answers_404() -> Result<()> {
    let world = World::new(0)?;
    let _daemon = world.start(ENTRY)?;
    assert_eq!(world.get("/")?.status, 404);
    Ok(())
}

#[test]
fn nobody_listening_is_502() -> Result<()> {
    let world = World::new(0)?;
    let _daemon = world.start(&app(&[7], ""))?;
    let answer = world.get("/")?;
    assert_eq!(answer.status, 502);
    assert_eq!(answer.text().lines().count(), 1, "{answer:?}");
    Ok(())
}

#[test]
fn another_server_takes_what_the_first_refused() -> Result<()> {
    let world = World::new(1)?;
    let _daemon = world.start(&app(&[7, 0], ""))?;
    for _ in 0..10 {
        assert_eq!(world.get("/")?.brief(), (200, "a".to_owned()));
    }
    Ok(())
}

#[test]
fn no_servers_is_503() -> Result<()> {
    let world = World::new(0)?;
    let _daemon = world.start(&app(&[], ""))?;
    let answer = world.get("/")?;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.text().lines().count(), 1, "{answer:?}");
    Ok(())
}

#[test]
fn a_server_that_ends_the_connection_is_502() -> Result<()> {
    let world = World::new(1)?;
    let _daemon = world.start(&app(&[0], ""))?;
    let mut connection = world.connect()?;
    assert_eq!(connection.get("/die", &[])?.status, 502);
    assert_eq!(connection.get("/", &[])?.brief(), (200, "a".to_owned()));
    let seen = world.origins[0].requests();
    assert_eq!(connection.ask("POST", "/die", &[], b"once")?.status, 502);
    assert_eq!(world.origins[0].requests() - seen, 1, "a POST was sent twice");
    Ok(())
}

#[test]
fn a_malformed_answer_is_502() -> Result<()> {
    let world = World::new(0)?;
    for text in [
        "no HTTP at all\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX-Half: ",
    ] {
        let mut server = fixed(&world, 0, text.as_bytes().to_vec())?;
        let daemon = world.start(&app(&[0], ""))?;
        assert_eq!(world.get("/")?.status, 502, "{text:?}");
        drop(daemon);
        server.kill();
    }
    Ok(())
}

#[test]
fn a_server_that_is_too_slow_is_504() -> Result<()> {
    let world = World::new(1)?;
    let config = app(&[0], "").replace(":8000\" }", ":8000\", timeout: 300ms }");
    let _daemon = world.start(&config)?;
    let mut connection = world.connect()?;
    assert_eq!(connection.get("/slow/20000", &[])?.status, 504);
    assert_eq!(connection.get("/", &[])?.brief(), (200, "a".to_owned()));
    // The bound is on the head, not on the body behind it.
    assert_eq!(connection.get("/drip/6/150", &[])?.body, b"0\n1\n2\n3\n4\n5\n");
    Ok(())
}

#[test]
fn a_client_that_leaves_ends_its_request_alone() -> Result<()> {
    let world = World::new(1)?;
    let _daemon = world.start(&app(&[0], ""))?;
    for _ in 0..20 {
        let mut leaving = world.connect()?;
        leaving.send(&request("GET", "/drip/1000/10", &[], b""))?;
        assert_eq!(leaving.head()?.status, 200);
    }
    assert_eq!(world.get("/")?.brief(), (200, "a".to_owned()));
    let deadline = std::time::Instant::now() + super::kit::PATIENCE;
    while world.origins[0].tcp.open() > 4 {
        assert!(std::time::Instant::now() < deadline, "connections to the origin stay open");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    Ok(())
}
