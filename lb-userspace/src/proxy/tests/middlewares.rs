//! Middlewares from end to end: what the client gets, and what the origin sees.

use std::{
    io::{Read, Write},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use super::kit::{Origin, Running, read_request};
use crate::{
    middleware::testing::read,
    model::{Id, Middleware, Protocol},
};

/// A proxy whose router has these middlewares, `m0` first.
fn through(origin: &Origin, yamls: &[&str]) -> Running {
    let mut running = Running::before(&[origin.address]);
    let id = |i: usize| Id::new(Protocol::Http, format!("m{i}"), "file");
    for (i, yaml) in yamls.iter().enumerate() {
        let settings = Arc::new(read(yaml).unwrap_or_else(|faults| panic!("{faults:?}")));
        let middleware = Arc::new(Middleware { id: id(i), settings });
        running.snapshot.middlewares.insert(id(i), middleware);
    }
    let routers = Arc::make_mut(&mut running.snapshot.routers);
    routers.values_mut().for_each(|router| router.middlewares = vec![id(0)]);
    running.snapshot.generation += 1;
    running.proxy.follow(&running.snapshot);
    assert_eq!(running.proxy.faults(), Vec::<String>::new());
    running
}

/// A request line and header lines as a whole request that closes.
fn bytes(lines: &str, body: &str) -> Vec<u8> {
    let lines = lines.replace('\n', "\r\n");
    format!("{lines}\r\nHost: e.com\r\nConnection: close\r\n\r\n{body}").into_bytes()
}

/// What the origin got on its one connection, in lower case; nothing where it wasn't asked.
fn seen(origin: &Origin) -> String {
    for _ in 0..1000 {
        let count = origin.seen.lock().unwrap().len();
        let got = origin.got();
        if count == 0 || !got.is_empty() {
            return got.to_ascii_lowercase();
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("the origin's connection doesn't end");
}

const OK: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\nX-Own: yes\r\nETag: \"x\"\r\n\r\n<html>hello!";

#[test]
fn requests_and_answers_are_changed() {
    let auth = "users: ['u:{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M=']";
    for (yaml, request, got, seen_by_origin) in [
        ("addPrefix: { prefix: /v1 }", "GET /a?b=c HTTP/1.1", "200 OK", "get /v1/a?b=c http"),
        ("stripPrefix: { prefixes: [/a] }", "GET /a/b HTTP/1.1", "200 OK", "get /b http"),
        ("stripPrefix: { prefixes: [/a] }", "GET /a/b HTTP/1.1", "200", "x-forwarded-prefix: /a"),
        ("stripPrefixRegex: { regex: ['/v[0-9]'] }", "GET /v7/b HTTP/1.1", "200", "get /b http"),
        ("replacePath: { path: /x }", "GET /a?q HTTP/1.1", "200", "get /x?q http"),
        ("replacePath: { path: /x }", "GET /a?q HTTP/1.1", "200", "x-replaced-path: /a"),
        (
            "replacePathRegex: { regex: '^/a/(.*)', replacement: '/b/$1' }",
            "GET /a/c HTTP/1.1",
            "200",
            "get /b/c http",
        ),
        (
            "headers: { customRequestHeaders: { X-Forwarded-Proto: https, X-A: '1', Accept: '' } }",
            "GET / HTTP/1.1\nAccept: b",
            "200",
            "x-forwarded-proto: https\r\n",
        ),
        (
            "headers: { customResponseHeaders: { X-Own: '', X-B: '2' }, frameDeny: true }",
            "GET / HTTP/1.1",
            "X-B: 2\r\n",
            "get /",
        ),
        (
            "headers: { accessControlAllowOriginList: ['https://a'], addVaryHeader: true }",
            "GET / HTTP/1.1\nOrigin: https://a",
            "Access-Control-Allow-Origin: https://a\r\n",
            "origin: https://a",
        ),
        ("contentType: {}", "GET / HTTP/1.1", "Content-Type: text/html; charset=utf-8", "get /"),
        (
            "compress: { minResponseBodyBytes: 1 }",
            "GET / HTTP/1.1\nAccept-Encoding: gzip",
            "Content-Encoding: gzip\r\n",
            "get /",
        ),
        ("compress: { minResponseBodyBytes: 1 }", "GET / HTTP/1.1", "hello!", "get /"),
        ("ipAllowList: { sourceRange: [127.0.0.0/8] }", "GET / HTTP/1.1", "200", "get /"),
        ("ipWhiteList: { sourceRange: [127.0.0.0/8] }", "GET / HTTP/1.1", "200", "get /"),
        ("inFlightReq: { amount: 1 }", "GET / HTTP/1.1", "200", "get /"),
        ("rateLimit: { average: 1, period: 1h }", "GET / HTTP/1.1", "200", "get /"),
        (
            &format!("basicAuth: {{ {auth}, headerField: X-User, removeHeader: true }}"),
            "GET / HTTP/1.1\nAuthorization: Basic dTp0ZXN0",
            "200",
            "x-user: u\r\n",
        ),
        ("buffering: {}", "GET / HTTP/1.1", "hello!", "get /"),
        ("passTLSClientCert: { pem: true }", "GET / HTTP/1.1", "200", "get /"),
        (
            "circuitBreaker: { expression: 'NetworkErrorRatio() > 0.5' }",
            "GET / HTTP/1.1",
            "200",
            "get /",
        ),
        ("retry: { attempts: 2 }", "GET / HTTP/1.1", "200", "get /"),
    ] {
        let origin = Origin::closing(OK);
        let answer = through(&origin, &[yaml]).say(&bytes(request, ""));
        assert!(answer.contains(got), "{yaml}: {answer}");
        let seen = seen(&origin);
        assert!(seen.contains(seen_by_origin), "{yaml}: {seen}");
        assert!(!seen.contains("authorization") && !seen.contains("accept: b"), "{yaml}: {seen}");
    }
}

#[test]
fn what_is_answered_here_reaches_no_origin() {
    for (yaml, request, got) in [
        ("redirectScheme: { scheme: https }", "GET /a HTTP/1.1", "Location: https://e.com/a\r\n"),
        (
            "redirectRegex: { regex: '^http://(.*)', replacement: 'https://w.$1' }",
            "GET /a HTTP/1.1",
            "302 Found\r\n",
        ),
        ("headers: { sslRedirect: true }", "GET /a HTTP/1.1", "301 Moved Permanently\r\n"),
        ("headers: { allowedHosts: [a] }", "GET /a HTTP/1.1", "HTTP/1.1 421 "),
        (
            "headers: { accessControlAllowMethods: [PUT] }",
            "OPTIONS / HTTP/1.1\nOrigin: https://a\nAccess-Control-Request-Method: PUT",
            "Access-Control-Allow-Methods: PUT\r\n",
        ),
        (
            "basicAuth: { users: ['u:{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M='] }",
            "GET / HTTP/1.1",
            "WWW-Authenticate: Basic realm=\"traefik\"\r\n",
        ),
        (
            "digestAuth: { users: ['u:traefik:a2688e031edb4be6a3797f3882655c05'] }",
            "GET / HTTP/1.1",
            "WWW-Authenticate: Digest realm=\"traefik\"",
        ),
        ("ipAllowList: { sourceRange: [10.0.0.0/8] }", "GET / HTTP/1.1", "403 Forbidden\r\n"),
        ("ipWhiteList: { sourceRange: [10.0.0.0/8] }", "GET / HTTP/1.1", "403 Forbidden\r\n"),
        (
            "buffering: { maxRequestBodyBytes: 3 }",
            "POST / HTTP/1.1\nContent-Length: 4",
            "HTTP/1.1 413 ",
        ),
        (
            "buffering: { maxRequestBodyBytes: 3 }",
            "POST / HTTP/1.1\nTransfer-Encoding: chunked",
            "HTTP/1.1 413 ",
        ),
        ("forwardAuth: { address: 'http://127.0.0.1:9/' }", "GET / HTTP/1.1", "HTTP/1.1 500 "),
    ] {
        let origin = Origin::closing(OK);
        let body = match request {
            chunked if chunked.contains("chunked") => "4\r\nbody\r\n0\r\n\r\n",
            long if long.contains("Length") => "body",
            _ => "",
        };
        let answer = through(&origin, &[yaml]).say(&bytes(request, body));
        assert!(answer.contains(got), "{yaml}: {answer}");
        assert_eq!(seen(&origin), "", "{yaml}");
    }
}

#[test]
fn a_source_that_asks_too_often_is_refused() {
    let origin = Origin::answering(OK);
    let running = through(&origin, &["rateLimit: { average: 1, period: 1h, burst: 2 }"]);
    let one = "GET / HTTP/1.1\r\nHost: e.com\r\n\r\n";
    let answer = running.say(format!("{one}{one}{one}").as_bytes());
    assert_eq!(answer.matches("200 OK").count(), 2, "{answer}");
    assert_eq!(answer.matches("429 Too Many Requests").count(), 1, "{answer}");
    assert!(answer.contains("Retry-After: 3"), "{answer}");
}

#[test]
fn a_chain_stands_for_its_middlewares() {
    let origin = Origin::closing(OK);
    let running = through(
        &origin,
        &[
            "chain: { middlewares: [m1, m2] }",
            "addPrefix: { prefix: /a }",
            "addPrefix: { prefix: /b }",
        ],
    );
    assert!(running.say(&bytes("GET /c HTTP/1.1", "")).contains("200 OK"));
    assert!(seen(&origin).starts_with("get /b/a/c http"), "in their order");
}

#[test]
fn an_open_circuit_spares_the_origin() {
    let origin = Origin::closing(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n");
    let expression = "expression: 'ResponseCodeRatio(500, 600, 0, 600) > 0.5', checkPeriod: 0";
    let running = through(&origin, &[&format!("circuitBreaker: {{ {expression} }}")]);
    assert!(running.say(&bytes("GET / HTTP/1.1", "")).starts_with("HTTP/1.1 500 "));
    let answer = running.say(&bytes("GET / HTTP/1.1", ""));
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert_eq!(origin.seen.lock().unwrap().len(), 1);
}

#[test]
fn errors_show_the_page_of_a_service() {
    let origin = Origin::with(Arc::new(|stream, seen| {
        while read_request(stream, seen).is_some() {
            let text = String::from_utf8_lossy(seen).into_owned();
            let (status, body) = match text.contains("/page-503?") {
                true => ("200 OK", "the page"),
                false => ("503 No", "theirs"),
            };
            let length = body.len();
            let head = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}");
            stream.write_all(head.as_bytes()).unwrap();
        }
    }));
    let keys = "status: [500-599], service: web, query: '/page-{status}?{url}'";
    let running = through(&origin, &[&format!("errors: {{ {keys} }}")]);
    let answer = running.say(&bytes("GET /a HTTP/1.1", ""));
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.ends_with("the page"), "{answer}");
}

/// An origin that answers its first request thus, and all others with 200; how many it got.
fn failing_once(first: &'static [u8]) -> (Origin, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let origin = Origin::with(Arc::new(move |stream, seen| {
        while read_request(stream, seen).is_some() {
            let answer = if counted.fetch_add(1, SeqCst) == 0 { first } else { OK };
            if stream.write_all(answer).is_err() || answer.is_empty() {
                return;
            }
        }
    }));
    (origin, count)
}

