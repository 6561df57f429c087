//! What labels can't say is told by the label as it was written.

use super::labels;

macro_rules! refused {
    ($($test:ident: $pairs:expr => $fault:literal;)+) => {
        $(#[test]
        fn $test() {
            let pairs: Vec<(String, String)> =
                $pairs.map(|(key, value): (&str, &str)| (key.to_owned(), value.to_owned())).into();
            let parsed = labels(&pairs, "traefik.");
            let faults: Vec<String> = parsed.faults.iter().map(ToString::to_string).collect();
            assert!(faults.iter().any(|fault| fault.contains($fault)), "{faults:?}");
        })+
    };
}

refused! {
    refused_key_that_is_unknown: [("http.routers.r.rul", "x"), ("http.routers.r.service", "s")]
        => "a: traefik.http.routers.r.rul: unknown key; did you mean \"rule\"?";
    refused_part_that_is_unknown: [("htp.routers.r.rule", "x")] => "a: traefik.htp: unknown key; did you mean \"http\"?";
    refused_middleware_that_is_unknown: [("http.middlewares.m.rateLimt.average", "1")]
        => "traefik.http.middlewares.m.rateLimt: unknown key; did you mean \"rateLimit\"?";
    refused_option_that_is_unknown: [("enabled", "true")] => "traefik.enabled: unknown key; did you mean \"enable\"?";
    refused_option_of_docker: [("docker.netwrk", "web")] => "traefik.docker.netwrk: unknown key; did you mean \"network\"?";
    refused_tls_options: [("tls.options.strict.minversion", "x")] => "traefik.tls: TLS options and certificates don't come by labels";
    refused_static_part: [("entrypoints.web.address", ":80")] => "traefik.entrypoints: belongs into the main file";
    refused_of_traefik_1: [("frontend.rule", "Host:a")] => "traefik.frontend: is of Traefik 1";
    refused_number: [("http.services.s.loadbalancer.servers[0].url", "http://a"), ("http.services.s.loadbalancer.servers[0].weight", "x")]
        => "traefik.http.services.s.loadbalancer.servers[0].weight: expected a whole number from 0 to 65535, found \"x\"";
    refused_boolean: [("http.services.s.loadbalancer.passhostheader", "yes")]
        => "traefik.http.services.s.loadbalancer.passhostheader: expected true or false, found \"yes\"";
    refused_duration: [("http.services.s.loadbalancer.healthcheck.interval", "10 parsecs")]
        => "traefik.http.services.s.loadbalancer.healthcheck.interval: ";
    refused_index: [("http.services.s.loadbalancer.servers[x].url", "http://a")]
        => "traefik.http.services.s.loadbalancer.servers[x]: expected a number in `[…]`";
    refused_empty_part: [("http..rule", "x")] => "has an empty part";
    refused_value_with_keys_below: [("http.routers.r.rule", "x"), ("http.routers.r.rule.more", "x")]
        => "traefik.http.routers.r.rule: has a value and keys below";
    refused_switch_off_with_keys_below: [("http.services.s.loadbalancer.sticky.cookie", "false"),
        ("http.services.s.loadbalancer.sticky.cookie.name", "x")]
        => "traefik.http.services.s.loadbalancer.sticky.cookie: has a value and keys below";
    refused_twice: [("http.routers.r.rule", "a"), ("http.routers.r.RULE", "b")]
        => "traefik.http.routers.r.RULE: contradicts \"traefik.http.routers.r.rule\"";
    refused_two_kinds: [("http.middlewares.m.compress", "true"), ("http.middlewares.m.addprefix.prefix", "/a")]
        => "a middleware is of one kind";
    refused_scheme_in_a_file: [("http.services.s.loadbalancer.servers[0].scheme", "https")] => "belongs to a label";
    refused_object_for_a_text: [("http.routers.r.rule.x", "a"), ("http.routers.r.service", "s")] => "expected a text, found a mapping";
    refused_text_for_an_object: [("http.services.s.loadbalancer", "yes")] => "expected a mapping";
    refused_algorithm: [("http.services.s.loadbalancer.strategy", "wr")] => "did you mean \"wrr\"?";
    refused_server_address_of_http: [("http.services.s.loadbalancer.servers[0].address", "a:1")] => "an HTTP server has a `url`";
    refused_rule_of_udp: [("udp.routers.r.rule", "x"), ("udp.routers.r.service", "s")] => "a UDP router has no rule";
    refused_middlewares_of_udp: [("udp.middlewares.m.x", "x")] => "UDP has no middlewares";
}
