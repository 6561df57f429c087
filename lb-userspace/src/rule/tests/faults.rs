//! What is wrong with a rule, and where.

use super::*;

use Protocol::{Http, Tcp};
use Syntax::{Auto, V2, V3};

#[track_caller]
fn fault(protocol: Protocol, syntax: Syntax, rule: &str, message: &str, hint: Option<&str>) {
    let error = Rule::parse(rule, protocol, syntax).expect_err("a fault");
    assert_eq!((error.message.as_str(), error.hint.as_deref()), (message, hint));
}

#[test]
fn of_the_grammar() {
    let nothing =
        "expected a matcher such as Host(`example.com`) at character 1 of the rule, found its end";
    fault(Http, Auto, "", nothing, None);
    fault(Http, Auto, "  Host", "expected `(` at character 7 of the rule, found its end", None);
    fault(
        Http,
        Auto,
        "Host(a)",
        "expected an argument in backquotes at character 6 of the rule, found \"a\"",
        None,
    );
    fault(
        Http,
        Auto,
        "Host(`a`",
        "expected `,` or `)` at character 9 of the rule, found its end",
        None,
    );
    fault(
        Http,
        Auto,
        "Host(`a",
        "the argument that begins at character 6 of the rule lacks its closing `",
        None,
    );
    fault(
        Http,
        Auto,
        "(Host(`a`)",
        "expected `&&`, `||` or `)` at character 11 of the rule, found its end",
        None,
    );
    fault(
        Http,
        Auto,
        "Host(`a`) & Path(`/`)",
        "expected `&&`, `||` or the end of the rule at character 11 of the rule, found \"&\"",
        None,
    );
    fault(
        Http,
        Auto,
        "Host(`é`) x",
        "expected `&&`, `||` or the end of the rule at character 11 of the rule, found \"x\"",
        None,
    );
    fault(
        Tcp,
        Auto,
        "&&",
        "expected a matcher such as HostSNI(`*`) at character 1 of the rule, found \"&\"",
        None,
    );
    fault(
        Http,
        Auto,
        r#"Path("/\d")"#,
        r"`\d` at character 8 of the rule is no escape; in backquotes `\` stands for itself",
        None,
    );
}

#[test]
fn of_names() {
    fault(
        Http,
        Auto,
        "Hots(`a`)",
        "no matcher \"Hots\" for HTTP, at character 1 of the rule",
        Some("Host"),
    );
    fault(
        Tcp,
        Auto,
        "HostSN(`a`)",
        "no matcher \"HostSN\" for TCP, at character 1 of the rule",
        Some("HostSNI"),
    );
    fault(
        Tcp,
        Auto,
        "ALPN(`h2`) || path(`/`)",
        "path at character 15 of the rule matches HTTP requests; a TCP rule has \"ClientIP\", \"HostSNI\", \
         \"HostSNIRegexp\" or \"ALPN\"",
        None,
    );
    let error = Rule::parse("HostSNI(`a`)", Http, Auto).expect_err("a fault");
    assert!(
        error.message.starts_with(
            "HostSNI at character 1 of the rule matches TCP connections; an HTTP rule has \"Host\""
        ),
        "{error}"
    );
    fault(
        Http,
        V3,
        "Headers(`A`, `b`)",
        "Headers at character 1 of the rule is a matcher of Traefik v2, not of v3",
        Some("Header"),
    );
    fault(
        Http,
        V2,
        "PathRegexp(`a`)",
        "PathRegexp at character 1 of the rule is a matcher of Traefik v3, not of v2",
        Some("Path"),
    );
}

#[test]
fn of_arguments() {
    let at_1 = |name: &str, why: &str| format!("{name} at character 1 of the rule: {why}");
    fault(Http, V3, "Host(`a`, `b`)", &at_1("Host", "takes 1 argument, not 2"), None);
    fault(Http, Auto, "Host()", &at_1("Host", "takes 1 argument, not 0"), None);
    fault(Http, V2, "Host()", &at_1("Host", "takes at least 1 argument, not 0"), None);
    fault(Http, Auto, "Header(`a`)", &at_1("Header", "takes 2 arguments, not 1"), None);
    fault(Http, V3, "Query(`a`, `b`, `c`)", &at_1("Query", "takes 1 or 2 arguments, not 3"), None);
    fault(
        Http,
        Auto,
        "Headers(`a`, `b`, `c`)",
        &at_1("Headers", "takes names with their values, not 3 arguments"),
        None,
    );
    fault(
        Http,
        V2,
        "Query(`a`)",
        &at_1("Query", "\"a\" lacks its value, as in `mobile=true`"),
        None,
    );
    fault(Http, Auto, "Path(`a`)", &at_1("Path", "\"a\" doesn't begin with `/`"), None);
    fault(Http, Auto, "Host(`a b`)", &at_1("Host", "\"a b\" is not a host name"), None);
    fault(
        Http,
        Auto,
        "Header(`a b`, `c`)",
        &at_1("Header", "\"a b\" is not the name of a header"),
        None,
    );
    fault(
        Http,
        Auto,
        "ClientIP(`10.0.0.0/33`)",
        &at_1(
            "ClientIP",
            "\"10.0.0.0/33\" is neither an address nor a network such as 192.0.2.0/24",
        ),
        None,
    );
    fault(
        Http,
        Auto,
        "PathRegexp(`(`)",
        &at_1("PathRegexp", "\"(\" is not a regular expression: unclosed group"),
        None,
    );
    fault(
        Tcp,
        Auto,
        "ALPN(`acme-tls/1`)",
        &at_1("ALPN", "\"acme-tls/1\" is not for routers to take"),
        None,
    );
    fault(Http, V2, "Path(`/{a`)", &at_1("Path", "the braces of \"/{a\" don't pair up"), None);
}

#[test]
fn of_depth() {
    let nested = |depth: usize| format!("{}Host(`a`){}", "(".repeat(depth), ")".repeat(depth));
    assert!(Rule::parse(&nested(63), Http, Auto).is_ok());
    fault(Http, Auto, &nested(64), "the rule nests deeper than 64 levels", None);
    fault(Http, Auto, &"!".repeat(100_000), "the rule nests deeper than 64 levels", None);
}

/// Both syntaxes have failed: the one that understood more of the rule tells why.
#[test]
fn of_neither_syntax() {
    fault(
        Http,
        Auto,
        "Headers(`A`, `b`) && Pat(`/`)",
        "no matcher \"Pat\" for HTTP, at character 22 of the rule",
        Some("Path"),
    );
    fault(
        Http,
        Auto,
        "Host(`a`) && PathRegexp(`a`) && Headers(`A`, `b`)",
        "Headers at character 33 of the rule is a matcher of Traefik v2, not of v3",
        Some("Header"),
    );
}
