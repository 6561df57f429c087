use std::sync::{Arc, Mutex};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::super::testing::{block_on, fault, filter, read, response, told};
use crate::proxy::{Body, Exchange, Filter, Head, Outcome, Reply, Step};

/// An authentication server that answers all alike, and what it was asked.
struct Server {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

async fn server(answer: &'static str) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let kept = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut request = vec![0; 8192];
            let length = socket.read(&mut request).await.unwrap_or(0);
            request.truncate(length);
            kept.lock().unwrap().push(String::from_utf8(request).unwrap().to_ascii_lowercase());
            let _ = socket.write_all(answer.as_bytes()).await;
        }
    });
    Server { url, asked }
}

/// The way in; the reply, and what the server was asked.
fn ask(
    answer: &'static str,
    keys: &str,
    exchange: &mut Exchange,
) -> (Option<Reply>, Vec<String>, Arc<dyn Filter>) {
    block_on(async {
        let server = server(answer).await;
        let url = &server.url;
        let filter = filter(&format!("forwardAuth: {{ address: '{url}/verify?a=b', {keys} }}"));
        let reply = match filter.request(exchange) {
            Step::Wait(wait) => match wait.await {
                Outcome::Reply(reply) => Some(reply),
                Outcome::Next => None,
            },
            _ => panic!("it has to ask"),
        };
        let asked = server.asked.lock().unwrap().clone();
        (reply, asked, filter)
    })
}

const YES: &str = "HTTP/1.1 200 OK\r\nX-Auth-User: alice\r\nX-Auth-Group: a\r\nX-Auth-Group: b\r\n\
                   Set-Cookie: session=1; Path=/\r\nSet-Cookie: other=2\r\nContent-Length: 0\r\n\r\n";
const NO: &str = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer\r\nLocation: /login?x=y\r\n\
                  Keep-Alive: timeout=5\r\nContent-Length: 4\r\n\r\nstop";

const REQUEST: &str = "POST /path?q=1\nHost: a.example\nCookie: c=1\nX-Auth-User: forged\n\
                       X-Forwarded-For: 10.0.0.1\nX-Forwarded-Proto: https\nConnection: X-Hop\n\
                       X-Hop: 1\nContent-Length: 4\nContent-Type: a/b\nX-Forwarded-Uri: /told";

fn lines(asked: &str) -> Vec<&str> {
    asked.split("\r\n").collect()
}

#[test]
fn the_server_is_asked_about_the_request() {
    let mut exchange = Exchange::made_up(REQUEST);
    let (reply, asked, _) = ask(YES, "", &mut exchange);
    assert!(reply.is_none());
    let lines = lines(&asked[0]);
    assert_eq!(lines[0], "get /verify?a=b http/1.1");
    for line in [
        "cookie: c=1",
        "x-forwarded-method: post",
        "x-forwarded-proto: http",
        "x-forwarded-host: a.example",
        "x-forwarded-uri: /path?q=1",
        "x-forwarded-for: 192.0.2.1",
    ] {
        assert!(lines.contains(&line), "{line} in {lines:?}");
    }
    for name in ["x-hop", "connection", "content-type", "content-length: 4", "host: a.example"] {
        assert!(!lines.iter().any(|line| line.starts_with(name)), "{name} in {lines:?}");
    }
}

#[test]
fn what_was_told_may_be_trusted_and_headers_chosen() {
    let keys =
        "trustForwardHeader: true, authRequestHeaders: [cookie], preserveRequestMethod: true";
    let mut exchange = Exchange::made_up(REQUEST);
    let (_, asked, _) = ask(YES, keys, &mut exchange);
    let lines = lines(&asked[0]);
    assert_eq!(lines[0], "post /verify?a=b http/1.1");
    for line in [
        "x-forwarded-for: 10.0.0.1, 192.0.2.1",
        "x-forwarded-proto: https",
        "x-forwarded-uri: /told",
        "cookie: c=1",
    ] {
        assert!(lines.contains(&line), "{line} in {lines:?}");
    }
    assert!(!lines.iter().any(|line| line.starts_with("x-auth-user")), "{lines:?}");
}

#[test]
fn a_yes_may_tell_servers_and_clients_more() {
    let keys = "authResponseHeaders: [X-Auth-User, X-Gone], authResponseHeadersRegex: '^X-Auth-G', \
                addAuthCookiesToResponse: [session], headerField: X-Auth-User";
    let mut exchange = Exchange::made_up(&format!("{REQUEST}\nX-Gone: 1\nx-auth-gate: forged"));
    let (reply, _, filter) = ask(YES, keys, &mut exchange);
    assert!(reply.is_none());
    let values = |name| exchange.request.values(name).collect::<Vec<_>>();
    assert_eq!(values("X-Auth-User"), [b"alice"]);
    assert_eq!(values("X-Auth-Group"), [b"a", b"b"]);
    assert!(values("X-Gone").is_empty() && values("X-Auth-Gate").is_empty());
    assert_eq!(exchange.user.as_deref(), Some("alice"));
    exchange.answer.head = Head::response(200);
    for cookie in ["session=theirs", "own=3"] {
        exchange.answer.head.add("Set-Cookie", cookie);
    }
    assert!(response(&*filter, &mut exchange).is_none());
    let cookies: Vec<_> = exchange.answer.head.values("Set-Cookie").collect();
    assert_eq!(cookies, [&b"own=3"[..], b"session=1; Path=/"]);
}

