//! HTTP: routers, services, middlewares, servers transports.

use super::*;
use crate::model::{
    Composed, Cookie, HttpBalancing, Id, Observability, PassiveCheck, RouterConfig, SameSite,
    Scheme, ServerOptions, Transport,
};

fn balancing(inner: &str) -> HttpBalancing {
    HttpBalancing::clone(&service_of("http", inner).http)
}

fn cookie(inner: &str) -> Cookie {
    balancing(&format!("sticky: {{ cookie: {inner} }}")).sticky.expect("a cookie")
}

fn passive(inner: &str) -> PassiveCheck {
    balancing(&format!("passiveHealthCheck: {{ {inner} }}")).passive.expect("a check")
}

fn options(inner: &str) -> ServerOptions {
    let servers = format!("servers: [ {{ url: 'http://a', {inner} }} ]");
    service_of("http", &servers).servers.remove(0).options
}

fn url(url: &str) -> (Scheme, String, String) {
    let server = service_of("http", &format!("servers: [ {{ url: '{url}' }} ]")).servers.remove(0);
    (server.options.scheme, server.address(), server.options.path.to_string())
}

fn transport(inner: &str) -> Transport {
    let text = format!("http: {{ serversTransports: {{ t: {{ {inner} }} }} }}");
    sound(&text).dynamic.transports.remove(0)
}

fn default_transport() -> Transport {
    Transport::new(id("t"))
}

fn id(name: &str) -> Id {
    Id::new(Protocol::Http, name, "file")
}

fn router(inner: &str) -> RouterConfig {
    let text = format!(
        "entryPoints: {{ e: {{ address: ':80' }} }}\nhttp:\n  services: {{ s: {{ loadBalancer: {{}} }} }}\n\
         \x20 middlewares: {{ a: {{ addPrefix: {{ prefix: /a }} }}, b: {{ addPrefix: {{ prefix: /b }} }} }}\n\
         \x20 routers: {{ r: {{ rule: 'Host(`a.example`)', service: s, {inner} }} }}\n\
         tls: {{ options: {{ strict: {{}} }} }}\ncertificatesResolvers: {{ le: {{ acme: {{}} }} }}\n"
    );
    let loaded = sound(&text);
    assert_eq!(loaded.faults, []);
    RouterConfig::clone(&loaded.dynamic.routers[0])
}

/// What service `all` is made of, beside `a` and `b`.
fn composed(inner: &str) -> Composed {
    let text = format!(
        "http: {{ services: {{ a: {{ loadBalancer: {{}} }}, all: {{ {inner} }}, b: {{ loadBalancer: {{}} }} }} }}"
    );
    let services = sound(&text).dynamic.services;
    services.iter().find_map(|service| service.composed.clone()).expect("a composed service")
}

