//! `/metrics`: every name of README.md, over the unix socket and TCP, moving with traffic.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use lb_tests::{
    Daemon, Namespace,
    client::{
        http,
        tcp::{self, Echo},
    },
    server::http::HttpServer,
};

use super::kit::{PATIENCE, ask, get_tcp, lab, pg, quiet, start};

/// Names that README.md promises.
const PROMISED: &[&str] = &[
    "lb_l4_packets_total",
    "lb_l4_bytes_total",
    "lb_l4_connections_total",
    "lb_l4_active_connections",
    "lb_l4_drops_total",
    "lb_l4_events_total",
    "lb_l4_conntrack_entries",
    "lb_service_server_up",
    "lb_config_reloads_total",
    "lb_config_last_reload_success",
    "lb_events_total",
    "lb_events_dropped_total",
];

/// As above, once the proxy has answered.
const OF_THE_PROXY: &[&str] = &[
    "lb_entrypoint_requests_total",
    "lb_entrypoint_request_duration_seconds",
    "lb_entrypoint_requests_bytes_total",
    "lb_entrypoint_responses_bytes_total",
    "lb_entrypoint_open_connections",
    "lb_entrypoint_connections_total",
    "lb_proxy_replies_total",
    "lb_service_server_active_requests",
];

/// As above, once it has happened.
const NOW_AND_THEN: &[&str] = &[
    "lb_entrypoint_refused_total",
    "lb_router_connections_total",
    "lb_router_open_connections",
    "lb_router_received_bytes_total",
    "lb_router_sent_bytes_total",
    "lb_router_refused_total",
    "lb_circuit_breaker_changes_total",
    "lb_tls_failures_total",
    "lb_service_retries_total",
    "lb_access_log_dropped_total",
    "lb_spans_exported_total",
    "lb_spans_dropped_total",
    "lb_span_export_failures_total",
    "lb_provider_connected",
    "lb_provider_updates_total",
    "lb_provider_failures_total",
    "lb_provider_serving",
    "lb_provider_skipped",
    "lb_provider_last_update_timestamp_seconds",
];

/// Samples by name and labels.
type Samples = BTreeMap<String, f64>;

fn scrape(daemon: &Daemon<'_>) -> Result<Samples> {
    parse(&ask(daemon, "GET", "/metrics", "")?.body)
}

fn parse(text: &str) -> Result<Samples> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').context(line.to_owned())?;
            Ok((name.to_owned(), value.parse()?))
        })
        .collect()
}

/// Of one backend of `pg`.
fn of(metric: &str, backend: &str) -> String {
    format!("{metric}{{backend=\"{backend}\",protocol=\"tcp\",service=\"pg@file\"}}")
}

#[test]
fn every_promised_metric_is_there_with_help_and_type() -> Result<()> {
    let (lab, _servers) = lab()?;
    let daemon = start(&lab, &pg())?;
    let answer = ask(&daemon, "GET", "/metrics", "")?;
    assert_eq!(answer.status, 200);
    assert!(answer.head.contains("content-type: text/plain; version=0.0.4"), "{}", answer.head);
    for name in PROMISED {
        assert!(answer.body.contains(&format!("# HELP {name} ")), "{name}");
        assert!(answer.body.contains(&format!("# TYPE {name} ")), "{name}");
        let sample = |line: &str| {
            line.starts_with(&format!("{name}{{")) || line.starts_with(&format!("{name} "))
        };
        assert!(answer.body.lines().any(sample), "{name}");
    }
    Ok(())
}

#[test]
fn readme_and_test_name_the_same_metrics() {
    let readme = include_str!("../../../README.md");
    let table = readme.split("## Metrics").nth(1).and_then(|rest| rest.split("\n## ").next());
    let table = table.expect("a section on metrics");
    let rows = table.lines().filter(|line| line.starts_with("| `lb_"));
    let named: BTreeSet<&str> = rows
        .flat_map(|row| row.split('`'))
        .filter(|word| word.starts_with("lb_") && !word.ends_with('*'))
        .collect();
    let promised = PROMISED.iter().chain(OF_THE_PROXY).chain(NOW_AND_THEN);
    assert_eq!(named, promised.copied().collect());
}

#[test]
fn the_proxys_metrics_are_there_once_it_has_answered() -> Result<()> {
    let ns = Namespace::new("proxy")?;
    let _origin = HttpServer::start(&ns, "127.0.0.1:8081".parse()?, "web")?;
    let daemon = Daemon::start(
        &ns,
        "entryPoints: { web: { address: \"127.0.0.1:8080\" } }\n\
         http:\n  routers: { web: { rule: \"Path(`/`)\", service: web } }\n  \
         services: { web: { loadBalancer: { servers: [ { url: \"http://127.0.0.1:8081\" } ] } } }\n",
    )?;
    let address = "127.0.0.1:8080".parse()?;
    assert_eq!(ns.run(|| http::get(address, "/"))?.text(), "web");
    assert_eq!(ns.run(|| http::get(address, "/nowhere"))?.status, 404);
    // An answer is counted once it is sent, just before or after it is read here.
    let mut body = String::new();
    daemon.wait_for("lb's own answer is counted", PATIENCE, |daemon| {
        body = ask(daemon, "GET", "/metrics", "")?.body;
        Ok(body.contains("lb_proxy_replies_total{"))
    })?;
    for name in OF_THE_PROXY {
        assert!(body.contains(&format!("# HELP {name} ")), "{name} in {body}");
        assert!(body.contains(&format!("# TYPE {name} ")), "{name} in {body}");
    }
    let labels = "entrypoint=\"web\",method=\"GET\",protocol=\"http\"";
    for (code, count) in [(200, 1.0), (404, 1.0)] {
        let name = format!("lb_entrypoint_requests_total{{code=\"{code}\",{labels}}}");
        assert_eq!(parse(&body)?.get(&name), Some(&count), "{name} in {body}");
    }
    Ok(())
}

