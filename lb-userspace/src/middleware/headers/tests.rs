use super::super::testing::{fault, filter, read, request, response, told};
use crate::proxy::{Exchange, Head, Reply, TlsSession};

/// The request as the server gets it, or the reply.
fn way_in(keys: &str, lines: &str) -> Result<Exchange, Reply> {
    let mut exchange = Exchange::made_up(lines);
    match request(&*filter(&format!("headers: {{ {keys} }}")), &mut exchange) {
        None => Ok(exchange),
        Some(reply) => Err(reply),
    }
}

/// The answer's head as the client gets it, made of `name: value` lines.
fn way_out(keys: &str, lines: &str, answer: &[(&str, &str)]) -> Head {
    way_out_of(keys, Exchange::made_up(lines), answer)
}

fn way_out_of(keys: &str, mut exchange: Exchange, answer: &[(&str, &str)]) -> Head {
    exchange.answer.head = Head::response(200);
    answer.iter().for_each(|(name, value)| exchange.answer.head.add(name, value));
    assert!(response(&*filter(&format!("headers: {{ {keys} }}")), &mut exchange).is_none());
    exchange.answer.head
}

/// Over TLS.
fn tls(lines: &str) -> Exchange {
    let mut exchange = Exchange::made_up(lines);
    let mut client = (*exchange.client).clone();
    client.tls = Some(TlsSession::default().into());
    exchange.client = client.into();
    exchange
}

#[test]
fn request_headers_are_set_and_removed() {
    let keys = "customRequestHeaders: { X-Script-Name: test, x-gone: '', X-Number: 1, Host: b, X-Forwarded-Proto: https }";
    let exchange =
        way_in(keys, "GET /\nHost: a\nX-Gone: 1\nX-GONE: 2\nx-script-name: old").unwrap();
    let request = &exchange.request;
    assert_eq!(request.values("X-Script-Name").collect::<Vec<_>>(), [b"test"]);
    assert!(!request.has("X-Gone"));
    assert_eq!(request.text_of("X-Number"), Some("1"));
    assert_eq!(request.host(), Some("b"));
    assert_eq!(request.text_of("X-Forwarded-Proto"), Some("https"));
    let kept = way_in("customRequestHeaders: { Host: '' }", "GET /\nHost: a").unwrap();
    assert_eq!(kept.request.host(), Some("a"));
}

#[test]
fn response_headers_are_set_and_removed() {
    let keys = "customResponseHeaders: { X-Custom: value, Server: '' }";
    let head = way_out(keys, "GET /", &[("Server", "x"), ("X-Custom", "old"), ("X-Other", "o")]);
    let all: Vec<_> = head.iter().map(|(name, _)| name).collect();
    assert_eq!(all, ["X-Other", "X-Custom"]);
    assert_eq!(head.text_of("x-custom"), Some("value"));
}

#[test]
fn a_header_that_cannot_be_written_is_told() {
    for (keys, told) in [
        ("customRequestHeaders: { 'a b': x }", "is no name of a header"),
        ("customRequestHeaders: { A: \"x\\ny\" }", "no control characters"),
        ("customResponseHeaders: { content-length: 3 }", "where a message ends"),
        ("customRequestHeaders: { Transfer-Encoding: chunked }", "where a message ends"),
        ("contentSecurityPolicy: \"a\\rb\"", "no control characters"),
        ("accessControlAllowMethods: [ 'G T' ]", "no name of a header or method"),
        ("accessControlAllowOriginListRegex: [ '(' ]", "no regular expression"),
        ("stsSecond: 1", "did you mean \"stsSeconds\"?"),
    ] {
        let fault = fault(&format!("headers: {{ {keys} }}"));
        assert!(fault.contains(told), "{fault}");
    }
}