rows! {
    algorithm_by_default: service_of("http", "").algorithm => Algorithm::RoundRobin;
    algorithm_wrr: service_of("http", "strategy: wrr").algorithm => Algorithm::RoundRobin;
    algorithm_p2c: service_of("http", "strategy: p2c").algorithm => Algorithm::P2c;
    algorithm_hrw: service_of("http", "strategy: hrw").algorithm => Algorithm::SourceHash;
    algorithm_least_time: service_of("http", "strategy: leasttime").algorithm => Algorithm::LeastTime;
    algorithm_least_conn: service_of("http", "algorithm: leastConn").algorithm => Algorithm::LeastConn;
    algorithm_random: service_of("http", "algorithm: random").algorithm => Algorithm::Random;
    algorithm_maglev: service_of("http", "algorithm: maglev").algorithm => Algorithm::Maglev;
    balancing_by_default: balancing("") => HttpBalancing::default();
    pass_host: balancing("passHostHeader: false").pass_host => false;
    flush: balancing("responseForwarding: { flushInterval: 1s }").flush_interval => Duration::from_secs(1);
    flush_at_once: balancing("responseForwarding: { flushInterval: -1ms }").flush_interval => Duration::ZERO;
    flush_at_once_by_number: balancing("responseForwarding: { flushInterval: -1 }").flush_interval => Duration::ZERO;
    slow_start: balancing("slowStart: 30s").slow_start => Duration::from_secs(30);
    queue: balancing("queue: 0, queueTimeout: 1s").queue => 0;
    queue_timeout: balancing("queue: 0, queueTimeout: 1s").queue_timeout => Duration::from_secs(1);
    drain_timeout: service_of("http", "drainTimeout: 10s").drain_timeout => Duration::from_secs(10);
    sticky_off: balancing("sticky: { cookie: false }").sticky => None;
    sticky_without_cookie: balancing("sticky: {}").sticky => None;
    sticky_on: cookie("true") => Cookie::default();
    sticky_in_quotes: cookie("'true'") => Cookie::default();
    sticky_empty: cookie("{}") => Cookie::default();
    cookie_name: cookie("{ name: server_id }").name => Some("server_id".to_owned());
    cookie_flags: { let c = cookie("{ secure: true, httpOnly: true }"); (c.secure, c.http_only) } => (true, true);
    cookie_same_site_none: cookie("{ sameSite: none }").same_site => Some(SameSite::None);
    cookie_same_site_lax: cookie("{ sameSite: Lax }").same_site => Some(SameSite::Lax);
    cookie_same_site_strict: cookie("{ sameSite: strict }").same_site => Some(SameSite::Strict);
    cookie_max_age: cookie("{ maxAge: 3600 }").max_age => 3600;
    cookie_max_age_negative: cookie("{ maxAge: -1 }").max_age => -1;
    cookie_path: cookie("{ path: /app }").path => Some("/app".to_owned());
    cookie_domain: cookie("{ domain: a.example }").domain => Some("a.example".to_owned());
    passive_by_default: passive("") => PassiveCheck::default();
    passive_window: passive("failureWindow: 3s").window => Duration::from_secs(3);
    passive_attempts: passive("maxFailedAttempts: 9").max_failed => 9;
    passive_ejection: passive("ejectionTime: 1m").ejection => Duration::from_secs(60);
    passive_latency: passive("maxLatency: 2s").max_latency => ms(2000);
    passive_percent: passive("maxEjectedPercent: 10").max_ejected_percent => 10;
    url_http: url("http://10.0.1.5:8080") => (Scheme::Http, "10.0.1.5:8080".to_owned(), String::new());
    url_https: url("https://web.example.com/app/") => (Scheme::Https, "web.example.com:443".to_owned(), "/app".to_owned());
    url_h2c: url("h2c://[2001:db8::1]:50051") => (Scheme::H2c, "[2001:db8::1]:50051".to_owned(), String::new());
    server_by_default: options("") => ServerOptions::default();
    server_preserve_path: options("preservePath: true").preserve_path => true;
    server_max_connections: options("maxConnections: 7").max_connections => 7;
    server_timeout: options("timeout: 30s").timeout => ms(30_000);
    server_weight: service_of("http", "servers: [ { url: 'http://a', weight: 0 } ]").servers[0].weight => 0;
    health_by_default_is_http: service_of("http", "healthCheck: {}").health_check.map(|c| matches!(c.kind, CheckKind::Http { .. })) => Some(true);
    health_by_tcp: service_of("http", "healthCheck: { mode: tcp }").health_check.map(|c| c.kind) => Some(CheckKind::Tcp);
    health_unhealthy_interval: service_of("http", "healthCheck: { unhealthyInterval: 1s }").health_check.and_then(|c| c.unhealthy_interval) => ms(1000);
    weighted: composed("weighted: { services: [ { name: a, weight: 3 }, { name: b } ] }") => Composed::Weighted { services: vec![(id("a"), 3), (id("b"), 1)], sticky: None };
    weighted_sticky: composed("weighted: { services: [ { name: a } ], sticky: { cookie: true }, healthCheck: {} }") => Composed::Weighted { services: vec![(id("a"), 1)], sticky: Some(Cookie::default()) };
    weighted_of_another_provider: composed("weighted: { services: [ { name: x@docker } ] }") => Composed::Weighted { services: vec![(Id::new(Protocol::Http, "x", "docker"), 1)], sticky: None };
    mirroring_by_default: composed("mirroring: { service: a }") => Composed::Mirroring { service: id("a"), mirror_body: true, max_body: None, mirrors: vec![] };
    mirroring: composed("mirroring: { service: a, mirrorBody: false, maxBodySize: 10, mirrors: [ { name: b, percent: 5 } ] }") => Composed::Mirroring { service: id("a"), mirror_body: false, max_body: Some(10), mirrors: vec![(id("b"), 5)] };
    mirroring_any_body: composed("mirroring: { service: a, maxBodySize: -1, mirrors: [ { name: b } ] }") => Composed::Mirroring { service: id("a"), mirror_body: true, max_body: None, mirrors: vec![(id("b"), 0)] };
    failover: composed("failover: { service: a, fallback: b }") => Composed::Failover { service: id("a"), fallback: id("b") };
    highest_random_weight: composed("highestRandomWeight: { services: [ { name: a, weight: 2 } ] }") => Composed::HighestRandomWeight { services: vec![(id("a"), 2)] };
    transport_by_default: transport("") => default_transport();
    transport_server_name: transport("serverName: a.example").tls.server_name => Some("a.example".to_owned());
    transport_skip_verify: transport("insecureSkipVerify: true").tls.skip_verify => true;
    transport_root_cas: transport("rootCAs: [ca.pem, '-----BEGIN CERTIFICATE-----']").tls.root_cas => [Pem::File("ca.pem".into()), Pem::Text("-----BEGIN CERTIFICATE-----".into())];
    transport_certificates: transport("certificates: [ { certFile: c.pem, keyFile: /k.pem } ]").tls.certificates => [(Pem::File("c.pem".into()), Pem::File("/k.pem".into()))];
    transport_uri: transport("peerCertURI: 'spiffe://a'").tls.peer_cert_uri => Some("spiffe://a".to_owned());
    transport_idle: transport("maxIdleConnsPerHost: 7").max_idle => 7;
    transport_no_idle: transport("maxIdleConnsPerHost: -1").max_idle => 0;
    transport_http2: transport("disableHTTP2: true").disable_http2 => true;
    transport_dial: transport("forwardingTimeouts: { dialTimeout: 1s }").dial_timeout => Duration::from_secs(1);
    transport_head: transport("forwardingTimeouts: { responseHeaderTimeout: 2s }").response_header_timeout => Duration::from_secs(2);
    transport_idle_time: transport("forwardingTimeouts: { idleConnTimeout: 3s }").idle_timeout => Duration::from_secs(3);
    transport_ping: transport("forwardingTimeouts: { readIdleTimeout: 4s, pingTimeout: 5s }").ping_interval => Duration::from_secs(4);
    transport_pong: transport("forwardingTimeouts: { readIdleTimeout: 4s, pingTimeout: 5s }").ping_timeout => Duration::from_secs(5);
    router_middlewares: router("middlewares: [b, a@file, c@docker]").middlewares => ["b", "a@file", "c@docker"];
    router_rule: router("priority: 0").rule.map(|rule| rule.text().to_owned()) => Some("Host(`a.example`)".to_owned());
    router_priority: router("priority: -3").priority => -3;
    router_without_tls: router("priority: 0").tls => None;
    router_tls_off: router("tls: false").tls => None;
    router_tls_on: router("tls: true").tls.is_some() => true;
    router_tls_empty: router("tls: {}").tls.is_some() => true;
    router_tls_options: router("tls: { options: strict }").tls.and_then(|tls| tls.options.clone()) => Some("strict".to_owned());
    router_tls_resolver: router("tls: { certResolver: le }").tls.and_then(|tls| tls.resolver.clone()) => Some("le".to_owned());
    router_tls_domains: router("tls: { domains: [ { main: a.example, sans: [b.example] } ] }").tls.map(|tls| tls.domains.clone()) => Some(vec![("a.example".to_owned(), vec!["b.example".to_owned()])]);
    router_observability: router("observability: { accessLogs: false, tracing: true }").observability => Observability { access_logs: Some(false), metrics: None, tracing: Some(true) };
    router_to_the_proxy: router("datapath: proxy").datapath => PathChoice::Proxy;
}
