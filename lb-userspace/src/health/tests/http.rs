//! `mode: http`.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use super::{Server, answer, check, http};
use crate::model::CheckKind;

/// `http()` with some fields changed.
macro_rules! asking {
    ($($field:ident: $value:expr),*) => {{
        let mut kind = super::http();
        if let CheckKind::Http { $($field,)* .. } = &mut kind {
            $(*$field = $value;)*
        }
        kind
    }};
}
pub(super) use asking;

async fn result(kind: &CheckKind, bytes: Vec<u8>) -> Result<String, String> {
    let server = Server::start(move |_| bytes.clone()).await;
    check(kind, "127.0.0.1", server.address).await
}

macro_rules! statuses {
    ($($name:ident: $answered:literal, wanted $wanted:expr => $result:expr;)*) => {$(
        #[tokio::test]
        async fn $name() {
            let kind = asking!(status: $wanted);
            let result = result(&kind, answer($answered, "", "hello")).await;
            let wanted: Result<&str, &str> = $result;
            assert_eq!(result.as_deref().map_err(String::as_str), wanted);
        }
    )*};
}

statuses! {
    ok_passes: "200 OK", wanted None => Ok("200 OK");
    no_content_passes: "204 No Content", wanted None => Ok("204 No Content");
    the_last_of_the_range_passes: "399 Odd", wanted None => Ok("399");
    a_redirect_to_nowhere_passes: "302 Found", wanted None => Ok("302 Found");
    bad_request_fails: "400 Bad Request", wanted None => Err("status 400, wanted 200–399");
    unavailable_fails: "503 Service Unavailable", wanted None => Err("status 503, wanted 200–399");
    the_exact_status_passes: "418 I'm a teapot", wanted Some(418) => Ok("418 I'm a teapot");
    another_than_the_exact_status_fails: "200 OK", wanted Some(204) => Err("status 200, wanted 204");
    an_exact_redirect_passes: "301 Moved Permanently", wanted Some(301) => Ok("301 Moved Permanently");
    an_exact_error_passes: "503 Service Unavailable", wanted Some(503) => Ok("503 Service Unavailable");
}

macro_rules! requests {
    ($($name:ident: $kind:expr, to $host:literal => has $line:expr;)*) => {$(
        #[tokio::test]
        async fn $name() {
            let server = Server::start(|_| answer("200 OK", "", "")).await;
            check(&$kind, $host, server.address).await.unwrap();
            let seen = server.seen().concat();
            let line = $line.replace("PORT", &server.address.port().to_string());
            assert!(seen.lines().any(|l| l == line), "{line:?} is missing in {seen:?}");
        }
    )*};
}

requests! {
    the_path_is_asked: asking!(path: "/up?deep=1".into()), to "127.0.0.1" => has "GET /up?deep=1 HTTP/1.1";
    the_method_is_used: asking!(method: "HEAD".into()), to "127.0.0.1" => has "HEAD / HTTP/1.1";
    the_host_is_the_servers: http(), to "127.0.0.1" => has "host: 127.0.0.1:PORT";
    a_host_name_is_sent_as_configured: http(), to "db.example" => has "host: db.example:PORT";
    an_ipv6_host_stands_in_brackets: http(), to "::1" => has "host: [::1]:PORT";
    the_hostname_replaces_the_host: asking!(hostname: Some("www.example".into())), to "127.0.0.1" => has "host: www.example";
    a_host_header_replaces_it_too: asking!(headers: vec![("Host".into(), "h.example".into())]), to "127.0.0.1" => has "host: h.example";
    headers_are_sent: asking!(headers: vec![("X-Key".into(), "a b".into())]), to "127.0.0.1" => has "x-key: a b";
    a_header_may_come_twice: asking!(headers: vec![("X".into(), "1".into()), ("X".into(), "2".into())]), to "127.0.0.1" => has "x: 2";
    the_connection_is_for_one_request: http(), to "127.0.0.1" => has "connection: close";
    lb_names_itself: http(), to "127.0.0.1" => has concat!("user-agent: lb/", env!("CARGO_PKG_VERSION"), " (health check)");
}

