//! What is counted and logged of requests that went through.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::kit::{Origin, Running};
use crate::{
    api::Counts,
    health::Counters,
    metrics::{self, Reloads, Scrape},
    model::{
        AccessLog, BackendId, EntryPointOptions, Id, MetricsSettings, Observability, Protocol,
        Settings, Snapshot,
    },
};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
const GET: &[u8] = b"GET /a HTTP/1.1\r\nHost: e.com\r\nConnection: close\r\n\r\n";

fn scrape(running: &Running) -> String {
    let scrape = Scrape {
        snapshot: &running.snapshot,
        counts: &Counts::default(),
        proxy: &running.proxy.view(),
        health: &Counters::default(),
        reloads: Reloads::default(),
        events: crate::events::Hub::default().counts(),
        providers: &[],
        started: 0,
    };
    metrics::render(&scrape).unwrap()
}

/// Waits for a line: an exchange is counted a moment after its last byte.
pub(super) fn shows(running: &Running, line: &str) {
    for _ in 0..500 {
        if scrape(running).lines().any(|other| other == line) {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("{line} not in:\n{}", scrape(running));
}

/// Follows changed settings.
fn set(running: &mut Running, settings: Settings) {
    let settings = Arc::new(settings);
    running.snapshot = Snapshot { settings, ..running.snapshot.clone() };
    running.proxy.follow(&running.snapshot);
}

#[test]
fn requests_are_counted_where_they_pass() {
    let origin = Origin::answering(OK);
    let mut running = Running::before(&[origin.address]);
    let metrics = MetricsSettings { routers: true, buckets: vec![60.0], ..Default::default() };
    set(&mut running, Settings { metrics, ..Settings::default() });
    (0..2).for_each(|_| drop(running.say(GET)));
    let labels = r#"code="200",method="GET",protocol="http""#;
    let entry = r#"code="200",entrypoint="web",method="GET",protocol="http""#;
    let url = format!("http://{}", origin.address);
    for line in [
        format!("lb_entrypoint_requests_total{{{entry}}} 2"),
        format!("lb_entrypoint_responses_bytes_total{{{entry}}} 10"),
        format!("lb_entrypoint_request_duration_seconds_bucket{{{entry},le=\"60\"}} 2"),
        format!("lb_entrypoint_request_duration_seconds_count{{{entry}}} 2"),
        format!(r#"lb_router_requests_total{{{labels},router="web@file",service="web@file"}} 2"#),
        format!(r#"lb_service_requests_total{{{labels},service="web@file"}} 2"#),
        format!(r#"lb_service_server_requests_total{{{labels},service="web@file",url="{url}"}} 2"#),
        r#"lb_entrypoint_connections_total{entrypoint="web"} 2"#.to_owned(),
        r#"lb_entrypoint_open_connections{entrypoint="web"} 0"#.to_owned(),
    ] {
        shows(&running, &line);
    }
    assert!(!scrape(&running).contains("le=\"0.1\""), "only the buckets that were asked for");
}

#[test]
fn replies_and_refusals_are_counted_by_reason() {
    let running = Running::before(&[]);
    running.say(GET);
    running.say(b"GET / HTTP/1.1\r\nHost: other.com\r\nConnection: close\r\n\r\n");
    running.say(b"GET / HTTP/9.9\r\n\r\n");
    shows(&running, r#"lb_proxy_replies_total{entrypoint="web",reason="no_server"} 1"#);
    shows(&running, r#"lb_proxy_replies_total{entrypoint="web",reason="no_router"} 1"#);
    shows(
        &running,
        r#"lb_service_requests_total{code="503",method="GET",protocol="http",service="web@file"} 1"#,
    );
    let text = scrape(&running);
    assert_eq!(text.matches("lb_entrypoint_refused_total{").count(), 1, "{text}");
}

#[test]
fn labels_that_are_switched_off_are_not_shown() {
    let origin = Origin::answering(OK);
    let mut running = Running::before(&[origin.address]);
    running.say(GET);
    shows(
        &running,
        r#"lb_service_requests_total{code="200",method="GET",protocol="http",service="web@file"} 1"#,
    );
    assert!(!scrape(&running).contains("lb_router_"), "routers are off by default");
    let metrics = MetricsSettings { entry_points: false, services: false, ..Default::default() };
    set(&mut running, Settings { metrics, ..Settings::default() });
    let text = scrape(&running);
    assert!(!text.contains("lb_service_requests_total"), "{text}");
    assert!(!text.contains("lb_entrypoint_requests_total"), "{text}");
}

#[test]
fn entry_point_without_metrics_counts_nothing() {
    let origin = Origin::answering(OK);
    let observability = Observability { metrics: Some(false), ..Observability::default() };
    let options = EntryPointOptions { observability, ..EntryPointOptions::default() };
    let running = Running::with(&[origin.address], options, |_| {});
    running.say(GET);
    shows(&running, r#"lb_entrypoint_open_connections{entrypoint="web"} 0"#);
    assert!(!scrape(&running).contains("requests_total"), "{}", scrape(&running));
}

#[test]
fn counters_outlive_reloads() {
    let origin = Origin::answering(OK);
    let mut running = Running::before(&[origin.address]);
    running.say(GET);
    let id = Id::new(Protocol::Http, "web", "file");
    let mut service = (*running.snapshot.services[&id]).clone();
    service.backends[0].configured_weight = 7;
    running.snapshot.services = BTreeMap::from([(id.clone(), Arc::new(service))]);
    let mut router = running.snapshot.routers[&id].clone();
    router.priority = 7;
    running.snapshot.routers = Arc::new(BTreeMap::from([(id.clone(), router)]));
    running.proxy.follow(&running.snapshot);
    running.say(GET);
    shows(
        &running,
        r#"lb_service_requests_total{code="200",method="GET",protocol="http",service="web@file"} 2"#,
    );
    let mut counts = Counts::default();
    counts.add(&running.proxy.view());
    let backend = BackendId { service: id, address: origin.address };
    assert_eq!(counts.backends[&backend].stats.connections, 2);
    assert_eq!(counts.backends[&backend].active, 0);
}

#[test]
fn requests_are_logged_and_the_log_follows_its_settings() {
    let origin = Origin::answering(OK);
    let mut running = Running::before(&[origin.address]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    let log = AccessLog { file: Some(path.clone()), json: true, ..AccessLog::default() };
    set(&mut running, Settings { access_log: Some(Arc::new(log.clone())), ..Settings::default() });
    running.say(GET);
    let read = || std::fs::read_to_string(&path).unwrap();
    let wait = |count: usize| {
        for _ in 0..500 {
            if read().lines().count() >= count {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("fewer than {count} lines: {}", read());
    };
    wait(1);
    let line: serde_json::Value = serde_json::from_str(&read()).unwrap();
    assert_eq!(line["RequestPath"], "/a");
    assert_eq!(line["DownstreamStatus"], 200);
    assert_eq!(line["OriginStatus"], 200);
    assert_eq!(line["RouterName"], "web@file");
    assert_eq!(line["ServiceName"], "web@file");
    assert_eq!(line["ServiceURL"], format!("http://{}", origin.address));
    let common = AccessLog { json: false, ..log.clone() };
    set(&mut running, Settings { access_log: Some(Arc::new(common)), ..Settings::default() });
    running.say(GET);
    wait(2);
    assert!(read().lines().nth(1).unwrap().starts_with("127.0.0.1 - - ["), "{}", read());
    let nowhere = AccessLog { file: Some("/nonexistent/log".into()), ..log };
    set(&mut running, Settings { access_log: Some(Arc::new(nowhere)), ..Settings::default() });
    assert!(running.proxy.faults()[0].starts_with("accessLog: /nonexistent/log: "));
    running.say(GET);
    wait(3);
}

#[test]
fn request_ids_are_passed_on_or_made() {
    let origin = Origin::closing(OK);
    let options = EntryPointOptions { request_ids: true, ..EntryPointOptions::default() };
    let running = Running::with(&[origin.address], options, |_| {});
    running.say(
        b"GET / HTTP/1.1\r\nHost: e.com\r\nX-Request-Id: mine\r\ntraceparent: 00-1-2-01\r\n\
          tracestate: a=b\r\nConnection: close\r\n\r\n",
    );
    running.say(GET);
    let ids = || {
        let got = origin.got();
        let ids = got.lines().filter_map(|line| line.strip_prefix("X-Request-Id: "));
        (ids.map(str::to_owned).collect::<Vec<String>>(), got)
    };
    // What an origin got is there when it has closed its connection.
    for _ in 0..500 {
        if ids().0.len() == 2 {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let (ids, got) = ids();
    assert!(got.contains("traceparent: 00-1-2-01\r\ntracestate: a=b\r\n"), "{got}");
    assert_eq!(ids.len(), 2, "{got}");
    assert_eq!(ids[0], "mine");
    assert!(ids[1].len() == 32 && ids[1].bytes().all(|b| b.is_ascii_hexdigit()), "{got}");
}