#[test]
fn anything_else_is_the_clients_answer() {
    for (keys, location) in [("", "/login?x=y"), ("preserveLocationHeader: true", "/login?x=y")] {
        let (reply, ..) = ask(NO, keys, &mut Exchange::made_up(REQUEST));
        let reply = reply.expect("a refusal");
        assert_eq!(told(Some(&reply)), Some((401, "forward_auth")));
        assert_eq!(&reply.body[..], b"stop");
        assert_eq!(reply.head.text_of("WWW-Authenticate"), Some("Bearer"));
        assert!(!reply.head.has("Keep-Alive") && !reply.head.has("Content-Length"));
        let found = reply.head.text_of("Location").unwrap();
        assert!(found.ends_with(location));
        assert_eq!(found.starts_with("http://127.0.0.1:"), keys.is_empty(), "{found}");
    }
}

#[test]
fn bodies_are_sent_where_asked_for() {
    for (keys, sent, refused) in [
        ("forwardBody: true", true, None),
        ("forwardBody: true, maxBodySize: 4", true, None),
        ("forwardBody: true, maxBodySize: -1", true, None),
        ("forwardBody: true, maxBodySize: 3", false, Some((401, "forward_auth_body"))),
        ("", false, None),
    ] {
        let mut exchange = Exchange::made_up(REQUEST);
        exchange.body = Body::Full("body".into());
        let (reply, asked, _) = ask(YES, keys, &mut exchange);
        assert_eq!(told(reply.as_ref()), refused, "{keys}");
        assert_eq!(asked.first().is_some_and(|asked| asked.ends_with("body")), sent, "{keys}");
        if refused.is_none() {
            assert_eq!(&block_on(exchange.body.collect(9)).unwrap().0[..], b"body", "{keys}");
        }
    }
}

#[test]
fn a_server_that_cannot_be_asked_lets_nobody_in() {
    for answer in ["nonsense\r\n\r\n", ""] {
        let keys = "maxResponseBodySize: 3";
        let mut exchange = Exchange::made_up(REQUEST);
        let (reply, ..) = ask(answer, keys, &mut exchange);
        assert_eq!(told(reply.as_ref()), Some((500, "forward_auth_failed")), "{answer}");
    }
    let (reply, ..) = ask(NO, "maxResponseBodySize: 3", &mut Exchange::made_up(REQUEST));
    assert_eq!(told(reply.as_ref()), Some((500, "forward_auth_failed")), "its body is longer");
}

#[test]
fn locations_are_seen_from_the_server() {
    let settings = read("forwardAuth: { address: 'https://auth.example:8443/a/verify' }").unwrap();
    let super::super::Settings::ForwardAuth(settings) = settings else { unreachable!() };
    struct Nobody;
    impl crate::proxy::fetch::Fetch for Nobody {
        fn fetch<'a>(
            &'a self,
            _: Head,
            _: bytes::Bytes,
        ) -> crate::proxy::Wait<
            'a,
            Result<crate::proxy::fetch::Fetched, crate::proxy::fetch::FetchError>,
        > {
            unreachable!("nobody is asked")
        }
    }
    let asking = super::ask::Asking { settings, server: Arc::new(Nobody) };
    for (location, seen) in [
        ("https://other/x", "https://other/x"),
        ("mailto:a@b", "mailto:a@b"),
        ("//other/x", "https://other/x"),
        ("/login", "https://auth.example:8443/login"),
        ("login?to=http://x", "https://auth.example:8443/a/login?to=http://x"),
        ("?a=b", "https://auth.example:8443/a/verify?a=b"),
        ("", "https://auth.example:8443/a/verify"),
    ] {
        assert_eq!(asking.absolute(location.as_bytes()), seen.as_bytes(), "{location}");
    }
}

#[test]
fn keys_are_checked() {
    for (keys, why) in [
        ("trustForwardHeader: true", "\"address\" is missing"),
        ("address: auth/verify", "expected a URL"),
        ("address: 'http://a', authResponseHeadersRegex: '('", "no regular expression"),
        ("address: 'http://a', authResponseHeaders: ['a b']", "no name of a header"),
        ("address: 'https://a', tls: { cert: c.pem }", "belong together"),
        ("address: 'https://a', tls: { caOptional: true }", "no meaning"),
        ("address: 'https://a', tls: { ca: missing.pem }", "missing.pem"),
    ] {
        let told = fault(&format!("forwardAuth: {{ {keys} }}"));
        assert!(told.contains(why), "{told}");
    }
    let label = "forwardauth: { address: 'http://auth-service/verify', authResponseHeaders: [X-Auth-User] }";
    assert!(read(label).is_ok());
}