/// `/start` redirects to `LOCATION` (with `PORT` for the server's port), `/end` answers 200, anything else 404.
async fn redirected(
    code: u16,
    location: &str,
    kind: &CheckKind,
) -> (Result<String, String>, Vec<String>) {
    let to = location.to_owned();
    let server = Server::at("127.0.0.1:0", move |request| {
        let port = request.split("127.0.0.1:").nth(1).and_then(|rest| rest.split("\r\n").next());
        let to = to.replace("PORT", port.unwrap_or("0"));
        match request.split(' ').nth(1).unwrap_or_default() {
            "/a/start" => answer(&format!("{code} Elsewhere"), &format!("Location: {to}\r\n"), ""),
            "/end" | "/a/end" | "/a/start?end" => answer("200 OK", "", ""),
            _ => answer("404 Not Found", "", ""),
        }
    })
    .await;
    let result = check(kind, "127.0.0.1", server.address).await;
    let asked = server.seen().iter().map(|r| r.split(" HTTP").next().unwrap().to_owned()).collect();
    (result, asked)
}

macro_rules! redirects {
    ($($name:ident: $code:literal to $location:literal => asks $asked:expr;)*) => {$(
        #[tokio::test]
        async fn $name() {
            let kind = asking!(path: "/a/start".into());
            let (result, asked) = redirected($code, $location, &kind).await;
            assert_eq!(asked, $asked, "{result:?}");
            assert!(result.is_ok(), "{result:?}");
        }
    )*};
}

redirects! {
    a_301_is_followed: 301 to "/end" => asks ["GET /a/start", "GET /end"];
    a_302_is_followed: 302 to "/end" => asks ["GET /a/start", "GET /end"];
    a_303_is_followed: 303 to "/end" => asks ["GET /a/start", "GET /end"];
    a_307_is_followed: 307 to "/end" => asks ["GET /a/start", "GET /end"];
    a_308_is_followed: 308 to "/end" => asks ["GET /a/start", "GET /end"];
    a_300_is_an_answer: 300 to "/end" => asks ["GET /a/start"];
    a_304_is_an_answer: 304 to "/end" => asks ["GET /a/start"];
    a_relative_path_is_followed: 302 to "end" => asks ["GET /a/start", "GET /a/end"];
    a_query_alone_is_followed: 302 to "?end" => asks ["GET /a/start", "GET /a/start?end"];
    a_fragment_is_left_out: 302 to "/end#part" => asks ["GET /a/start", "GET /end"];
    the_same_origin_is_followed: 302 to "http://127.0.0.1:PORT/end" => asks ["GET /a/start", "GET /end"];
    the_same_host_without_scheme_is_followed: 302 to "//127.0.0.1:PORT/end" => asks ["GET /a/start", "GET /end"];
    another_host_without_scheme_is_an_answer: 302 to "//elsewhere.example/end" => asks ["GET /a/start"];
    another_host_is_an_answer: 302 to "http://elsewhere.example/end" => asks ["GET /a/start"];
    another_port_is_an_answer: 302 to "http://127.0.0.1:1/end" => asks ["GET /a/start"];
    another_scheme_is_an_answer: 302 to "https://127.0.0.1:PORT/end" => asks ["GET /a/start"];
    nonsense_is_an_answer: 302 to "http://[" => asks ["GET /a/start"];
}

#[tokio::test]
async fn the_end_of_redirects_is_judged() {
    let (result, _) = redirected(302, "/nowhere", &asking!(path: "/a/start".into())).await;
    assert_eq!(result.unwrap_err(), "status 404, wanted 200–399");
}

#[tokio::test]
async fn a_redirect_elsewhere_is_told() {
    let kind = asking!(path: "/a/start".into(), status: Some(200));
    let (result, _) = redirected(302, "http://elsewhere.example/", &kind).await;
    assert_eq!(result.unwrap_err(), "status 302 to http://elsewhere.example/, wanted 200");
}

#[tokio::test]
async fn redirects_can_be_left_alone() {
    let kind = asking!(path: "/a/start".into(), follow_redirects: false);
    let (result, asked) = redirected(302, "/end", &kind).await;
    assert_eq!(asked, ["GET /a/start"]);
    assert_eq!(result.unwrap(), "302 Found to /end");
}

#[tokio::test]
async fn a_wanted_redirect_is_not_followed() {
    let kind = asking!(path: "/a/start".into(), status: Some(302));
    let (result, asked) = redirected(302, "/end", &kind).await;
    assert_eq!(asked, ["GET /a/start"]);
    result.unwrap();
}

