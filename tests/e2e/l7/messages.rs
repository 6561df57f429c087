//! What a request and its answer are on either side of the proxy.

use anyhow::{Result, ensure};
use lb_tests::{
    client::http1::{Connection, request},
    pattern,
};

use super::kit::{World, app};

const LARGE: usize = 50_000_000;

/// A daemon in front of one origin.
macro_rules! one {
    ($world:ident, $connection:ident) => {
        let $world = World::new(1)?;
        let _daemon = $world.start(&app(&[0], ""))?;
        #[allow(unused_mut, reason = "some tests only connect")]
        let mut $connection = $world.connect()?;
    };
}

#[test]
fn a_connection_serves_many_requests() -> Result<()> {
    one!(world, connection);
    for n in 0..200 {
        let answer = connection.get(&format!("/{n}"), &[])?;
        assert_eq!(answer.brief(), (200, "a".to_owned()));
    }
    assert_eq!(world.origins[0].requests(), 200);
    let accepted = world.origins[0].tcp.accepted();
    assert!(accepted <= 2, "{accepted} connections to the origin");
    Ok(())
}

#[test]
fn pipelined_requests_are_answered_in_order() -> Result<()> {
    one!(world, connection);
    let paths = ["/slow/50", "/head", "/big/100000", "/status/204", "/chunks/9000", "/x"];
    let all: Vec<u8> = paths.iter().flat_map(|path| request("GET", path, &[], b"")).collect();
    connection.send(&all)?;
    assert_eq!(connection.answer("GET")?.text(), "a");
    assert!(connection.answer("GET")?.text().starts_with("GET /head HTTP/1.1"));
    assert_eq!(connection.answer("GET")?.body, pattern::bytes(100_000, 100_000));
    assert_eq!(connection.answer("GET")?.status, 204);
    assert_eq!(connection.answer("GET")?.body, pattern::bytes(9000, 9000));
    assert_eq!(connection.answer("GET")?.text(), "a");
    Ok(())
}

#[test]
fn the_origin_sees_who_asked() -> Result<()> {
    one!(world, connection);
    let headers = [
        ("Host", "shop.example"),
        ("X-Own", "1"),
        ("Connection", "X-Secret"),
        ("X-Secret", "2"),
        ("X-Forwarded-For", "192.0.2.9"),
    ];
    let seen = connection.get("/head?q=1", &headers)?.text().to_ascii_lowercase();
    let has = |line: &str| seen.lines().any(|other| other == line);
    assert!(seen.starts_with("get /head?q=1 http/1.1"), "{seen}");
    assert!(has("host: shop.example") && has("x-own: 1"), "{seen}");
    assert!(!seen.contains("x-secret"), "a header of the hop went on: {seen}");
    assert!(has("x-forwarded-for: 127.0.0.1"), "nobody's word was to be taken: {seen}");
    assert!(has("x-forwarded-proto: http") && has("x-forwarded-host: shop.example"), "{seen}");
    assert!(has("x-real-ip: 127.0.0.1") && has("x-forwarded-port: 8080"), "{seen}");
    Ok(())
}

#[test]
fn head_has_a_length_and_no_body() -> Result<()> {
    one!(world, connection);
    for _ in 0..3 {
        let answer = connection.ask("HEAD", "/big/5000", &[], b"")?;
        assert_eq!((answer.status, answer.header("content-length")), (200, Some("5000")));
        assert_eq!(connection.get("/", &[])?.text(), "a");
    }
    Ok(())
}

#[test]
fn a_client_that_expects_100_is_told_to_go_on() -> Result<()> {
    one!(world, connection);
    let body = pattern::bytes(3000, 3000);
    let all = request("POST", "/sink/3000", &[("Expect", "100-continue")], &body);
    let head = all.len() - body.len();
    connection.send(&all[..head])?;
    assert_eq!(connection.head()?.status, 100);
    connection.send(&all[head..])?;
    assert_eq!(connection.answer("POST")?.brief(), (200, "same".to_owned()));
    assert_eq!(connection.get("/", &[])?.text(), "a");
    Ok(())
}

#[test]
fn chunks_and_trailers_go_both_ways() -> Result<()> {
    one!(world, connection);
    connection.send(
        b"POST /echo HTTP/1.1\r\nHost: lb\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n\
          5;name=value\r\nhello\r\n1\r\n \r\n5\r\nworld\r\n0\r\nX-Sum: 42\r\n\r\n",
    )?;
    let answer = connection.answer("POST")?;
    assert_eq!(answer.brief(), (200, "hello world".to_owned()));
    assert_eq!(answer.trailers, [("x-sum".to_owned(), "42".to_owned())]);
    assert_eq!(connection.get("/", &[])?.text(), "a");
    Ok(())
}