#[test]
fn plain_requests_are_sent_to_https() {
    let redirect = "sslRedirect: true";
    let a = "GET /x?y=z\nHost: a.example:80";
    for (keys, lines, to) in [
        (redirect, a, Some((301, "https://a.example/x?y=z"))),
        (
            "sslRedirect: true, sslTemporaryRedirect: true",
            a,
            Some((307, "https://a.example/x?y=z")),
        ),
        ("sslRedirect: true, sslHost: s.example", a, Some((301, "https://s.example/x?y=z"))),
        ("sslRedirect: true, isDevelopment: true", a, None),
        (
            "sslRedirect: true, customRequestHeaders: { X-Forwarded-Proto: https }",
            a,
            Some((301, "https://a.example/x?y=z")),
        ),
        (
            "sslRedirect: true, sslProxyHeaders: { X-Forwarded-Proto: https }",
            a,
            Some((301, "https://a.example/x?y=z")),
        ),
        (
            "sslRedirect: true, sslProxyHeaders: { X-Forwarded-Proto: https }",
            "GET /\nHost: a\nX-Forwarded-Proto: https",
            None,
        ),
        ("sslForceHost: true, sslHost: s.example", a, Some((301, "https://s.example/x?y=z"))),
        ("sslForceHost: true, sslHost: s.example", "GET /\nHost: s.example", None),
        ("sslForceHost: true", a, None),
    ] {
        let reply = way_in(keys, lines).err();
        let found = reply.as_ref().map(|r| (r.head.status(), r.head.text_of("Location").unwrap()));
        assert_eq!(found, to, "{keys} {lines}");
    }
    assert!(request(&*filter("headers: { sslRedirect: true }"), &mut tls("GET /")).is_none());
}

#[test]
fn only_allowed_hosts_are_served() {
    let keys = "allowedHosts: [a.example, B.example], hostsProxyHeaders: [X-Forwarded-Host]";
    for (keys, lines, refused) in [
        (keys, "GET /\nHost: a.example", false),
        (keys, "GET /\nHost: b.EXAMPLE:8080", false),
        (keys, "GET /\nHost: c.example", true),
        (keys, "GET /\nHost: c.example\nX-Forwarded-Host: a.example", false),
        (keys, "GET /\nHost: a.example\nX-Forwarded-Host: c.example", true),
        ("allowedHosts: [a.example], isDevelopment: true", "GET /\nHost: c.example", false),
    ] {
        let reply = way_in(keys, lines).err();
        assert_eq!(told(reply.as_ref()), refused.then_some((421, "bad_host")), "{keys} {lines}");
    }
}

#[test]
fn browsers_are_told_what_is_safe() {
    for (keys, name, value) in [
        ("frameDeny: true", "X-Frame-Options", Some("DENY")),
        (
            "frameDeny: true, customFrameOptionsValue: SAMEORIGIN",
            "X-Frame-Options",
            Some("SAMEORIGIN"),
        ),
        ("contentTypeNosniff: true", "X-Content-Type-Options", Some("nosniff")),
        ("browserXssFilter: true", "X-XSS-Protection", Some("1; mode=block")),
        ("browserXssFilter: true, customBrowserXSSValue: '0'", "X-XSS-Protection", Some("0")),
        (
            "contentSecurityPolicy: \"default-src 'self'\"",
            "Content-Security-Policy",
            Some("default-src 'self'"),
        ),
        ("contentSecurityPolicyReportOnly: r", "Content-Security-Policy-Report-Only", Some("r")),
        ("referrerPolicy: same-origin", "Referrer-Policy", Some("same-origin")),
        ("permissionsPolicy: 'camera=()'", "Permissions-Policy", Some("camera=()")),
        ("featurePolicy: \"vibrate 'none'\"", "Feature-Policy", Some("vibrate 'none'")),
        ("stsSeconds: 10", "Strict-Transport-Security", None),
        ("stsSeconds: 10, forceSTSHeader: true", "Strict-Transport-Security", Some("max-age=10")),
        ("publicKey: 'pin-sha256=\"x\"'", "Public-Key-Pins", None),
    ] {
        let head = way_out(keys, "GET /", &[("X-Frame-Options", "theirs")]);
        let found = head.text_of(name).filter(|value| *value != "theirs");
        assert_eq!(found, value, "{keys}");
    }
}

