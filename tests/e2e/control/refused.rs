//! What lb doesn't do yet is refused by name, never accepted and ignored.

use std::fs;

use anyhow::Result;
use lb_tests::{Namespace, client::tcp::Echo};

use super::kit::{lab, lb, pg, quiet, start, states};

/// A main file with these lines beside a sound router.
fn check(more: &str) -> Result<(i32, String)> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("lb.yaml");
    fs::write(&path, more)?;
    let outcome = lb(&["check", "-c", &path.display().to_string()])?;
    Ok((outcome.code, outcome.stderr.replace(&format!("{}:", path.display()), "")))
}

macro_rules! refused {
    ($($name:ident: $text:expr => $message:expr;)+) => {$(
        #[test]
        fn $name() -> Result<()> {
            let (code, stderr) = check($text)?;
            assert_eq!((code, stderr.trim_end()), (1, $message));
            Ok(())
        }
    )+};
}

/// A TCP service with one more key, at line 1.
macro_rules! service {
    ($key:literal) => {
        concat!(
            "tcp: { services: { pg: { loadBalancer: { servers: [ { address: \"10.0.1.5:1\" } ], ",
            $key,
            " } } } }\n"
        )
    };
}

/// A TCP router with these keys at line 3, at an entry point with an address.
macro_rules! router {
    ($keys:literal) => {
        concat!(
            "entryPoints: { pg: { address: \"198.51.100.10:5432\" } }\ntcp:\n  routers: { pg: { service: pg, ",
            $keys,
            " } }\n  services: { pg: { loadBalancer: { servers: [ { address: \"10.0.1.5:1\" } ] } } }\n"
        )
    };
}

refused! {
    tls_in_the_kernel: router!("datapath: kernel, tls: {}") =>
        "3:43: tcp.routers.pg.datapath: the kernel can't serve it: it has TLS";
    middlewares_in_the_kernel: "entryPoints: { pg: { address: \"198.51.100.10:5432\" } }\ntcp:\n  routers: { pg: { service: pg, datapath: kernel, middlewares: [few] } }\n  middlewares: { few: { inFlightConn: { amount: 9 } } }\n  services: { pg: { loadBalancer: { servers: [ { address: \"10.0.1.5:1\" } ] } } }\n" =>
        "3:43: tcp.routers.pg.datapath: the kernel can't serve it: it has middlewares";
    a_name_in_a_rule_in_the_kernel: router!("datapath: kernel, rule: \"HostSNI(`a.example`)\"") =>
        "3:43: tcp.routers.pg.datapath: the kernel can't serve it: it has the rule HostSNI(`a.example`)";
    http_in_the_kernel: "entryPoints: { web: { address: \"198.51.100.10:80\" } }\nhttp:\n  routers: { web: { service: web, rule: \"Path(`/`)\", datapath: kernel } }\n  services: { web: { loadBalancer: {} } }\n" =>
        "3:64: http.routers.web.datapath: the kernel can't serve it: HTTP is the proxy's";
    an_algorithm_of_the_proxy_in_the_kernel: "entryPoints: { pg: { address: \"198.51.100.10:5432\" } }\ntcp:\n  routers: { pg: { service: pg, datapath: kernel } }\n  services: { pg: { loadBalancer: { algorithm: p2c, servers: [ { address: \"10.0.1.5:1\" } ] } } }\n" =>
        "3:43: tcp.routers.pg.datapath: the kernel can't serve it: service pg@file has the algorithm p2c, which only the proxy has";
    the_proxy_protocol_in_the_kernel: "entryPoints: { pg: { address: \"198.51.100.10:5432\" } }\ntcp:\n  routers: { pg: { service: pg, datapath: kernel } }\n  services: { pg: { loadBalancer: { proxyProtocol: {}, servers: [ { address: \"10.0.1.5:1\" } ] } } }\n" =>
        "3:43: tcp.routers.pg.datapath: the kernel can't serve it: service pg@file has a servers transport";
    an_entry_point_on_loopback_in_the_kernel: "entryPoints: { pg: { address: \"127.0.0.1:5432\" } }\ntcp:\n  routers: { pg: { service: pg, datapath: kernel } }\n  services: { pg: { loadBalancer: { servers: [ { address: \"10.0.1.5:1\" } ] } } }\n" =>
        "3:43: tcp.routers.pg.datapath: the kernel can't serve it: entry point \"pg\" is on loopback (127.0.0.1), where no packet comes in";
    http3: "entryPoints: { web: { address: \":443\", http3: {} } }\n" =>
        "1:40: entryPoints.web.http3: HTTP/3 isn't done yet";
    spans_by_grpc: "tracing: { otlp: { grpc: { endpoint: \"10.0.1.9:4317\" } } }\n" =>
        "1:20: tracing.otlp.grpc: lb sends spans by OTLP over HTTP alone: use tracing.otlp.http (port 4318 of most collectors)";
    a_plugin: "http: { middlewares: { a: { plugin: { x: {} } } } }\n" =>
        "1:29: http.middlewares.a.plugin: lb has no plugins; its own middlewares are listed in README.md";
    a_generated_certificate: "tls: { stores: { default: { defaultGeneratedCert: { resolver: le } } } }\n" =>
        "1:29: tls.stores.default.defaultGeneratedCert: obtaining certificates isn't done yet: give `defaultCertificate`";
    certificates_of_tailscale: "certificatesResolvers: { ts: { tailscale: {} } }\n" =>
        "1:32: certificatesResolvers.ts.tailscale: certificates of Tailscale aren't done yet";
    spiffe: "http: { serversTransports: { t: { spiffe: {} } } }\n" =>
        "1:35: http.serversTransports.t.spiffe: SPIFFE isn't done yet: give `rootCAs` and `peerCertURI`";
    failing_over_by_status: "http: { services: { a: { failover: { service: a@docker, fallback: b@docker, errors: { status: [\"500\"] } } } } }\n" =>
        "1:77: http.services.a.failover.errors: failing over by the status of an answer isn't done yet";
    labels_from_headers: "metrics: { prometheus: { headerLabels: { a: b } } }\n" =>
        "1:26: metrics.prometheus.headerLabels: labels from headers aren't done yet";
    routers_under_routers: "http: { routers: { a: { rule: \"Path(`/`)\", service: a@docker, parentRefs: [b] } } }\n" =>
        "1:63: http.routers.a.parentRefs: routers under routers aren't done yet; write one rule";
    direct_server_return: service!("forwarding: dsr") =>
        "1:94: tcp.services.pg.loadBalancer.forwarding: forwarding \"dsr\" isn't done yet; \"nat\" is";
    ipip: service!("forwarding: ipip") =>
        "1:94: tcp.services.pg.loadBalancer.forwarding: forwarding \"ipip\" isn't done yet; \"nat\" is";
    gue: service!("forwarding: gue") =>
        "1:94: tcp.services.pg.loadBalancer.forwarding: forwarding \"gue\" isn't done yet; \"nat\" is";
    another_provider: "providers: { etcd: {} }\n" =>
        "1:14: providers.etcd: lb doesn't have this provider yet; there are `file`, `docker`, `swarm`, `consulCatalog`, `consul`, `nats`, `dns` and `http`";
    a_check_of_bytes: service!("healthCheck: { send: a, expect: b }") =>
        "1:97: tcp.services.pg.loadBalancer.healthCheck.send: a check that sends and expects bytes isn't done yet; `mode: http` is\n1:106: tcp.services.pg.loadBalancer.healthCheck.expect: a check that sends and expects bytes isn't done yet; `mode: http` is";
}

