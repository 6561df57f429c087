//! The admin API: Traefik's shapes, lb's own, and clear refusals.

use anyhow::Result;
use lb_tests::{Namespace, client::tcp::Echo};
use serde_json::json;

use super::kit::{ask, get, get_tcp, lab, pg, quiet, start};

#[test]
fn traefiks_paths_answer_in_traefiks_shapes() -> Result<()> {
    let (lab, _servers) = lab()?;
    let check = "        healthCheck: { interval: 100ms, timeout: 1s }\n";
    let daemon = start(&lab, &(pg() + check))?;
    super::kit::wait_row(&daemon, "10.0.1.11:5432", "state", "up")?;
    super::kit::wait_row(&daemon, "10.0.1.12:5432", "state", "up")?;

    assert_eq!(ask(&daemon, "GET", "/ping", "")?.body, "OK");
    let version = get(&daemon, "/api/version")?;
    assert_eq!(version["Version"], env!("CARGO_PKG_VERSION"));
    assert!(version["startDate"].as_str().is_some_and(|date| date.ends_with('Z')), "{version}");

    let overview = get(&daemon, "/api/overview")?;
    assert_eq!(overview["tcp"]["routers"], json!({ "total": 1, "warnings": 0, "errors": 0 }));
    assert_eq!(overview["tcp"]["services"], json!({ "total": 1, "warnings": 0, "errors": 0 }));
    assert_eq!(overview["udp"]["routers"]["total"], 0);
    assert_eq!(overview["providers"], json!(["File"]));

    let entry_point = json!({
        "name": "pg", "address": "198.51.100.10:5432", "forwardedHeaders": {},
        "http": { "encodeQuerySemicolons": false, "maxHeaderBytes": 1 << 20, "sanitizePath": true },
        "http2": { "maxConcurrentStreams": 250 },
        "transport": {
            "keepAliveMaxRequests": 0, "keepAliveMaxTime": "0s",
            "lifeCycle": { "graceTimeOut": "10s", "requestAcceptGraceTimeout": "0s" },
            "respondingTimeouts": { "idleTimeout": "180s", "readTimeout": "60s", "writeTimeout": "0s" },
        },
    });
    assert_eq!(get(&daemon, "/api/entrypoints")?, json!([entry_point]));
    assert_eq!(get(&daemon, "/api/entrypoints/pg")?, entry_point);

    let router = json!({
        "name": "pg@file", "provider": "file", "status": "enabled", "service": "pg",
        "rule": "HostSNI(`*`)", "entryPoints": ["pg"], "using": ["pg"], "datapath": "kernel",
        "priority": 0, "why": "needs nothing from userspace",
    });
    assert_eq!(get(&daemon, "/api/tcp/routers")?, json!([router]));
    assert_eq!(get(&daemon, "/api/tcp/routers/pg@file")?, router);
    let service = json!({
        "name": "pg@file", "provider": "file", "status": "enabled", "type": "loadbalancer",
        "usedBy": ["pg@file"],
        "serverStatus": { "10.0.1.11:5432": "UP", "10.0.1.12:5432": "UP" },
        "loadBalancer": { "servers": [
            { "address": "10.0.1.11:5432", "weight": 1 }, { "address": "10.0.1.12:5432", "weight": 1 },
        ] },
    });
    assert_eq!(get(&daemon, "/api/tcp/services")?, json!([service]));
    assert_eq!(get(&daemon, "/api/tcp/services/pg@file")?, service);
    assert_eq!(get(&daemon, "/api/udp/routers")?, json!([]));
    assert_eq!(get(&daemon, "/api/udp/services")?, json!([]));

    let raw = get(&daemon, "/api/rawdata")?;
    assert_eq!(raw["tcpRouters"]["pg@file"]["service"], "pg");
    assert_eq!(raw["tcpServices"]["pg@file"]["usedBy"], json!(["pg@file"]));
    assert_eq!(raw["udpRouters"], json!(null));
    Ok(())
}

#[test]
fn lbs_own_paths_show_vips_backends_flows_and_health() -> Result<()> {
    let (lab, _servers) = lab()?;
    let check = "        healthCheck: { interval: 100ms, timeout: 1s }\n";
    let daemon = start(&lab, &(pg() + check))?;
    super::kit::wait_row(&daemon, "10.0.1.11:5432", "state", "up")?;
    super::kit::wait_row(&daemon, "10.0.1.12:5432", "state", "up")?;
    let echo = lab.client.run(|| Echo::connect(lab.vip(5432)))?;
    let vip = json!({
        "address": "198.51.100.10:5432", "proto": "tcp", "service": "pg@file",
        "algorithm": "roundRobin", "backendsUp": 2,
    });
    assert_eq!(get(&daemon, "/api/l4/vips")?, json!([vip]));
    let flows = get(&daemon, "/api/l4/flows")?;
    assert_eq!(flows.as_array().map(Vec::len), Some(1), "{flows}");
    assert_eq!(flows[0]["client"], echo.stream.local_addr()?.to_string());
    let backends = get(&daemon, "/api/l4/backends?service=tcp/pg")?;
    assert_eq!(backends[0]["activeConnections"], 1, "{backends}");
    assert_eq!(backends[0]["path"], "kernel");
    let health = get(&daemon, "/api/health")?;
    assert_eq!(health[0]["state"], "up");
    assert!(
        health[0]["lastCheck"].as_str().is_some_and(|s| s.starts_with("connected in ")),
        "{health}"
    );
    Ok(())
}

