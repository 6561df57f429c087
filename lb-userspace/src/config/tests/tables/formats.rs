//! YAML, TOML and JSON, and what each may do.

use super::*;

const YAML: &str = r#"
entryPoints: { pg: { address: "198.51.100.10:5432" } }
tcp:
  routers: { pg: { entryPoints: [pg], service: pg } }
  services:
    pg: { loadBalancer: { servers: [ { address: "10.0.1.5:5432", weight: 3 } ], drainTimeout: 1m } }
"#;
const TOML: &str = r#"
[entryPoints.pg]
address = "198.51.100.10:5432"
[tcp.routers.pg]
entryPoints = ["pg"]
service = "pg"
[tcp.services.pg.loadBalancer]
drainTimeout = "1m"
[[tcp.services.pg.loadBalancer.servers]]
address = "10.0.1.5:5432"
weight = 3
"#;
const JSON: &str = "{\n\t\"entryPoints\": { \"pg\": { \"address\": \"198.51.100.10:5432\" } },\n\t\"tcp\": {\n\t\t\"routers\": { \"pg\": { \"entryPoints\": [\"pg\"], \"service\": \"pg\" } },\n\t\t\"services\": { \"pg\": { \"loadBalancer\": { \"servers\": [ { \"address\": \"10.0.1.5:5432\", \"weight\": 3 } ], \"drainTimeout\": \"1m\" } } }\n\t}\n}\n";

/// What is the same in every format: all but the places.
fn meaning(file: &str, text: &str) -> Loaded {
    let mut loaded = load(file, text).unwrap_or_else(|faults| panic!("{faults:#?}"));
    for router in &mut loaded.dynamic.routers {
        router.place = Default::default();
    }
    loaded
}

rows! {
    toml: meaning("lb.toml", TOML) => meaning("lb.yaml", YAML);
    json_with_tabs: meaning("lb.json", JSON) => meaning("lb.yaml", YAML);
    a_suffix_in_capitals: meaning("LB.TOML", TOML) => meaning("lb.yaml", YAML);
    no_suffix_is_yaml: meaning("lb", YAML) => meaning("lb.yaml", YAML);
    a_byte_order_mark: meaning("lb.yaml", &format!("\u{feff}{YAML}")) => meaning("lb.yaml", YAML);
    windows_line_ends: meaning("lb.yaml", &YAML.replace('\n', "\r\n")) => meaning("lb.yaml", YAML);
    keys_in_lower_case: meaning("lb.yaml", &YAML.replace("entryPoints", "entrypoints").replace("loadBalancer", "loadbalancer").replace("drainTimeout", "draintimeout")) => meaning("lb.yaml", YAML);
    keys_in_capitals: meaning("lb.yaml", &YAML.replace("entryPoints", "ENTRYPOINTS").replace("servers", "SERVERS")) => meaning("lb.yaml", YAML);
    json_escapes: load("lb.json", "{\"log\":{\"level\":\"\\u0069nfo\"}}").expect("sound").settings.log.level => LogLevel::Info;
    json_surrogates: load("lb.json", "{\"tcp\":{\"services\":{\"\\ud83d\\ude00\":{\"loadBalancer\":{}}}}}").expect("sound").dynamic.services[0].id.name => "😀";
    json_slashes: load("lb.json", "{\"tcp\":{\"services\":{\"s\":{\"loadBalancer\":{\"healthCheck\":{\"path\":\"\\/a\"}}}}}}").expect("sound").dynamic.services.len() => 1;
    an_anchor_and_an_alias: sound("tcp: { services: { a: &one { loadBalancer: { algorithm: random } }, b: *one } }").dynamic.services[1].algorithm => Algorithm::Random;
    a_merge_key: sound("tcp:\n  services:\n    a: { loadBalancer: &one { algorithm: random, onDown: reset } }\n    b: { loadBalancer: { <<: *one, onDown: keep } }\n").dynamic.services[1].algorithm => Algorithm::Random;
    a_merge_key_gives_way: sound("tcp:\n  services:\n    a: { loadBalancer: &one { algorithm: random, onDown: reset } }\n    b: { loadBalancer: { <<: *one, onDown: keep } }\n").dynamic.services[1].on_down => OnDown::Keep;
    names_of_digits: sound("tcp: { services: { 80: { loadBalancer: {} } } }").dynamic.services[0].id.name => "80";
    names_that_look_like_booleans: sound("tcp: { services: { on: { loadBalancer: {} }, true: { loadBalancer: {} } } }").dynamic.services.len() => 2;
    names_keep_their_case: sound("tcp: { services: { Pg: { loadBalancer: {} } } }").dynamic.services[0].id.name => "Pg";
}

#[test]
fn bytes_that_are_not_utf8() {
    let bytes = b"log:\n  level: \xff\n";
    let host = crate::config::HostPorts::default();
    let faults = crate::config::load_bytes("lb.yaml".as_ref(), bytes, &host).expect_err("a fault");
    assert_eq!(faults[0].to_string(), "lb.yaml:2:10: not UTF-8; save the file as UTF-8");
}

#[test]
fn twenty_thousand_servers() {
    let mut text = String::from("tcp:\n  services:\n");
    for service in 0..20 {
        text.push_str(&format!("    s{service}:\n      loadBalancer:\n        servers:\n"));
        for server in 0..1000 {
            let (a, b) = (server / 250, server % 250);
            text.push_str(&format!(
                "          - {{ address: \"10.{service}.{a}.{b}:80\", weight: 2 }}\n"
            ));
        }
    }
    let loaded = sound(&text);
    let servers: usize = loaded.dynamic.services.iter().map(|one| one.servers.len()).sum();
    assert_eq!(servers, 20_000);
}

#[test]
fn an_alias_bomb_is_refused() {
    let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for n in 1..12 {
        let before = n - 1;
        text.push_str(&format!("a{n}: &a{n} [*a{before}, *a{before}, *a{before}, *a{before}, *a{before}, *a{before}, *a{before}, *a{before}, *a{before}, *a{before}]\n"));
    }
    assert!(load("lb.yaml", &text).is_err());
}

#[test]
fn deep_nesting_is_refused() {
    assert!(load("lb.yaml", &"[".repeat(100_000)).is_err());
    assert!(load("lb.json", &"[".repeat(100_000)).is_err());
    assert!(load("lb.toml", &format!("a = {}", "[".repeat(100_000))).is_err());
}
