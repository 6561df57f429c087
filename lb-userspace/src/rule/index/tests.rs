//! The index against asking every router, and what a look-up costs.

use std::{
    cmp::Reverse,
    sync::Arc,
    time::{Duration, Instant},
};

use proptest::prelude::*;

use super::*;
use crate::{model::Protocol, proxy::Exchange, rule::Syntax};

fn route(name: &str, rule: &str, priority: i64) -> Route<String> {
    let rule = Rule::parse(rule, Protocol::Http, Syntax::Auto);
    let rule = rule.unwrap_or_else(|error| panic!("{name}: {error}"));
    Route { name: name.to_owned(), rule: Some(Arc::new(rule)), priority, value: name.to_owned() }
}

fn find(routes: &[(&str, &str, i64)], request: &str) -> Option<String> {
    let index =
        Index::new(routes.iter().map(|(name, rule, priority)| route(name, rule, *priority)));
    index.find(&Exchange::made_up(request)).cloned()
}

#[test]
fn the_longer_rule_is_asked_first() {
    let routes = [
        ("all", "PathPrefix(`/`)", 0),
        ("api", "PathPrefix(`/api`)", 0),
        ("host", "Host(`example.com`)", 0),
        ("both", "Host(`example.com`) && PathPrefix(`/api`)", 0),
    ];
    for (request, name) in [
        ("GET /x", "all"),
        ("GET /api/v1", "api"),
        ("GET /x\nHost: example.com", "host"),
        ("GET /api\nHost: EXAMPLE.com", "both"),
        ("GET /ap%69", "api"),
    ] {
        assert_eq!(find(&routes, request).as_deref(), Some(name), "{request}");
    }
}

#[test]
fn priorities_go_before_lengths() {
    let routes = [("special", "Host(`a`) && Path(`/special`)", 100), ("general", "Host(`a`)", 101)];
    assert_eq!(find(&routes, "GET /special\nHost: a").as_deref(), Some("general"));
    let routes = [("low", "PathPrefix(`/api/v1`)", -5), ("plain", "PathPrefix(`/`)", 0)];
    assert_eq!(find(&routes, "GET /api/v1").as_deref(), Some("plain"));
}

#[test]
fn among_equals_the_first_by_name_is_asked_first() {
    let routes = [("b", "Host(`a`)", 0), ("a", "Path(`/`)", 9), ("c", "Host(`A`)", 9)];
    assert_eq!(find(&routes, "GET /\nHost: a").as_deref(), Some("a"));
}

#[test]
fn what_has_no_rule_is_asked_last() {
    let everything =
        |name: &str| Route { rule: None, priority: 0, name: name.into(), value: name.into() };
    let index = Index::new([everything("rest"), route("host", "Host(`a`)", 0)]);
    assert_eq!(index.find(&Exchange::made_up("GET /\nHost: a")).map(String::as_str), Some("host"));
    assert_eq!(index.find(&Exchange::made_up("GET /")).map(String::as_str), Some("rest"));
    assert_eq!(index.values().collect::<Vec<_>>(), ["host", "rest"]);
}

#[test]
fn nothing_is_found_in_an_empty_index() {
    let index = Index::<u8>::default();
    assert!(index.is_empty() && index.find(&Exchange::made_up("GET /")).is_none());
}

/// Rules over few hosts and paths, so that they overlap.
fn rule() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec![
        "Host(`a.b`)",
        "Host(`b`)",
        "Host(`x.a.b`)",
        "Host(`*.b`)",
        "Host(`**.b`)",
        "Host(`**.a.b`)",
        "HostRegexp(`^[ax]`)",
        "Path(`/`)",
        "Path(`/p`)",
        "Path(`/p/q`)",
        "PathPrefix(`/`)",
        "PathPrefix(`/p`)",
        "PathPrefix(`/p/`)",
        "PathPrefix(`/pq`)",
        "PathPrefix(`/p/q/long/prefix/of/a/path`)",
        "PathRegexp(`q$`)",
        "Method(`GET`)",
        "Header(`X`, `1`)",
        "Query(`a`, `1`)",
        "ClientIP(`10.0.0.0/8`)",
    ])
    .prop_map(str::to_owned);
    leaf.prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..4)
                .prop_map(|parts| format!("({})", parts.join(" && "))),
            prop::collection::vec(inner.clone(), 2..4)
                .prop_map(|parts| format!("({})", parts.join(" || "))),
            inner.prop_map(|inner| format!("!{inner}")),
        ]
    })
}