#[test]
fn requests_are_tried_again_where_that_is_safe_and_wanted() {
    let unavailable: &[u8] = b"HTTP/1.1 503 No\r\nContent-Length: 2\r\n\r\nno";
    let post = "POST / HTTP/1.1\nContent-Length: 4";
    let put = "PUT / HTTP/1.1\nContent-Length: 4";
    let get = "GET / HTTP/1.1";
    let any = "retry: { attempts: 2, retryNonIdempotentMethod: true }";
    let status = "retry: { attempts: 2, status: ['503'] }";
    let only = "retry: { attempts: 2, status: ['500'], disableRetryOnNetworkError: true }";
    let none = "retry: { attempts: 2, budget: { ratio: 0, minPerSecond: 0 } }";
    let buffer = "buffering: { retryExpression: 'ResponseCode() == 503 && Attempts() < 2' }";
    for (yaml, request, first, answered, asked) in [
        ("retry: { attempts: 2 }", get, &b""[..], "200", 2),
        ("retry: { attempts: 1 }", get, b"", "502", 1),
        ("retry: { attempts: 2 }", put, b"", "200", 2),
        ("retry: { attempts: 2, maxRequestBodyBytes: 3 }", put, b"", "502", 1),
        ("retry: { attempts: 2 }", post, b"", "502", 1),
        (any, post, b"", "200", 2),
        (none, get, b"", "502", 1),
        (only, get, b"", "502", 1),
        ("retry: { attempts: 2 }", get, unavailable, "503", 1),
        (status, get, unavailable, "200", 2),
        (status, post, unavailable, "503", 1),
        (buffer, post, unavailable, "200", 2),
    ] {
        let (origin, count) = failing_once(first);
        let body = if request.contains("Length") { "body" } else { "" };
        let answer = through(&origin, &[yaml]).say(&bytes(request, body));
        assert!(answer.starts_with(&format!("HTTP/1.1 {answered} ")), "{yaml} {request}: {answer}");
        assert_eq!(count.load(SeqCst), asked, "{yaml} {request}");
    }
}

