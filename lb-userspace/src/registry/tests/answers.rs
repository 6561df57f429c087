//! Consul's API: each row is what a client sends and what it gets.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use super::Bench;

/// Requests to be granted first, each `METHOD path body`; then one, and its answer's status and a
/// part of its body.
macro_rules! rows {
    ($($name:ident: [$($first:literal),*] $ask:literal => $status:literal $part:literal;)+) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
        async fn $name() {
            let bench = Bench::new();
            for first in [$($first),*] as [&str; _] {
                let got = asked(&bench, first).await;
                assert_eq!(got.status, 200, "{first}: {got:?}");
            }
            let got = asked(&bench, $ask).await;
            assert_eq!(got.status, $status, "{got:?}");
            assert!(got.body.contains($part), "{got:?}");
        }
    )+};
}

async fn asked(bench: &Bench, line: &str) -> super::Got {
    let mut words = line.splitn(3, ' ');
    let (method, path) = (words.next().unwrap(), words.next().unwrap());
    bench.ask(method, path, words.next().unwrap_or_default()).await
}

rows! {
    // Registration.
    no_name_is_refused: [] "PUT /v1/agent/service/register {}" => 400 "Missing service name";
    no_json_is_refused: [] "PUT /v1/agent/service/register {bad" => 400 "Request decode failed";
    an_unknown_key_is_refused: [] r#"PUT /v1/agent/service/register {"Name":"x","Foo":1}"# => 400 r#"json: unknown field "Foo""#;
    keys_are_read_in_any_case: [r#"PUT /v1/agent/service/register {"name":"x","id":"x1","enable_tag_override":true}"#] "GET /v1/agent/service/x1" => 200 r#""EnableTagOverride":true"#;
    nulls_are_nothing: [r#"PUT /v1/agent/service/register {"Name":"x","Tags":null,"Meta":null,"Check":null,"Checks":null,"Connect":null,"Proxy":null}"#] "GET /v1/agent/services" => 200 r#""ID":"x""#;
    a_mesh_is_refused_by_name: [] r#"PUT /v1/agent/service/register {"Name":"x","Kind":"connect-proxy"}"# => 400 "no service mesh";
    another_namespace_is_refused: [] r#"PUT /v1/agent/service/register {"Name":"x","Namespace":"other"}"# => 400 "default one";
    no_address_takes_the_senders: [r#"PUT /v1/agent/service/register {"Name":"x"}"#] "GET /v1/agent/service/x" => 200 r#""Address":"10.9.9.9""#;
    an_address_is_kept: [r#"PUT /v1/agent/service/register {"Name":"x","Address":"10.0.1.5"}"#] "GET /v1/agent/service/x" => 200 r#""Address":"10.0.1.5""#;
    any_address_is_none: [] r#"PUT /v1/agent/service/register {"Name":"x","Address":"0.0.0.0"}"# => 400 "Invalid service address";
    a_port_out_of_range_is_refused: [] r#"PUT /v1/agent/service/register {"Name":"x","Port":70000}"# => 400 "is no port";
    weights_are_kept: [r#"PUT /v1/agent/service/register {"Name":"x","Weights":{"Passing":7,"Warning":2}}"#] "GET /v1/agent/service/x" => 200 r#""Weights":{"Passing":7,"Warning":2}"#;
    a_weight_of_0_is_refused: [] r#"PUT /v1/agent/service/register {"Name":"x","Weights":{"Passing":0}}"# => 400 "greater than 0";
    a_post_is_not_allowed: [] "POST /v1/agent/service/register {}" => 405 "method POST not allowed";
    deregistering_nobody_is_fine: [] "PUT /v1/agent/service/deregister/nope" => 200 "";
    an_id_may_hold_slashes: [r#"PUT /v1/agent/service/register {"Name":"x","ID":"a/b"}"#, "PUT /v1/agent/service/deregister/a/b"] "GET /v1/agent/services" => 200 "{}";
    an_unknown_service_is_missing: [] "GET /v1/agent/service/nope" => 404 "unknown service ID: nope";

    // Checks.
    an_http_check_wants_an_interval: [] r#"PUT /v1/agent/service/register {"Name":"x","Check":{"HTTP":"http://x/"}}"# => 400 "Invalid check: Interval must be > 0 for Script, HTTP, or TCP checks";
    a_bad_interval_is_refused: [] r#"PUT /v1/agent/service/register {"Name":"x","Check":{"HTTP":"http://x/","Interval":"bad"}}"# => 400 r#"time: invalid duration "bad""#;
    a_check_is_critical_at_first: [r#"PUT /v1/agent/service/register {"Name":"x","Check":{"TTL":"10s"}}"#] "GET /v1/agent/checks" => 200 r#""Status":"critical""#;
    a_check_may_begin_otherwise: [r#"PUT /v1/agent/service/register {"Name":"x","Check":{"TTL":"10s","Status":"passing","Notes":"n"}}"#] "GET /v1/agent/checks" => 200 r#""Notes":"n","#;
    a_bad_status_is_refused: [] r#"PUT /v1/agent/service/register {"Name":"x","Check":{"TTL":"10s","Status":"fine"}}"# => 400 "Invalid check status: 'fine'";
    two_kinds_at_once_are_refused: [] r#"PUT /v1/agent/service/register {"Name":"x","Check":{"TTL":"10s","TCP":"a:1","Interval":"1s"}}"# => 400 "exclude each other";
    scripts_are_off: [] r#"PUT /v1/agent/service/register {"Name":"x","Check":{"Args":["true"],"Interval":"30s"}}"# => 400 "Scripts are disabled";
    other_kinds_are_refused_by_name: [] r#"PUT /v1/agent/service/register {"Name":"x","Check":{"H2PING":"a:1","Interval":"1s"}}"# => 400 "H2PING isn't done";
    checks_are_numbered: [r#"PUT /v1/agent/service/register {"Name":"x","Checks":[{"TTL":"10s"},{"TTL":"20s"}]}"#] "GET /v1/agent/checks" => 200 r#""service:x:2""#;
    a_report_passes: [r#"PUT /v1/agent/service/register {"Name":"x","Check":{"TTL":"10s"}}"#, "PUT /v1/agent/check/pass/service:x?note=fine"] "GET /v1/agent/checks" => 200 r#""Output":"fine","ServiceID":"x","ServiceName":"x","ServiceTags":[],"Status":"passing""#;
    a_report_warns: [r#"PUT /v1/agent/service/register {"Name":"x","Check":{"TTL":"10s"}}"#, "PUT /v1/agent/check/warn/service:x"] "GET /v1/agent/health/service/name/x" => 429 r#""AggregatedStatus":"warning""#;
    a_report_fails: [r#"PUT /v1/agent/service/register {"Name":"x","Check":{"TTL":"10s","Status":"passing"}}"#, "PUT /v1/agent/check/fail/service:x"] "GET /v1/agent/health/service/id/x" => 503 r#""AggregatedStatus":"critical""#;
    an_update_is_a_report: [r#"PUT /v1/agent/service/register {"Name":"x","Check":{"TTL":"10s"}}"#, r#"PUT /v1/agent/check/update/service:x {"Status":"passing","Output":"fine"}"#] "GET /v1/agent/health/service/id/x" => 200 r#""Output":"fine""#;
    an_update_of_another_status_is_refused: [r#"PUT /v1/agent/service/register {"Name":"x","Check":{"TTL":"10s"}}"#] r#"PUT /v1/agent/check/update/service:x {"Status":"foo"}"# => 400 "Invalid check status: 'foo'";
    a_report_on_nothing_is_refused: [] "PUT /v1/agent/check/pass/service:nope" => 500 r#"CheckID "service:nope" does not have associated TTL"#;
    a_check_of_nobody_is_refused: [] r#"PUT /v1/agent/check/register {"Name":"mem","ServiceID":"nope","TTL":"10s"}"# => 500 r#"ServiceID "nope" does not exist"#;
    a_check_of_the_node_counts_for_all: [r#"PUT /v1/agent/service/register {"Name":"x"}"#, r#"PUT /v1/agent/check/register {"Name":"mem","TTL":"10s"}"#] "GET /v1/health/service/x?passing" => 200 "[]";
    a_check_goes: [r#"PUT /v1/agent/check/register {"Name":"mem","TTL":"10s"}"#, "PUT /v1/agent/check/deregister/mem"] "GET /v1/agent/checks" => 200 "{}";
    maintenance_is_critical: [r#"PUT /v1/agent/service/register {"Name":"x"}"#, "PUT /v1/agent/service/maintenance/x?enable=true&reason=why"] "GET /v1/health/service/x" => 200 r#""Notes":"why""#;
    maintenance_ends: [r#"PUT /v1/agent/service/register {"Name":"x"}"#, "PUT /v1/agent/service/maintenance/x?enable=true", "PUT /v1/agent/service/maintenance/x?enable=false"] "GET /v1/health/service/x?passing" => 200 r#""ID":"x""#;
    maintenance_of_nobody_is_missing: [] "PUT /v1/agent/service/maintenance/x?enable=true" => 404 "Unknown service ID";

    // Health and catalog.
    nobody_is_an_empty_list: [] "GET /v1/health/service/nope" => 200 "[]";
    passing_leaves_critical_ones_out: [r#"PUT /v1/agent/service/register {"Name":"x","Check":{"TTL":"10s"}}"#] "GET /v1/health/service/x?passing" => 200 "[]";
    passing_without_checks_is_passing: [r#"PUT /v1/agent/service/register {"Name":"x"}"#] "GET /v1/health/service/x?passing=true" => 200 r#""CheckID":"serfHealth""#;
    tags_are_wanted_all: [r#"PUT /v1/agent/service/register {"Name":"x","Tags":["a","b"]}"#] "GET /v1/health/service/x?tag=a&tag=c" => 200 "[]";
    tags_are_compared_without_case: [r#"PUT /v1/agent/service/register {"Name":"x","Tags":["Prod"]}"#] "GET /v1/health/service/x?tag=prod" => 200 r#""ID":"x""#;
    no_service_name_is_refused: [] "GET /v1/health/service/" => 400 "Missing service name";
    state_any_has_the_nodes_own: [] "GET /v1/health/state/any" => 200 "serfHealth";
    state_by_name: [r#"PUT /v1/agent/service/register {"Name":"x","Check":{"TTL":"10s"}}"#] "GET /v1/health/state/critical" => 200 r#""CheckID":"service:x""#;
    checks_of_a_service: [r#"PUT /v1/agent/service/register {"Name":"x","Check":{"TTL":"10s"}}"#] "GET /v1/health/checks/x" => 200 r#""ServiceID":"x""#;
    checks_of_the_node: [] "GET /v1/health/node/host" => 200 "serfHealth";
    checks_of_another_node: [] "GET /v1/health/node/other" => 200 "[]";
    services_have_the_tags_of_all: [r#"PUT /v1/agent/service/register {"Name":"x","ID":"1","Tags":["a"]}"#, r#"PUT /v1/agent/service/register {"Name":"x","ID":"2","Tags":["b"]}"#] "GET /v1/catalog/services" => 200 r#""x":["a","b"]"#;
    the_catalogs_service: [r#"PUT /v1/agent/service/register {"Name":"x","Port":8080}"#] "GET /v1/catalog/service/x" => 200 r#""ServicePort":8080"#;
    the_node: [] "GET /v1/catalog/nodes" => 200 r#""Node":"host""#;
    the_node_with_its_services: [r#"PUT /v1/agent/service/register {"Name":"x"}"#] "GET /v1/catalog/node/host" => 200 r#""Service":"x""#;
    the_data_centre: [] "GET /v1/catalog/datacenters" => 200 r#"["dc1"]"#;
    another_data_centre: [] "GET /v1/health/service/x?dc=dc2" => 500 "No path to datacenter";
    a_filter_is_refused_by_name: [] "GET /v1/catalog/services?filter=x" => 400 "no filter expressions";
    the_leader: [] "GET /v1/status/leader" => 200 "127.0.0.1:8300";
    the_agent: [] "GET /v1/agent/self" => 200 r#""NodeName":"host""#;
    the_members: [] "GET /v1/agent/members" => 200 r#""Name":"host""#;
    laid_out_where_asked: [] "GET /v1/catalog/datacenters?pretty" => 200 "[\n  \"dc1\"\n]";
    a_bad_index_is_refused: [] "GET /v1/health/service/x?index=abc" => 400 "Invalid index";
    a_bad_wait_is_refused: [] "GET /v1/health/service/x?index=1&wait=zz" => 400 "Invalid wait time";
    other_parts_are_refused_by_name: [] "PUT /v1/session/create" => 501 "no /v1/session";
    no_such_path: [] "GET /v1/nope" => 404 "";

    // Keys.
    a_key_is_put: [] "PUT /v1/kv/a/b x" => 200 "true";
    a_key_is_got: ["PUT /v1/kv/a/b?flags=7 x"] "GET /v1/kv/a/b" => 200 r#"[{"LockIndex":0,"Key":"a/b","Flags":7,"Value":"eA==","CreateIndex":2,"ModifyIndex":2}]"#;
    a_key_is_got_raw: ["PUT /v1/kv/a/b x y"] "GET /v1/kv/a/b?raw" => 200 "x y";
    an_empty_value_is_null: ["PUT /v1/kv/a"] "GET /v1/kv/a" => 200 r#""Value":null"#;
    no_key_is_404: [] "GET /v1/kv/nope" => 404 "";
    nothing_below_is_404: [] "GET /v1/kv/nope?recurse" => 404 "";
    no_keys_below_is_404: [] "GET /v1/kv/nope?keys" => 404 "";
    all_below: ["PUT /v1/kv/a/b x", "PUT /v1/kv/a/c y", "PUT /v1/kv/b z"] "GET /v1/kv/a?keys" => 200 r#"["a/b","a/c"]"#;
    keys_up_to_a_separator: ["PUT /v1/kv/a/b/c x", "PUT /v1/kv/a/b/d x", "PUT /v1/kv/a/e x"] "GET /v1/kv/a/?keys&separator=/" => 200 r#"["a/b/","a/e"]"#;
    keys_from_the_root: ["PUT /v1/kv/a/b x", "PUT /v1/kv/c x"] "GET /v1/kv/?keys&separator=/" => 200 r#"["a/","c"]"#;
    cas_of_0_makes_only: ["PUT /v1/kv/a x"] "PUT /v1/kv/a?cas=0 y" => 200 "false";
    cas_of_0_makes: [] "PUT /v1/kv/a?cas=0 y" => 200 "true";
    cas_of_the_index_holds: ["PUT /v1/kv/a x"] "PUT /v1/kv/a?cas=2 y" => 200 "true";
    cas_of_another_index_doesnt: ["PUT /v1/kv/a x"] "PUT /v1/kv/a?cas=1 y" => 200 "false";
    cas_of_a_word_is_refused: [] "PUT /v1/kv/a?cas=x y" => 500 r#"strconv.ParseUint: parsing "x": invalid syntax"#;
    a_key_is_deleted: ["PUT /v1/kv/a x", "DELETE /v1/kv/a"] "GET /v1/kv/a" => 404 "";
    deleting_nothing_is_fine: [] "DELETE /v1/kv/a" => 200 "true";
    delete_of_another_index_doesnt: ["PUT /v1/kv/a x"] "DELETE /v1/kv/a?cas=1" => 200 "false";
    all_below_are_deleted: ["PUT /v1/kv/a/b x", "PUT /v1/kv/a/c x", "DELETE /v1/kv/a?recurse"] "GET /v1/kv/?keys" => 404 "";
    no_key_name_is_refused: [] "GET /v1/kv/" => 400 "Missing key name";
    no_key_name_to_put_is_refused: [] "PUT /v1/kv/ x" => 400 "Missing key name";
    locks_are_refused_by_name: [] "PUT /v1/kv/a?acquire=x y" => 400 "no sessions";
    escapes_are_undone: ["PUT /v1/kv/a%20b%2Fc x"] "GET /v1/kv/?keys" => 200 r#"["a b/c"]"#;
}

/// The definitions of the chapter on networking, as they stand there.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_chapters_definitions_are_taken() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::on(folder, true);
    for (id, check) in [
        (
            "http",
            json!({ "HTTP": "http://127.0.0.1:1/health", "Interval": "10s", "Timeout": "3s", "DeregisterCriticalServiceAfter": "30s" }),
        ),
        ("tcp", json!({ "TCP": "127.0.0.1:1", "Interval": "10s", "Timeout": "3s" })),
        (
            "script",
            json!({ "Args": ["/usr/local/bin/check_service.sh"], "Interval": "30s", "Timeout": "10s" }),
        ),
        ("ttl", json!({ "TTL": "30s", "DeregisterCriticalServiceAfter": "90s" })),
    ] {
        let body = json!({ "ID": id, "Name": "api", "Tags": ["production", "v2"], "Address": "10.0.1.5", "Port": 8080, "Check": check });
        bench.put("/v1/agent/service/register", &body.to_string()).await;
    }
    let checks = bench.get("/v1/agent/checks").await.json();
    for kind in ["http", "tcp", "script", "ttl"] {
        assert_eq!(checks[format!("service:{kind}")]["Type"], kind, "{checks}");
    }
    // 30 s as written, where Consul would make a minute of it.
    let after = &checks["service:http"]["Definition"]["DeregisterCriticalServiceAfter"];
    assert_eq!(after, "30s");
    assert_eq!(bench.get("/v1/catalog/service/api").await.json().as_array().unwrap().len(), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn registering_again_keeps_the_verdict_and_the_index() {
    let bench = Bench::new();
    let check = r#","Check":{"TTL":"10s"}"#;
    bench.service("x", "x", check).await;
    bench.put("/v1/agent/check/pass/service:x", "").await;
    let before = bench.get("/v1/health/service/x").await;
    bench.service("x", "x", check).await;
    let after = bench.get("/v1/health/service/x?passing").await;
    assert_eq!((before.index(), before.body), (after.index(), after.body));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn replacing_checks_takes_the_others_out() {
    let bench = Bench::new();
    bench
        .service("x", "x", r#","Checks":[{"TTL":"1s","CheckID":"a"},{"TTL":"1s","CheckID":"b"}]"#)
        .await;
    let body = r#"{"Name":"x","Check":{"TTL":"1s","CheckID":"b"}}"#;
    bench.put("/v1/agent/service/register?replace-existing-checks", body).await;
    let checks = bench.get("/v1/agent/checks").await.json();
    assert_eq!(checks.as_object().unwrap().keys().collect::<Vec<_>>(), ["b"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_waiting_query_sees_its_own_change_alone() {
    let bench = Bench::new();
    bench.service("x", "x", "").await;
    let index = bench.get("/v1/health/service/x").await.index();
    let path = format!("/v1/health/service/x?index={index}&wait=20s");
    let waiting = bench.get(&path);
    let changing = async {
        bench.service("other", "o", "").await;
        bench.put("/v1/kv/a", "x").await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        bench.service("x", "x2", "").await;
    };
    let (got, ()) = tokio::join!(waiting, changing);
    assert!(got.index() > index);
    assert_eq!(got.json().as_array().unwrap().len(), 2, "{got:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_waiting_query_for_what_is_not_there_yet_is_woken() {
    let bench = Bench::new();
    for (path, change) in [
        ("/v1/health/service/x", "/v1/agent/service/register"),
        ("/v1/kv/a", "/v1/kv/a"),
        ("/v1/kv/b?recurse", "/v1/kv/b/c"),
    ] {
        let index = bench.get(path).await.index();
        let sign = if path.contains('?') { '&' } else { '?' };
        let path = format!("{path}{sign}index={index}&wait=20s");
        let changing = async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            bench.put(change, r#"{"Name":"x"}"#).await;
        };
        let all = async { tokio::join!(bench.get(&path), changing).0 };
        let got = timeout(Duration::from_secs(10), all).await.expect("woken");
        assert_eq!(got.status, 200, "{path}: {got:?}");
        assert!(got.index() > index, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deletion_wakes_those_who_watch_the_prefix() {
    let bench = Bench::new();
    bench.put("/v1/kv/a/b", "x").await;
    bench.put("/v1/kv/a/c", "x").await;
    let index = bench.get("/v1/kv/a?recurse").await.index();
    let path = format!("/v1/kv/a?recurse&index={index}&wait=20s");
    let deleting = async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        bench.ask("DELETE", "/v1/kv/a/c", "").await
    };
    let (got, _) = tokio::join!(bench.get(&path), deleting);
    assert!(got.index() > index);
    assert_eq!(got.json().as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wait_ends_with_what_there_is() {
    let bench = Bench::new();
    bench.put("/v1/kv/a", "x").await;
    let index = bench.get("/v1/kv/a").await.index();
    let begun = Instant::now();
    let got = bench.get(&format!("/v1/kv/a?index={index}&wait=50ms")).await;
    assert!(begun.elapsed() >= Duration::from_millis(50));
    assert_eq!((got.status, got.index()), (200, index));
}

async fn status(bench: &Bench, check: &str) -> Value {
    bench.get("/v1/agent/checks").await.json()[check]["Status"].clone()
}

async fn until(what: &str, mut is: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is().await {
        assert!(Instant::now() < deadline, "not so after 20 s: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ttl_that_runs_out_is_critical_and_then_the_instance_goes() {
    let bench = Bench::new();
    let check = r#","Check":{"TTL":"300ms","DeregisterCriticalServiceAfter":"500ms"}"#;
    bench.service("x", "x", check).await;
    bench.put("/v1/agent/check/pass/service:x", "").await;
    assert_eq!(status(&bench, "service:x").await, "passing");
    until("critical", async || status(&bench, "service:x").await == "critical").await;
    until("gone", async || bench.get("/v1/agent/services").await.body == "{}").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tcp_check_follows_its_server() {
    let bench = Bench::new();
    let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = server.local_addr().unwrap();
    let check = format!(r#","Check":{{"TCP":"localhost:{}","Interval":"100ms"}}"#, address.port());
    bench.service("x", "x", &check).await;
    until("passing", async || status(&bench, "service:x").await == "passing").await;
    drop(server);
    until("critical", async || status(&bench, "service:x").await == "critical").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scripts_exit_is_its_verdict() {
    let bench = Bench::on(tempfile::tempdir().unwrap(), true);
    for (id, code, wanted) in [("ok", 0, "passing"), ("so", 1, "warning"), ("no", 2, "critical")] {
        let script = format!("echo said {code}; exit {code}");
        let check = json!({ "Args": ["sh", "-c", script], "Interval": "1m", "Status": if code == 2 { "passing" } else { "critical" } });
        bench.service("x", id, &format!(r#","Check":{check}"#)).await;
        let id = format!("service:{id}");
        until(wanted, async || status(&bench, &id).await == wanted).await;
        let checks = bench.get("/v1/agent/checks").await.json();
        assert_eq!(checks[&id]["Output"], format!("said {code}\n"));
    }
}
