//! Each matcher and what it makes of requests.

use super::*;
use crate::proxy::Exchange;

use Syntax::{Auto, V2, V3};

/// Asserts which of some requests a rule takes.
fn table(syntax: Syntax, rule: &str, yes: &[&str], no: &[&str]) {
    let rule = http(rule, syntax);
    for request in yes {
        assert!(rule.matches(&Exchange::made_up(request)), "{rule:?} ought to take {request:?}");
    }
    for request in no {
        assert!(
            !rule.matches(&Exchange::made_up(request)),
            "{rule:?} ought not to take {request:?}"
        );
    }
}

#[test]
fn host() {
    let yes =
        ["GET /\nHost: example.com", "GET /\nHost: EXAMPLE.com:8080", "GET /\nhost: example.com."];
    let no = ["GET /", "GET /\nHost: www.example.com", "GET /\nHost: example.org"];
    for syntax in [V3, V2] {
        for rule in ["Host(`example.com`)", "HOST('Example.Com')", "Host(\"example.com.\")"] {
            table(syntax, rule, &yes, &no);
        }
    }
    table(
        V3,
        "Host(`*.example.com`)",
        &["GET /\nHost: a.example.com"],
        &["GET /\nHost: a.b.example.com"],
    );
    table(
        V3,
        "Host(`**.example.com`)",
        &["GET /\nHost: a.b.example.com"],
        &["GET /\nHost: example.com"],
    );
    table(
        V2,
        "Host(`a.example`, `b.example`)",
        &["GET /\nHost: b.example"],
        &["GET /\nHost: c.example"],
    );
    table(V2, "HostHeader(`a.example`)", &["GET /\nHost: a.example"], &["GET /\nHost: b.example"]);
    table(
        Auto,
        "Host(`{sub:[a-z]+}.a.example`)",
        &["GET /\nHost: x.a.example"],
        &["GET /\nHost: 1.a.example"],
    );
}

#[test]
fn host_regexp() {
    let yes = ["GET /\nHost: a.example.com", "GET /\nHost: A.EXAMPLE.COM:80"];
    let no = ["GET /\nHost: example.com", "GET /\nHost: 1.example.com"];
    table(V3, r"HostRegexp(`^[a-z]+\.example\.com$`)", &yes, &no);
    table(Auto, "HostRegexp(`{sub:[a-z]+}.example.com`)", &yes, &no);
    table(V2, "HostRegexp(`x.example`, `{sub:[a-z]+}.example.com`)", &yes, &no);
    table(
        V3,
        r"HostRegexp(`example`)",
        &["GET /\nHost: an-example.org"],
        &["GET /\nHost: exam.ple"],
    );
    table(
        V2,
        "HostRegexp(`example.com`)",
        &["GET /\nHost: example.com"],
        &["GET /\nHost: exampleXcom"],
    );
}

#[test]
fn path() {
    let no = ["GET /users/", "GET /users/7", "GET /Users", "GET /", "GET /xusers"];
    for syntax in [V3, V2] {
        table(syntax, "Path(`/users`)", &["GET /users", "GET /users?a=/b", "GET /u%73ers"], &no);
    }
    table(V3, "Path(`/a b`)", &["GET /a%20b"], &["GET /a%2520b"]);
    table(V3, "Path(`/a%20b`)", &["GET /a%20b"], &["GET /a"]);
    table(V2, "Path(`/a`, `/b`)", &["GET /a", "GET /b"], &["GET /c"]);
    table(
        Auto,
        "Path(`/users/{id:[0-9]+}`)",
        &["GET /users/12"],
        &["GET /users/x", "GET /users/1/2"],
    );
    table(V3, "Path(`/{id}`)", &["GET /{id}"], &["GET /7"]);
}

#[test]
fn path_prefix() {
    for syntax in [V3, V2] {
        let yes = ["GET /api", "GET /api/v1", "GET /apis", "GET /api?x"];
        table(syntax, "PathPrefix(`/api`)", &yes, &["GET /ap", "GET /x/api", "GET /"]);
        table(syntax, "PathPrefix(`/`)", &["GET /", "GET /a"], &[]);
    }
    table(V2, "PathPrefix(`/a`, `/b/{n:[0-9]+}`)", &["GET /a", "GET /b/1/x"], &["GET /b/x"]);
}

#[test]
fn path_regexp() {
    table(
        V3,
        "PathRegexp(`^/users/[0-9]+$`)",
        &["GET /users/7"],
        &["GET /users/x", "GET /users/7/"],
    );
    table(V3, r"PathRegexp(`\.(jpe?g|png)$`)", &["GET /a/b.jpg", "GET /x.png?y"], &["GET /a.gif"]);
    table(V3, "PathRegexp(`(?i)^/A`)", &["GET /ab"], &["GET /ba"]);
}