/// A router that the kernel is to serve and can't is off alone; the one beside it forwards.
#[test]
fn a_router_that_the_kernel_can_not_serve_is_off_alone() -> Result<()> {
    let (lab, _servers) = lab()?;
    let config = pg()
        .replace("entryPoints:\n", "entryPoints:\n  tls: { address: \"198.51.100.10:443\" }\n")
        .replace(
            "  routers:\n",
            "  routers:\n    tls: { entryPoints: [tls], service: pg, datapath: kernel, tls: {} }\n",
        );
    let daemon = start(&lab, &config)?;
    lab.client.run(|| Echo::connect(lab.vip(5432)))?;
    let faults = super::kit::faults(&daemon)?;
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(
        faults[0].ends_with("tcp.routers.tls.datapath: the kernel can't serve it: it has TLS"),
        "{faults:?}"
    );
    assert_eq!(states(&daemon)?, [("pg@file".into(), true), ("tls@file".into(), false)]);
    let status = daemon.json(&["status"])?;
    assert_eq!(status["lastReload"]["success"], false);
    let outcome = daemon.cli(&["reload"])?;
    assert_eq!((outcome.code, outcome.stderr.trim_end()), (1, faults[0].as_str()));
    Ok(())
}

/// A refused key takes its whole file down, and says so while the old state runs.
#[test]
fn a_refused_forwarding_leaves_what_runs() -> Result<()> {
    let ns = Namespace::new("quiet")?;
    let daemon = quiet(&ns, "")?;
    let text = super::kit::QUIET.replace("weight: 3 }", "weight: 5 }");
    daemon.configure(&text.replacen("servers:", "forwarding: dsr\n        servers:", 1))?;
    let outcome = daemon.cli(&["reload"])?;
    assert_eq!(outcome.code, 1);
    assert!(outcome.stderr.contains("\"dsr\" isn't done yet"), "{}", outcome.stderr);
    assert_eq!(super::kit::row(&daemon, "10.0.1.11:5432")?["weight"], 3);
    Ok(())
}