#[test]
fn over_tls_it_is_to_stay_so() {
    let all =
        "stsSeconds: 31536000, stsIncludeSubdomains: true, stsPreload: true, publicKey: 'pin'";
    let head = way_out_of(all, tls("GET /"), &[("Strict-Transport-Security", "max-age=0")]);
    let sts: Vec<_> = head.values("Strict-Transport-Security").collect();
    assert_eq!(sts, [b"max-age=31536000; includeSubDomains; preload"]);
    assert_eq!(head.text_of("Public-Key-Pins"), Some("pin"));
    let development = way_out_of("stsSeconds: 10, isDevelopment: true", tls("GET /"), &[]);
    assert!(!development.has("Strict-Transport-Security"));
    let proxied = "stsSeconds: 10, sslProxyHeaders: { X-Proto: https }";
    assert!(way_out(proxied, "GET /\nX-Proto: https", &[]).has("Strict-Transport-Security"));
}

const CORS: &str = "accessControlAllowMethods: [GET, PUT], accessControlAllowHeaders: ['*'], \
                    accessControlAllowOriginList: ['https://a.example'], \
                    accessControlAllowOriginListRegex: ['^https://[a-z]+\\.b\\.example$'], \
                    accessControlMaxAge: 100, accessControlExposeHeaders: [X-A, X-B], \
                    accessControlAllowCredentials: true, addVaryHeader: true";

#[test]
fn a_preflight_is_answered_here() {
    let preflight =
        |origin: &str| format!("OPTIONS /\nOrigin: {origin}\nAccess-Control-Request-Method: PUT");
    let reply = way_in(CORS, &preflight("https://a.example")).err().expect("an answer");
    let all: Vec<_> =
        reply.head.iter().map(|(n, v)| format!("{n}: {}", v.escape_ascii())).collect();
    assert_eq!((reply.head.status(), reply.reason), (200, "cors_preflight"));
    assert_eq!(
        all,
        [
            "Access-Control-Allow-Credentials: true",
            "Access-Control-Allow-Headers: *",
            "Access-Control-Allow-Methods: GET,PUT",
            "Access-Control-Allow-Origin: https://a.example",
            "Access-Control-Max-Age: 100",
        ]
    );
    let stranger = way_in(CORS, &preflight("https://c.example")).err().expect("an answer");
    assert!(!stranger.head.has("Access-Control-Allow-Origin"));
    assert!(way_in(CORS, "OPTIONS /\nOrigin: https://a.example").is_ok(), "not a preflight");
    assert!(way_in("frameDeny: true", &preflight("https://a.example")).is_ok(), "no CORS here");
}

#[test]
fn answers_say_which_origin_may_read_them() {
    for (origin, allowed) in [
        ("https://a.example", Some("https://a.example")),
        ("https://x.b.example", Some("https://x.b.example")),
        ("https://x.c.example", None),
        ("", None),
    ] {
        let head = way_out(CORS, &format!("GET /\nOrigin: {origin}"), &[("Vary", "Accept")]);
        assert_eq!(head.text_of("Access-Control-Allow-Origin"), allowed, "{origin}");
        assert_eq!(head.text_of("Access-Control-Allow-Credentials"), Some("true"));
        assert_eq!(head.text_of("Access-Control-Expose-Headers"), Some("X-A,X-B"));
        assert!(head.lists("Vary", "Origin") && head.lists("Vary", "Accept"));
    }
    let all = way_out("accessControlAllowOriginList: ['*']", "GET /\nOrigin: https://z", &[]);
    assert_eq!(all.text_of("Access-Control-Allow-Origin"), Some("*"));
}

#[test]
fn labels_have_them_in_lower_case_and_as_text() {
    let labels = "headers: { customrequestheaders: { X-Forwarded-Proto: https }, sslredirect: 'true', \
                  stsSeconds: '31536000', contentTypeNosniff: 'true', browserXssFilter: 'true' }";
    let file = "headers: { customRequestHeaders: { X-Forwarded-Proto: https }, sslRedirect: true, \
                stsSeconds: 31536000, contentTypeNosniff: true, browserXssFilter: true }";
    assert_eq!(read(labels), read(file));
}
