//! What a rule says of itself.

use super::*;

#[test]
fn only_host_sni_with_a_star_takes_all() {
    for (rule, takes_all) in [
        ("HostSNI(`*`)", true),
        (" ( hostsni ( \"*\" ) ) ", true),
        ("HostSNI(`a`, `*`)", true),
        ("!HostSNI(`*`)", false),
        ("HostSNI(`*`) || HostSNI(`a`)", false),
        ("HostSNI(`*`) && ClientIP(`10.0.0.0/8`)", false),
        ("HostSNI(`example.com`)", false),
        ("HostSNIRegexp(`.*`)", false),
    ] {
        assert_eq!(tcp(rule).is_catch_all(), takes_all, "{rule}");
    }
    assert!(!http("PathPrefix(`/`)", Syntax::Auto).is_catch_all());
}

#[test]
fn the_longer_rule_comes_first_unless_it_takes_all() {
    for (rule, priority) in [
        ("Path(`/a`)", 10),
        ("Host(`**.example.com`)", 20),
        ("Host(`*.example.com`)", 21),
        ("Host(`é.example`)", 18),
    ] {
        assert_eq!(http(rule, Syntax::V3).default_priority(), priority, "{rule}");
    }
    assert_eq!(tcp("HostSNI(`*`)").default_priority(), -1);
    assert_eq!(tcp("HostSNI(`a`)").default_priority(), 12);
}

#[test]
fn hosts_are_those_that_are_asked_for() {
    let rule = http(
        "(Host(`A.example`) || Host(`b.example`, `{x}.example`)) && !Host(`c.example`)",
        Syntax::V2,
    );
    assert_eq!(rule.hosts().collect::<Vec<_>>(), ["a.example", "b.example"]);
    assert_eq!(tcp("HostSNI(`db.example`)").hosts().collect::<Vec<_>>(), ["db.example"]);
}

#[test]
fn rules_are_equal_by_what_they_say() {
    let rule = |text| http(text, Syntax::Auto);
    assert_eq!(rule("PathRegexp(`^/a`)"), rule("PathRegexp(`^/a`)"));
    assert_ne!(rule("PathRegexp(`^/a`)"), rule("PathRegexp(`^/b`)"));
    assert_eq!(rule("Path(`/a`)").text(), "Path(`/a`)");
}