#[test]
fn pages_and_filters_are_traefiks() -> Result<()> {
    let ns = Namespace::new("quiet")?;
    let daemon = quiet(&ns, "")?;
    let first = ask(&daemon, "GET", "/api/tcp/services?per_page=1", "")?;
    assert!(first.head.contains("x-next-page: 2"), "{}", first.head);
    assert_eq!(first.json()?[0]["name"], "dns@file");
    let second = ask(&daemon, "GET", "/api/tcp/services?per_page=1&page=2", "")?;
    assert!(second.head.contains("x-next-page: 1"), "{}", second.head);
    assert_eq!(get(&daemon, "/api/tcp/services?search=p")?[0]["name"], "pg@file");
    assert_eq!(get(&daemon, "/api/tcp/services?status=warning")?, json!([]));
    Ok(())
}

#[test]
fn bad_requests_get_clear_errors() -> Result<()> {
    let ns = Namespace::new("quiet")?;
    let daemon = quiet(&ns, "")?;
    for (method, path, body, status, part) in [
        ("GET", "/api/nothing", "", 404, "no such path: /api/nothing"),
        ("GET", "/", "", 404, "no such path: /"),
        ("GET", "/api/tcp/routers/none", "", 404, "router not found: none"),
        ("GET", "/api/tcp/services/none", "", 404, "service not found: none"),
        ("GET", "/api/entrypoints/none", "", 404, "entry point not found: none"),
        ("GET", "/api/tcp/services?page=0", "", 400, "page and per_page begin at 1"),
        ("GET", "/api/tcp/services?page=9", "", 400, "invalid request: page: 9, per_page: 100"),
        ("GET", "/api/tcp/services?page=x", "", 400, "invalid digit"),
        ("GET", "/api/l4/flows?limit=x", "", 400, "invalid digit"),
        ("GET", "/api/l4/flows?sort=x", "", 400, "unknown field `sort`"),
        ("GET", "/api/l4/backends?service=dns", "", 409, "ambiguous"),
        ("POST", "/api/status", "", 405, "/api/status does not take POST"),
        ("GET", "/api/reload", "", 405, "/api/reload does not take GET"),
        ("GET", "/api/detach", "", 405, "/api/detach does not take GET"),
        ("POST", "/api/explain", "", 400, "body: EOF"),
        (
            "POST",
            "/api/explain",
            r#"{"proto":"tcp","src":"x","dst":"1.1.1.1:1"}"#,
            400,
            "src \"x\": expected IP:PORT",
        ),
        (
            "POST",
            "/api/explain",
            r#"{"proto":"icmp","src":"1.1.1.1:1","dst":"1.1.1.1:1"}"#,
            400,
            "proto \"icmp\": expected tcp or udp",
        ),
    ] {
        let answer = ask(&daemon, method, path, body)?;
        assert_eq!(answer.status, status, "{method} {path}: {answer:?}");
        assert!(answer.message()?.contains(part), "{method} {path}: {answer:?}");
    }
    Ok(())
}

#[test]
fn the_api_is_on_tcp_only_where_it_is_asked_for_and_cannot_detach_there() -> Result<()> {
    let ns = Namespace::new("quiet")?;
    let daemon = quiet(&ns, "api: { address: \"127.0.0.1:8080\" }\n")?;
    let status = get_tcp(&ns, ([127, 0, 0, 1], 8080).into(), "/api/status")?;
    assert_eq!(status.json()?["instance"], daemon.instance.as_str());
    let detach = get_tcp(&ns, ([127, 0, 0, 1], 8080).into(), "/api/detach")?;
    assert_eq!(detach.status, 404, "{detach:?}");
    let bare = quiet(&ns, "")?;
    assert!(!ns.shell("ss -Hltn")?.contains(":8081"));
    assert_eq!(ns.shell("ss -Hltn")?.lines().count(), 1, "{}", ns.shell("ss -Hltn")?);
    drop(bare);
    Ok(())
}

#[test]
fn the_socket_is_for_root_alone() -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let ns = Namespace::new("quiet")?;
    let daemon = quiet(&ns, "")?;
    let mode = std::fs::metadata(daemon.socket())?.permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    Ok(())
}