#[tokio::test]
async fn a_post_redirected_by_303_becomes_a_get() {
    let kind = asking!(path: "/a/start".into(), method: "POST".into());
    assert_eq!(redirected(303, "/end", &kind).await.1, ["POST /a/start", "GET /end"]);
}

#[tokio::test]
async fn a_post_redirected_by_307_stays_one() {
    let kind = asking!(path: "/a/start".into(), method: "POST".into());
    assert_eq!(redirected(307, "/end", &kind).await.1, ["POST /a/start", "POST /end"]);
}

#[tokio::test]
async fn a_bare_hostname_names_the_servers_own_port() {
    let server = Server::start(|request| match request.split(' ').nth(1) {
        Some("/") => answer("302 Found", "Location: http://www.example/end\r\n", ""),
        _ => answer("204 No Content", "", ""),
    })
    .await;
    let kind = asking!(hostname: Some("www.example".into()));
    assert_eq!(check(&kind, "127.0.0.1", server.address).await.unwrap(), "204 No Content");
}

#[tokio::test]
async fn a_circle_of_redirects_ends() {
    let asked = std::sync::Arc::new(AtomicUsize::new(0));
    let count = std::sync::Arc::clone(&asked);
    let server = Server::start(move |_| {
        count.fetch_add(1, SeqCst);
        answer("302 Found", "Location: /\r\n", "")
    })
    .await;
    let error = check(&http(), "127.0.0.1", server.address).await.unwrap_err();
    assert_eq!(error, "more than 10 redirects");
    assert_eq!(asked.load(SeqCst), 11);
}

macro_rules! broken {
    ($($name:ident: $bytes:expr => $words:literal;)*) => {$(
        #[tokio::test]
        async fn $name() {
            let error = result(&http(), $bytes.to_vec()).await.unwrap_err();
            assert!(error.starts_with($words), "{error}");
        }
    )*};
}

broken! {
    silence_is_told: b"" => "the server closed the connection before its answer was whole";
    half_a_head_is_told: b"HTTP/1.1 200 OK\r\nContent-" => "the server closed the connection before its answer was whole";
    half_a_body_is_told: b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf" => "the server closed the connection";
    another_protocol_is_told: b"220 mail.example ESMTP\r\n" => "not an HTTP answer";
    a_broken_chunk_is_told: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n" => "HTTP";
}

macro_rules! accepted {
    ($($name:ident: $bytes:expr;)*) => {$(
        #[tokio::test]
        async fn $name() {
            assert_eq!(result(&http(), $bytes).await.unwrap(), "200 OK");
        }
    )*};
}

accepted! {
    a_chunked_body_is_read: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n".to_vec();
    a_body_until_the_close_is_read: b"HTTP/1.1 200 OK\r\n\r\nuntil the close".to_vec();
    http_1_0_is_understood: b"HTTP/1.0 200 OK\r\n\r\nold".to_vec();
    a_body_beyond_the_bound_is_left: answer("200 OK", "", &"x".repeat(10_000_000));
    an_interim_answer_is_passed_over: [b"HTTP/1.1 103 Early Hints\r\n\r\n".to_vec(), answer("200 OK", "", "")].concat();
}

#[tokio::test]
async fn a_closed_port_is_refused() {
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = closed.local_addr().unwrap();
    drop(closed);
    let error = check(&http(), "127.0.0.1", address).await.unwrap_err();
    assert_eq!(error, "connection refused");
}

macro_rules! unsendable {
    ($($name:ident: $kind:expr => $words:literal;)*) => {$(
        #[tokio::test]
        async fn $name() {
            let error = check(&$kind, "127.0.0.1", "127.0.0.1:1".parse().unwrap()).await.unwrap_err();
            assert_eq!(error, $words);
        }
    )*};
}

unsendable! {
    a_method_with_a_blank_is_told: asking!(method: "GE T".into()) => "\"GE T\" is no HTTP method";
    a_path_with_a_blank_is_told: asking!(path: "/a b".into()) => "\"/a b\" is no HTTP path";
    a_header_name_with_a_blank_is_told: asking!(headers: vec![("a b".into(), "c".into())]) => "\"a b\" is no HTTP header name";
    a_header_value_with_a_break_is_told: asking!(headers: vec![("a".into(), "b\r\nc".into())]) => "the value of header a isn't allowed";
}