#[test]
fn an_authentication_server_decides() {
    let yes =
        Origin::closing(b"HTTP/1.1 200 OK\r\nX-Auth-User: alice\r\nContent-Length: 0\r\n\r\n");
    let no = Origin::closing(b"HTTP/1.1 401 No\r\nContent-Length: 5\r\n\r\nstop!");
    for (auth, got, seen_by_origin) in
        [(&yes, "200 OK", "x-auth-user: alice\r\n"), (&no, "stop!", "")]
    {
        let origin = Origin::closing(OK);
        let keys = "authResponseHeaders: [X-Auth-User], trustForwardHeader: true";
        let address = auth.address;
        let yaml = format!("forwardAuth: {{ address: 'http://{address}/verify', {keys} }}");
        let answer = through(&origin, &[&yaml]).say(&bytes("GET /a HTTP/1.1", ""));
        assert!(answer.contains(got), "{answer}");
        assert_eq!(seen(&origin).is_empty(), seen_by_origin.is_empty());
        assert!(seen(&origin).contains(seen_by_origin));
        assert!(seen(auth).contains("x-forwarded-uri: /a\r\n"), "{}", seen(auth));
    }
}

#[test]
fn browsers_get_grpc_trailers_in_the_body() {
    let origin = Origin::closing(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/grpc+proto\r\nTrailer: grpc-status\r\n\
          Transfer-Encoding: chunked\r\n\r\n7\r\n\0\0\0\0\x02hi\r\n0\r\ngrpc-status: 0\r\n\r\n",
    );
    let running = through(&origin, &["grpcWeb: { allowOrigins: ['*'] }"]);
    let request = "POST /s/M HTTP/1.1\nContent-Type: application/grpc-web+proto\nContent-Length: 0";
    let mut stream = running.connect();
    stream.write_all(&bytes(request, "")).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let text = answer.escape_ascii().to_string();
    assert!(text.contains("Content-Type: application/grpc-web+proto"), "{text}");
    assert!(text.contains(r"\x80\x00\x00\x00\x10grpc-status: 0\r\n"), "{text}");
    assert!(seen(&origin).contains("content-type: application/grpc+proto\r\n"));
}
