//! Every example in `configs/` is sound, and together they show every key.

use std::{fs, path::PathBuf};

use crate::{config::load, model::Protocol, provider::check};

fn configs() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../configs")
}

/// Certificates and keys that a machine which runs the example has.
const INSTALLED: &str = "there is no /etc/lb/tls/";

macro_rules! examples {
    ($($(#[$meta:meta])* $name:ident: $file:literal, $routers:literal routers, $services:literal services;)*) => {
        $(
            $(#[$meta])*
            #[test]
            fn $name() {
                let file = configs().join($file);
                let mut checked = check(&file);
                checked.faults.retain(|fault| !fault.message.starts_with(INSTALLED));
                assert_eq!(checked.faults, [], "{}", $file);
                assert_eq!(checked.warnings, [], "{}", $file);
                let loaded = load(&file).expect("a sound file");
                assert_eq!(loaded.dynamic.routers.len(), $routers);
                assert_eq!(loaded.dynamic.services.len(), $services);
            }
        )*

        #[test]
        fn every_example_has_a_test() {
            for entry in fs::read_dir(configs()).expect("configs/") {
                let path = entry.expect("its entry").path();
                let name = path.file_name().and_then(|name| name.to_str()).expect("a name");
                let named = [$($file),*].contains(&name);
                assert!(named || path.is_dir(), "{name} has no test");
            }
        }
    };
}

examples! {
    minimal: "minimal.yaml", 1 routers, 1 services;
    demo: "demo.yaml", 2 routers, 2 services;
    udp_dns: "udp-dns.yaml", 2 routers, 2 services;
    ipv6: "ipv6.yaml", 2 routers, 2 services;
    container: "container.yaml", 2 routers, 2 services;
    l4_full: "l4-full.yaml", 4 routers, 3 services;
    file_provider: "file-provider.yaml", 0 routers, 0 services;
    http: "http.yaml", 3 routers, 2 services;
    tls: "tls.yaml", 3 routers, 1 services;
    tcp_sni: "tcp-sni.yaml", 3 routers, 3 services;
    nats: "nats.yaml", 1 routers, 1 services;
    docker: "docker.yaml", 0 routers, 0 services;
    swarm: "swarm.yaml", 0 routers, 0 services;
    dns: "dns.yaml", 0 routers, 0 services;
    registry: "registry.yaml", 0 routers, 0 services;
    consul: "consul.yaml", 0 routers, 0 services;
    canary: "canary.yaml", 3 routers, 5 services;
    #[cfg(feature = "otel")]
    tracing: "tracing.yaml", 1 routers, 1 services;
}

/// Nothing else reads it until somebody builds by a profile.
#[test]
fn what_a_guided_build_is_trained_with_is_sound() {
    let file = configs().join("../tests/bench/l7/features.yaml");
    let checked = check(&file);
    assert_eq!((checked.faults, checked.warnings), (vec![], vec![]));
    assert_eq!(load(&file).expect("a sound file").dynamic.routers.len(), 6);
}

#[test]
fn the_full_example_names_every_key() {
    let text = fs::read_to_string(configs().join("l4-full.yaml")).expect("readable");
    let keys = [
        "entryPoints",
        "address",
        "datapath",
        "interfaces",
        "mode",
        "connections",
        "backends",
        "ringSize",
        "nat",
        "addresses",
        "ports",
        "returnPath",
        "timeouts",
        "tcpEstablished",
        "tcpHalfOpen",
        "tcpClosing",
        "tcpClosed",
        "udp",
        "udpUnanswered",
        "trace",
        "tcp",
        "routers",
        "rule",
        "service",
        "priority",
        "services",
        "loadBalancer",
        "servers",
        "weight",
        "forwarding",
        "algorithm",
        "healthCheck",
        "interval",
        "timeout",
        "rise",
        "fall",
        "port",
        "path",
        "scheme",
        "method",
        "status",
        "hostname",
        "headers",
        "followRedirects",
        "onDown",
        "onEmpty",
        "drainTimeout",
        "providers",
        "file",
        "directory",
        "watch",
        "providersThrottleDuration",
        "api",
        "metrics",
        "prometheus",
        "log",
        "level",
        "format",
        "ping",
    ];
    for key in keys {
        assert!(text.contains(&format!("{key}:")), "{key} is missing");
    }
}

#[test]
fn the_full_example_shows_the_defaults_it_says() {
    let loaded = load(&configs().join("l4-full.yaml")).expect("a sound file");
    let mut datapath = loaded.settings.datapath.clone();
    datapath.interfaces = Default::default();
    datapath.nat.addresses.clear();
    assert_eq!(datapath, Default::default());
    assert_eq!(loaded.settings.throttle, std::time::Duration::ZERO);
}

#[test]
fn the_demo_is_what_the_demo_expects() {
    let loaded = load(&configs().join("demo.yaml")).expect("a sound file");
    let web = &loaded.entry_points["web"];
    assert_eq!((web.ip, web.port), ("198.51.100.10".parse().ok(), 80));
    assert_eq!(loaded.entry_points["echo"].protocol, Protocol::Udp);
    for service in &loaded.dynamic.services {
        let weights: Vec<u32> = service.servers.iter().map(|server| server.weight).collect();
        assert_eq!(weights, [3, 2, 1]);
        assert!(service.health_check.is_some());
    }
}