fn request() -> impl Strategy<Value = String> {
    let method = prop::sample::select(vec!["GET", "POST"]);
    let path = prop::sample::select(vec![
        "/",
        "/p",
        "/%70",
        "/pq",
        "/p/",
        "/p/q",
        "/p/q/long/prefix/of/a/path/and/more",
        "/x?a=1",
        "/p?a=1",
    ]);
    let host = prop::sample::select(vec![
        "",
        "\nHost: b",
        "\nHost: A.b:80",
        "\nHost: x.a.b.",
        "\nHost: y.x.a.b",
        "\nHost: .b",
    ]);
    let header = prop::sample::select(vec!["", "\nX: 1"]);
    (method, path, host, header)
        .prop_map(|(method, path, host, header)| format!("{method} {path}{host}{header}"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn the_index_finds_what_asking_everyone_finds(
        rules in prop::collection::vec((rule(), -1_i64..4), 0..30),
        requests in prop::collection::vec(request(), 1..12),
    ) {
        let routes: Vec<_> =
            rules.iter().enumerate().map(|(at, (rule, priority))| route(&format!("{at:02}"), rule, *priority)).collect();
        let order = |route: &Route<String>| {
            let own = route.rule.as_ref().map_or(0, |rule| rule.default_priority());
            (Reverse(if route.priority == 0 { own } else { route.priority }), route.name.clone())
        };
        let mut sorted = routes.clone();
        sorted.sort_by_key(order);
        let index = Index::new(routes);
        for request in requests {
            let exchange = Exchange::made_up(&request);
            let wanted = sorted.iter().find(|route| route.rule.as_ref().is_some_and(|rule| rule.matches(&exchange)));
            prop_assert_eq!(index.find(&exchange), wanted.map(|route| &route.value), "{}", request);
        }
    }
}

/// As many routers as asked for, a third each by host, by host and prefix, and by prefix alone.
/// Their values are pointers, as the proxy's are: an entry is one cache line.
fn many(count: usize) -> (Index<Arc<String>>, Vec<(Exchange, String)>, Duration) {
    let make = |at: usize| match at % 3 {
        0 => format!("Host(`host-{at}.example.com`)"),
        1 => format!("Host(`host-{at}.example.com`) && PathPrefix(`/service/{at}`)"),
        _ => format!("PathPrefix(`/tenant-{at}/api`)"),
    };
    let began = Instant::now();
    let index = Index::new((0..count).map(|at| {
        let Route { name, rule, priority, value } = route(&format!("r{at}"), &make(at), 0);
        Route { name, rule, priority, value: Arc::new(value) }
    }));
    let took = began.elapsed();
    let requests = (0..10_000).map(|step| {
        let at = step * 7_919 % count;
        let request = match at % 3 {
            0 => format!("GET /index.html\nHost: host-{at}.example.com"),
            1 => format!("GET /service/{at}/users/7\nHost: host-{at}.example.com"),
            _ => format!("GET /tenant-{at}/api/v1\nHost: www.example.com"),
        };
        (Exchange::made_up(&request), format!("r{at}"))
    });
    (index, requests.collect(), took)
}

/// Prints what a look-up costs, alone and as one of a batch, and asserts that it finds the right one.
/// What a request brings is in the cache, as its head was read just before.
#[test]
fn look_ups_among_100_and_among_100_000_routers() {
    for count in [100, 100_000] {
        let (index, requests, took) = many(count);
        let mut alone = Vec::new();
        for (exchange, name) in &requests {
            assert_eq!(index.find(exchange).map(|found| &**found), Some(name));
        }
        for (exchange, _) in &requests {
            warm(exchange);
            let began = Instant::now();
            std::hint::black_box(index.find(exchange));
            alone.push(began.elapsed().as_nanos());
        }
        let batches = requests.chunks_exact(BATCH).map(|batch| {
            batch.iter().for_each(|(exchange, _)| warm(exchange));
            let began = Instant::now();
            for (exchange, _) in batch {
                std::hint::black_box(index.find(exchange));
            }
            began.elapsed().as_nanos() / BATCH as u128
        });
        let (alone, batches) = (percentiles(alone), percentiles(batches.collect()));
        println!("{count} routers: built in {took:?}; look-up {alone}; by {BATCH} {batches}");
    }
}

/// Look-ups of a batch, so that the clock counts for little.
const BATCH: usize = 16;

fn warm(exchange: &Exchange) {
    let bytes =
        exchange.request.path().bytes().chain(exchange.request.host().unwrap_or("").bytes());
    std::hint::black_box(bytes.map(u64::from).sum::<u64>());
}

fn percentiles(mut nanos: Vec<u128>) -> String {
    nanos.sort_unstable();
    let at = |percent: usize| nanos[nanos.len() * percent / 100];
    format!("p50 {} ns, p99 {} ns", at(50), at(99))
}