/// Each piece comes back before the next one is sent: neither direction waits for the other.
#[test]
fn both_directions_stream_at_once() -> Result<()> {
    one!(world, connection);
    connection.send(b"POST /echo HTTP/1.1\r\nHost: lb\r\nTransfer-Encoding: chunked\r\n\r\n")?;
    let mut begun = false;
    for n in 0..50usize {
        let piece = pattern::bytes(1 + n * 97, n as u64);
        connection.send(format!("{:x}\r\n", piece.len()).as_bytes())?;
        connection.send(&piece)?;
        connection.send(b"\r\n")?;
        if !std::mem::replace(&mut begun, true) {
            assert_eq!(connection.head()?.status, 200);
        }
        let mut back = Vec::new();
        while back.len() < piece.len() {
            back.extend(connection.chunk()?);
        }
        assert_eq!(back, piece, "piece {n}");
    }
    connection.send(b"0\r\n\r\n")?;
    assert!(connection.chunk()?.is_empty());
    Ok(())
}

#[test]
fn an_answer_streams_as_it_comes() -> Result<()> {
    one!(world, connection);
    connection.send(&request("GET", "/drip/5/200", &[], b""))?;
    assert_eq!(connection.head()?.status, 200);
    let first = connection.chunk()?;
    assert_eq!(first, b"0\n", "lines were gathered");
    Ok(())
}

#[test]
fn large_bodies_arrive_whole() -> Result<()> {
    one!(world, connection);
    let sent = pattern::bytes(LARGE, LARGE as u64);
    let same = |answer: &[u8]| pattern::first_difference(&sent, answer).is_none();
    for path in ["big", "chunks", "close"] {
        let answer = world.connect()?.get(&format!("/{path}/{LARGE}"), &[])?;
        assert!(same(&answer.body), "/{path}: {} bytes", answer.body.len());
    }
    let answer = connection.ask("POST", &format!("/sink/{LARGE}"), &[], &sent)?;
    assert_eq!(answer.brief(), (200, "same".to_owned()));
    Ok(())
}

#[test]
fn a_large_body_goes_both_ways_at_once() -> Result<()> {
    one!(world, connection);
    let sent = pattern::bytes(LARGE, 1);
    let stream = world.ns.run(|| lb_tests::client::http1::connect(super::kit::WEB))?;
    let mut reading = Connection::over(stream.try_clone()?);
    drop(connection);
    let answer = std::thread::scope(|scope| {
        let sent = &sent;
        let sending = scope.spawn(move || -> Result<()> {
            let mut writing = Connection::over(stream);
            writing.send(&request("PUT", "/echo", &[], sent))
        });
        let answer = reading.answer("PUT");
        sending.join().expect("the sending thread panicked")?;
        answer
    })?;
    assert_eq!(pattern::first_difference(&sent, &answer.body), None);
    Ok(())
}

#[test]
fn http_1_0_is_answered_as_it_understands() -> Result<()> {
    one!(world, connection);
    drop(connection);
    let text = world.raw(b"GET / HTTP/1.0\r\nHost: lb\r\n\r\n")?;
    ensure!(text.starts_with("HTTP/1.1 200 ") && text.ends_with("\r\n\r\na\n"), "{text}");
    let text = world.raw(b"GET /chunks/5000 HTTP/1.0\r\nHost: lb\r\n\r\n")?;
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_default();
    ensure!(!head.to_ascii_lowercase().contains("transfer-encoding"), "{head}");
    let whole = pattern::bytes(5000, 5000);
    ensure!(body == String::from_utf8_lossy(&whole), "{} bytes", body.len());
    // Kept alive where asked for, as clients of that age do.
    let keep = b"GET / HTTP/1.0\r\nHost: lb\r\nConnection: keep-alive\r\n\r\n";
    let text = world.raw(&[&keep[..], b"GET / HTTP/1.0\r\nHost: lb\r\n\r\n"].concat())?;
    ensure!(text.matches("HTTP/1.1 200 ").count() == 2, "{text}");
    Ok(())
}

#[test]
fn close_is_honoured_and_said() -> Result<()> {
    one!(world, connection);
    let answer = connection.get("/", &[("Connection", "close")])?;
    assert_eq!(answer.header("connection"), Some("close"));
    assert!(connection.rest()?.is_empty());
    Ok(())
}

/// A body that breaks off is never passed off as whole.
#[test]
fn a_broken_answer_breaks_the_connection() -> Result<()> {
    let world = World::new(0)?;
    for head in ["content-length: 100", "transfer-encoding: chunked"] {
        let text = format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n5\r\nhello\r\n");
        let mut server = super::kit::fixed(&world, 9, text.into_bytes())?;
        let daemon = world.start(&app(&[9], ""))?;
        let mut connection = world.connect()?;
        connection.send(&request("GET", "/", &[], b""))?;
        let answer = connection.answer("GET");
        assert!(answer.is_err(), "taken for whole: {answer:?}");
        drop(daemon);
        server.kill();
    }
    Ok(())
}
