//! `lb explain http` before a running proxy: it answers as the proxy would, and changes nothing.

use std::{collections::BTreeMap, sync::Arc};

use super::kit::{Origin, Running};
use crate::{
    api::{
        ApiError,
        types::{ExplainHttpQuery, ExplainedHttp},
    },
    model::{BackendState, EntryPointOptions, Protocol, Rule},
    proxy::{explain, tests::kit::backend},
    rule::Syntax,
};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

fn ask(
    running: &Running,
    method: &str,
    path: &str,
    headers: &[&str],
) -> Result<ExplainedHttp, ApiError> {
    let query = ExplainHttpQuery {
        method: method.to_owned(),
        url: format!("http://{}{path}", running.address),
        headers: headers.iter().map(|line| (*line).to_owned()).collect(),
        client: None,
    };
    explain::http(&running.proxy.view(), &running.snapshot, &query)
}

#[test]
fn request_that_is_forwarded_names_the_way_and_the_servers() {
    let origin = Origin::answering(OK);
    let down = "127.0.0.1:1".parse().unwrap();
    let running = Running::with(&[origin.address], EntryPointOptions::default(), |service| {
        let mut down = backend(down);
        down.health.state = BackendState::Down;
        service.backends.push(down);
    });
    running.say(b"GET / HTTP/1.1\r\nHost: e.com\r\nConnection: close\r\n\r\n");
    let picks = || {
        let view = running.proxy.view();
        let slots = view.slots.values().map(|slot| slot.current.load_full());
        slots.flat_map(|s| s.group().servers().to_vec()).map(|s| s.picks()).sum::<u64>()
    };
    let before = picks();
    let explained = ask(&running, "GET", "/a?b", &["Host: E.com"]).unwrap();
    assert_eq!(explained.action, "forward");
    assert_eq!(explained.summary, "to a server of web@file");
    assert_eq!(explained.entry_point.as_deref(), Some("web"));
    assert_eq!(explained.router.as_deref(), Some("web@file"));
    assert_eq!(explained.rule.as_deref(), Some("Host(`e.com`)"));
    assert_eq!(explained.priority, Some(13));
    assert_eq!(explained.service.as_deref(), Some("web@file"));
    let mut servers: Vec<_> =
        explained.servers.iter().map(|s| (s.url.clone(), s.state.as_str(), s.active)).collect();
    servers.sort();
    assert_eq!(
        servers,
        [
            ("http://127.0.0.1:1".to_owned(), "down", 0),
            (format!("http://{}", origin.address), "unchecked", 0),
        ]
    );
    assert_eq!(picks(), before, "no server is picked");
}

#[test]
fn request_without_a_router_is_404_and_names_those_for_any_host() {
    let mut running = Running::before(&[]);
    let (id, mut router) = {
        let (id, router) = running.snapshot.routers.iter().next().unwrap();
        (id.clone(), router.clone())
    };
    let rule = Rule::parse("PathPrefix(`/api`)", Protocol::Http, Syntax::Auto).unwrap();
    router.rule = Some(Arc::new(rule));
    running.snapshot.routers = Arc::new(BTreeMap::from([(id, router)]));
    running.proxy.follow(&running.snapshot);
    let explained = ask(&running, "GET", "/other", &[]).unwrap();
    assert_eq!((explained.status, explained.reason.as_deref()), (Some(404), Some("no_router")));
    assert_eq!(explained.passed_over.len(), 1);
    assert_eq!(explained.passed_over[0].rule, "PathPrefix(`/api`)");
    assert_eq!(ask(&running, "GET", "/api/x", &[]).unwrap().passed_over, []);
}

#[test]
fn service_without_a_server_is_503() {
    let running = Running::before(&[]);
    let explained = ask(&running, "GET", "/", &["Host: e.com"]).unwrap();
    assert_eq!((explained.status, explained.reason.as_deref()), (Some(503), Some("no_server")));
    assert_eq!(explained.router.as_deref(), Some("web@file"));
}

#[test]
fn request_that_the_parser_refuses_is_explained_with_its_reason() {
    let running = Running::before(&[]);
    let explained = ask(&running, "GET", "/", &["Host: e.com", "Host: f.com"]).unwrap();
    assert_eq!(explained.status, Some(400));
    assert_eq!(explained.router, None);
}

#[test]
fn question_that_makes_no_sense_is_refused() {
    let running = Running::before(&[]);
    let bad = |url: &str, header: &str| {
        let query = ExplainHttpQuery {
            method: "GET".into(),
            url: url.into(),
            headers: vec![header.into()],
            client: None,
        };
        let view = running.proxy.view();
        explain::http(&view, &running.snapshot, &query).unwrap_err().to_string()
    };
    let url = format!("http://{}/", running.address);
    assert!(bad("e.com/a", "A: b").starts_with("URL \"e.com/a\": expected http://HOST/PATH"));
    assert!(bad("ftp://e.com/", "A: b").contains("expected http://"));
    assert!(bad(&url, "no colon").contains("expected \"NAME: VALUE\""));
    assert!(bad(&url, "A: b\r\nC: d").contains("expected \"NAME: VALUE\""));
}

#[test]
fn port_without_an_entry_point_is_nobodys() {
    let running = Running::before(&[]);
    let query = ExplainHttpQuery {
        method: "GET".into(),
        url: "http://e.com:1/".into(),
        ..ExplainHttpQuery::default()
    };
    let explained = explain::http(&running.proxy.view(), &running.snapshot, &query).unwrap();
    assert_eq!(explained.action, "none");
    assert_eq!(explained.summary, "no entry point of the proxy listens on port 1");
}