#[test]
fn header() {
    let yes = ["GET /\nX-Version: 2", "GET /\nx-version: 1\nX-Version: 2"];
    let no = ["GET /", "GET /\nX-Version: 22", "GET /\nX-Version:", "GET /\nX-Other: 2"];
    table(V3, "Header(`x-version`, `2`)", &yes, &no);
    table(V2, "Headers(`X-Version`, `2`)", &yes, &no);
    table(Auto, "Headers(`X-Version`, `2`)", &yes, &no);
    table(
        V2,
        "Headers(`A`, `1`, `B`, ``)",
        &["GET /\nA: 1\nB: x"],
        &["GET /\nA: 1", "GET /\nB: x"],
    );
    table(V3, "Header(`A`, ``)", &["GET /\nA:"], &["GET /\nA: 1", "GET /"]);
}

#[test]
fn header_regexp() {
    let yes = ["GET /\nContent-Type: application/json", "GET /\nContent-Type: application/yaml"];
    let no = ["GET /", "GET /\nContent-Type: text/html"];
    table(V3, "HeaderRegexp(`Content-Type`, `^application/(json|yaml)$`)", &yes, &no);
    table(Auto, "HeadersRegexp(`Content-Type`, `^application/`)", &yes, &no);
    table(V2, "HeadersRegexp(`A`, `1`, `B`, `2`)", &["GET /\nA: 1\nB: 2"], &["GET /\nA: 1"]);
}

#[test]
fn method() {
    table(V3, "Method(`post`)", &["POST /"], &["GET /", "post /"]);
    table(Auto, "Method(`GET`, `POST`)", &["GET /", "POST /"], &["PUT /"]);
}

#[test]
fn query() {
    let yes = ["GET /?mobile=true", "GET /?a&mobile=x&mobile=true", "GET /?mob%69le=tru%65"];
    let no =
        ["GET /", "GET /?mobile", "GET /?mobile=truely", "GET /?Mobile=true", "GET /mobile=true"];
    table(V3, "Query(`mobile`, `true`)", &yes, &no);
    table(V2, "Query(`mobile`, `true`)", &yes, &no);
    table(Auto, "Query(`mobile=true`)", &yes, &no);
    table(
        V3,
        "Query(`mobile`)",
        &["GET /?mobile", "GET /?mobile="],
        &["GET /?mobile=1", "GET /?x"],
    );
    table(V2, "Query(`a=1`, `b=`)", &["GET /?a=1&b=x"], &["GET /?a=1", "GET /?b=x"]);
    table(V2, "Query(`a={n:[0-9]+}`)", &["GET /?a=12"], &["GET /?a=x"]);
    table(V3, "Query(`q`, `a b`)", &["GET /?q=a+b", "GET /?q=a%20b"], &["GET /?q=a"]);
}

#[test]
fn query_regexp() {
    let yes = ["GET /?mobile=yes", "GET /?mobile=no&mobile=true"];
    table(V3, "QueryRegexp(`mobile`, `^(true|yes)$`)", &yes, &["GET /", "GET /?mobile=no"]);
    table(V3, "QueryRegexp(`mobile`)", &["GET /?mobile"], &["GET /?mobile=1"]);
}

#[test]
fn client_ip() {
    // Whoever is made up has the address 192.0.2.1.
    for rule in ["ClientIP(`192.0.2.1`)", "ClientIP(`192.0.2.0/24`)", "ClientIP(`192.0.2.77/24`)"] {
        table(V3, rule, &["GET /"], &[]);
    }
    for rule in ["ClientIP(`192.0.2.2`)", "ClientIP(`10.0.0.0/8`)", "ClientIP(`2001:db8::/32`)"] {
        table(V3, rule, &[], &["GET /"]);
    }
    table(Auto, "ClientIP(`10.0.0.0/8`, `192.0.2.0/24`)", &["GET /"], &[]);
}

#[test]
fn operators_bind_as_in_go() {
    let a_or_b_and_get = "Path(`/a`) || Path(`/b`) && Method(`GET`)";
    table(V3, a_or_b_and_get, &["POST /a", "GET /b"], &["POST /b"]);
    table(V3, "(Path(`/a`) || Path(`/b`)) && Method(`GET`)", &["GET /a"], &["POST /a"]);
    table(V3, "!Path(`/a`) && Method(`GET`)", &["GET /b"], &["GET /a", "POST /b"]);
    table(V3, "!(Path(`/a`) || Path(`/b`))", &["GET /c"], &["GET /a", "GET /b"]);
    table(V3, "!!Path(`/a`)", &["GET /a"], &["GET /b"]);
}

#[test]
fn quoted_texts_know_escapes_and_backquotes_dont() {
    table(V3, r#"Header(`A`, "a\"b")"#, &["GET /\nA: a\"b"], &["GET /\nA: ab"]);
    table(V3, r"PathRegexp('^/\\d$')", &["GET /7"], &["GET /x"]);
    table(V3, r"Header(`A`, `a\b`)", &["GET /\nA: a\\b"], &["GET /\nA: ab"]);
}
