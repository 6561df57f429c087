//! What lb doesn't do yet is refused by name, never accepted and ignored.

use std::fs;

use anyhow::Result;
use lb_tests::{Namespace, client::tcp::Echo};

use super::kit::{lab, lb, pg, quiet, start};

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
    an_http_router: "http: { routers: { web: { rule: \"Host(`a`)\", service: web } } }\n" =>
        "1:9: http.routers: an HTTP router needs the proxy, which lb doesn't have yet";
    an_http_service: "http: { services: { web: {} } }\n" =>
        "1:9: http.services: an HTTP service needs the proxy, which lb doesn't have yet";
    an_http_middleware: "http: { middlewares: { a: {} } }\n" =>
        "1:9: http.middlewares: an HTTP middleware needs the proxy, which lb doesn't have yet";
    tls_certificates: "tls: { certificates: [] }\n" =>
        "1:1: tls: TLS needs the proxy, which lb doesn't have yet";
    a_certificate_resolver: "certificatesResolvers: { le: {} }\n" =>
        "1:1: certificatesResolvers: obtaining certificates needs the proxy, which lb doesn't have yet";
    the_access_log: "accessLog: {}\n" =>
        "1:1: accessLog: the access log needs the proxy, which lb doesn't have yet";
    a_tcp_middleware: "tcp: { middlewares: { a: {} } }\n" =>
        "1:8: tcp.middlewares: a TCP middleware needs the proxy, which lb doesn't have yet";
    tls_on_a_router: router!("tls: {}") =>
        "3:33: tcp.routers.pg.tls: TLS on a router needs the proxy, which lb doesn't have yet";
    middlewares_on_a_router: router!("middlewares: [a]") =>
        "3:33: tcp.routers.pg.middlewares: a TCP middleware needs the proxy, which lb doesn't have yet";
    a_name_in_the_rule: router!("rule: \"HostSNI(`a.example`)\"") =>
        "3:39: tcp.routers.pg.rule: HostSNI(`a.example`) needs the proxy, which lb doesn't have yet";
    the_proxy_by_choice: router!("datapath: proxy") =>
        "3:43: tcp.routers.pg.datapath: `datapath: proxy` needs the proxy, which lb doesn't have yet";
    direct_server_return: service!("forwarding: dsr") =>
        "1:94: tcp.services.pg.loadBalancer.forwarding: forwarding \"dsr\" isn't done yet; \"nat\" is";
    ipip: service!("forwarding: ipip") =>
        "1:94: tcp.services.pg.loadBalancer.forwarding: forwarding \"ipip\" isn't done yet; \"nat\" is";
    gue: service!("forwarding: gue") =>
        "1:94: tcp.services.pg.loadBalancer.forwarding: forwarding \"gue\" isn't done yet; \"nat\" is";
    an_algorithm_of_the_proxy: service!("algorithm: p2c") =>
        "1:93: tcp.services.pg.loadBalancer.algorithm: \"p2c\" needs the proxy, which lb doesn't have yet; the kernel has \"maglev\", \"roundRobin\", \"leastConn\", \"sourceHash\" and \"random\"";
    the_proxy_protocol: service!("proxyProtocol: {}") =>
        "1:82: tcp.services.pg.loadBalancer.proxyProtocol: the PROXY protocol needs the proxy, which lb doesn't have yet";
    another_provider: "providers: { docker: {} }\n" =>
        "1:14: providers.docker: lb doesn't have this provider yet; `file` is the one there is";
    a_grpc_check: service!("healthCheck: { mode: grpc }") =>
        "1:103: tcp.services.pg.loadBalancer.healthCheck.mode: gRPC checks aren't done yet; \"tcp\" and \"http\" are";
    an_entry_point_without_address: "entryPoints: { pg: { address: \":5432\" } }\ntcp:\n  routers: { pg: { service: pg } }\n  services: { pg: { loadBalancer: { servers: [ { address: \"10.0.1.5:1\" } ] } } }\n" =>
        "3:14: tcp.routers.pg: entry point \"pg\" (\":5432\") has no address of its own, which under `datapath: auto` needs the proxy, which lb doesn't have yet; give the entry point an address of the network, or the router `datapath: kernel`, which takes every address of the interfaces";
    an_entry_point_on_loopback: "entryPoints: { pg: { address: \"127.0.0.1:5432\" } }\ntcp:\n  routers: { pg: { service: pg } }\n  services: { pg: { loadBalancer: { servers: [ { address: \"10.0.1.5:1\" } ] } } }\n" =>
        "3:14: tcp.routers.pg: entry point \"pg\" (127.0.0.1) is on loopback, which needs the proxy, which lb doesn't have yet; give the entry point an address of the network";
}

/// A router that needs the proxy is off alone; the one beside it forwards.
#[test]
fn a_router_for_the_proxy_is_off_alone() -> Result<()> {
    let (lab, _servers) = lab()?;
    let config = pg()
        .replace("entryPoints:\n", "entryPoints:\n  tls: { address: \"198.51.100.10:443\" }\n")
        .replace(
            "  routers:\n",
            "  routers:\n    tls: { entryPoints: [tls], service: pg, tls: {} }\n",
        );
    let daemon = start(&lab, &config)?;
    lab.client.run(|| Echo::connect(lab.vip(5432)))?;
    let faults = super::kit::faults(&daemon)?;
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(
        faults[0].ends_with(
            "tcp.routers.tls.tls: TLS on a router needs the proxy, which lb doesn't have yet"
        ),
        "{faults:?}"
    );
    let routers = daemon.json(&["routers"])?;
    assert_eq!(routers.as_array().map(Vec::len), Some(1), "{routers}");
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