#[test]
fn values_move_with_traffic() -> Result<()> {
    let (lab, _servers) = lab()?;
    let daemon = start(&lab, &pg())?;
    let before = scrape(&daemon)?;
    for backend in ["10.0.1.11:5432", "10.0.1.12:5432"] {
        for metric in ["lb_l4_packets_total", "lb_l4_connections_total", "lb_l4_active_connections"]
        {
            assert_eq!(before[&of(metric, backend)], 0.0, "{metric}");
        }
    }
    let open = lab.client.run(|| -> Result<Vec<Echo>> {
        tcp::short_connections(lab.vip(5432), 10)?;
        (0..3).map(|_| Echo::connect(lab.vip(5432))).collect()
    })?;
    let sum = |samples: &Samples, metric: &str| {
        samples[&of(metric, "10.0.1.11:5432")] + samples[&of(metric, "10.0.1.12:5432")]
    };
    let after = scrape(&daemon)?;
    assert_eq!(sum(&after, "lb_l4_connections_total"), 13.0);
    // SYN, ACK and the end at least; IP header and up.
    assert!(sum(&after, "lb_l4_packets_total") >= 13.0 * 3.0);
    assert!(sum(&after, "lb_l4_bytes_total") >= sum(&after, "lb_l4_packets_total") * 40.0);
    assert!(sum(&after, "lb_l4_active_connections") >= 3.0);
    assert!(after["lb_l4_events_total{event=\"established\"}"] >= 13.0);
    assert!(after["lb_l4_conntrack_entries"] >= 3.0);
    for (name, value) in after.iter().filter(|(name, _)| name.starts_with("lb_l4_drops_total")) {
        assert_eq!(*value, 0.0, "{name}");
    }
    drop(open);
    Ok(())
}

#[test]
fn dropped_packets_are_counted_by_reason() -> Result<()> {
    let (lab, servers) = lab()?;
    drop(servers);
    let check = "        healthCheck: { interval: 50ms, timeout: 1s, fall: 1 }\n";
    let daemon = start(&lab, &(pg() + check))?;
    let up = "lb_service_server_up{protocol=\"tcp\",service=\"pg@file\",url=\"10.0.1.11:5432\"}";
    daemon.wait_for("both are down", PATIENCE, |daemon| {
        let samples = scrape(daemon)?;
        Ok(samples[up] == 0.0 && samples[&up.replace(".11", ".12")] == 0.0)
    })?;
    assert!(lab.client.run(|| Echo::connect(lab.vip(5432))).is_err());
    assert!(scrape(&daemon)?["lb_l4_drops_total{reason=\"no_backend_reset\"}"] >= 1.0);
    assert!(scrape(&daemon)?["lb_health_checks_total{result=\"fail\"}"] >= 2.0);
    Ok(())
}

#[test]
fn reloads_are_counted_by_how_they_ended() -> Result<()> {
    let ns = Namespace::new("quiet")?;
    let daemon = quiet(&ns, "")?;
    let reloads = || -> Result<[f64; 3]> {
        let samples = scrape(&daemon)?;
        Ok([
            samples["lb_config_reloads_total{result=\"success\"}"],
            samples["lb_config_reloads_total{result=\"failure\"}"],
            samples["lb_config_last_reload_success"],
        ])
    };
    assert_eq!(reloads()?, [1.0, 0.0, 1.0]);
    daemon.configure("tcp: { service: {} }\n")?;
    daemon.cli(&["reload"])?;
    assert_eq!(reloads()?, [1.0, 1.0, 0.0]);
    daemon.configure("tcp: {}\n")?;
    daemon.cli(&["reload"])?;
    assert_eq!(reloads()?, [2.0, 1.0, 1.0]);
    Ok(())
}

#[test]
fn metrics_have_an_address_of_their_own() -> Result<()> {
    let ns = Namespace::new("quiet")?;
    let daemon = quiet(&ns, "metrics: { prometheus: { address: \"127.0.0.1:9100\" } }\n")?;
    let at = |path: &str| get_tcp(&ns, ([127, 0, 0, 1], 9100).into(), path);
    let (tcp, unix) = (parse(&at("/metrics")?.body)?, scrape(&daemon)?);
    assert_eq!(tcp.keys().collect::<Vec<_>>(), unix.keys().collect::<Vec<_>>());
    assert_eq!(at("/ping")?.body, "OK");
    // No more than that: changes are for those who were given the API.
    let refused = at("/api/status")?;
    assert_eq!((refused.status, refused.message()?.as_str()), (404, "no such path: /api/status"));
    Ok(())
}

#[test]
fn the_api_and_metrics_may_share_an_address() -> Result<()> {
    let ns = Namespace::new("quiet")?;
    let _daemon = quiet(
        &ns,
        "api: { address: \"127.0.0.1:9100\" }\nmetrics: { prometheus: { address: \"127.0.0.1:9100\" } }\n",
    )?;
    let at = |path: &str| get_tcp(&ns, ([127, 0, 0, 1], 9100).into(), path);
    assert!(at("/metrics")?.body.contains("lb_build_info"));
    assert_eq!(at("/api/version")?.status, 200);
    Ok(())
}
