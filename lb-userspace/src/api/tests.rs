//! The API over its router, with a daemon that answers from samples.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::SystemTime,
};

use http_body_util::BodyExt;
use hyper::{Method, Request, StatusCode};
use serde_json::{Value, json};
use tokio::{io::AsyncReadExt, sync::mpsc};

use super::*;
use crate::{
    api::types::{FlowRow, Status},
    model::{Id, Protocol, Snapshot},
};

struct Fake {
    events: Arc<crate::events::Hub>,
    commands: mpsc::Sender<Command>,
}

impl Daemon for Fake {
    fn snapshot(&self) -> Arc<Snapshot> {
        Arc::new(samples::snapshot())
    }
    fn started(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH
    }
    fn status(&self) -> Result<Status, ApiError> {
        Ok(Status { generation: 3, ready: true, ..Status::default() })
    }
    fn counts(&self) -> Result<Counts, ApiError> {
        Ok(Counts::default())
    }
    fn flows(&self, query: &FlowQuery) -> Result<Vec<FlowRow>, ApiError> {
        Ok(vec![FlowRow { client: format!("{query:?}"), ..FlowRow::default() }])
    }
    fn vips(&self) -> Vec<(SocketAddr, Protocol, Id)> {
        let address = "198.51.100.10:5432".parse().unwrap();
        vec![(address, Protocol::Tcp, Id::new(Protocol::Tcp, "pg", "file"))]
    }
    fn obstacles(&self) -> BTreeMap<IpAddr, String> {
        BTreeMap::new()
    }
    fn troubles(&self) -> Troubles {
        let mut troubles = Troubles::default();
        troubles.router_off(&Id::new(Protocol::Tcp, "bad", "file"), "no rule".to_owned());
        troubles.middleware_off(&Id::new(Protocol::Tcp, "broken", "file"), "no list".to_owned());
        troubles
    }
    fn explain_http(
        &self,
        query: &types::ExplainHttpQuery,
    ) -> Result<types::ExplainedHttp, ApiError> {
        Err(ApiError::Refused(format!("{query:?}")))
    }
    fn metrics(&self) -> Result<String, ApiError> {
        Ok("lb_up 1\n".to_owned())
    }
    fn events(&self) -> &Arc<crate::events::Hub> {
        &self.events
    }
    fn registry(&self) -> Option<crate::registry::View> {
        None
    }
    fn is_stopping(&self) -> bool {
        false
    }
    fn commands(&self) -> &mpsc::Sender<Command> {
        &self.commands
    }
}

/// Answers every command with what it was, so that a test sees what arrived.
async fn answer(mut commands: mpsc::Receiver<Command>) {
    while let Some(command) = commands.recv().await {
        match command {
            Command::Change { service, backend, change, reply } => {
                let text = format!("{service} {backend} {change:?}");
                let _ = reply.send(Err(ApiError::Refused(text)));
            }
            Command::Reload { reply } => {
                let _ = reply.send(Err(ApiError::Invalid(vec!["a.yaml:1: x".into()])));
            }
            Command::Explain { query, reply } => {
                let _ = reply.send(Err(ApiError::Refused(format!("{query:?}"))));
            }
            Command::Shift { service, order, reply } => {
                let _ = reply.send(Err(ApiError::Refused(format!("{service} {order:?}"))));
            }
            Command::EndShift { service, reset, reply } => {
                let _ = reply.send(Err(ApiError::Refused(format!("{service} {reset}"))));
            }
            Command::Detach { reply } => drop(reply),
        }
    }
}

fn ask(method: Method, path: &str, body: &str, root: bool) -> (StatusCode, String) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (commands, receiver) = mpsc::channel(1);
        tokio::spawn(answer(receiver));
        let daemon: Arc<dyn Daemon> = Arc::new(Fake { commands, events: Arc::default() });
        let router = if root { private(daemon) } else { public(daemon) };
        let (client, server) = tokio::io::duplex(1 << 20);
        tokio::spawn(async move {
            let service = hyper_util::service::TowerToHyperService::new(router);
            let io = hyper_util::rt::TokioIo::new(server);
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(io, service).await;
        });
        let io = hyper_util::rt::TokioIo::new(client);
        let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
        tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "lb")
            .body(body.to_owned())
            .unwrap();
        let answer = sender.send_request(request).await.unwrap();
        let status = answer.status();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    })
}

fn get(path: &str) -> (StatusCode, Value) {
    let (status, body) = ask(Method::GET, path, "", false);
    (status, serde_json::from_str(&body).unwrap_or(Value::String(body)))
}

macro_rules! gets {
    ($($test:ident: $path:expr => $status:expr, $pointer:expr, $value:expr;)+) => {
        $(#[test]
        fn $test() {
            let (status, body) = get($path);
            assert_eq!(status.as_u16(), $status, "{body}");
            assert_eq!(body.pointer($pointer), Some(&json!($value)), "{body}");
        })+
    };
}

gets! {
    get_ping: "/ping" => 200, "", "OK";
    get_metrics: "/metrics" => 200, "", "lb_up 1\n";
    get_version: "/api/version" => 200, "/Version", env!("CARGO_PKG_VERSION");
    get_version_start: "/api/version" => 200, "/startDate", "1970-01-01T00:00:00Z";
    get_overview: "/api/overview" => 200, "/tcp/routers", json!({ "total": 2, "warnings": 0, "errors": 1 });
    get_overview_providers: "/api/overview" => 200, "/providers", ["File"];
    get_entry_points: "/api/entrypoints" => 200, "/0/name", "dns";
    get_entry_point: "/api/entrypoints/pg" => 200, "/address", "198.51.100.10:5432";
    get_entry_point_unknown: "/api/entrypoints/x" => 404, "/message", "entry point not found: x";
    get_http_routers: "/api/http/routers" => 200, "", json!([]);
    get_http_router_unknown: "/api/http/routers/x@file" => 404, "/message", "router not found: x@file";
    get_http_services: "/api/http/services" => 200, "", json!([]);
    get_http_middlewares: "/api/http/middlewares" => 200, "", json!([]);
    get_http_middleware_unknown: "/api/http/middlewares/x@file" => 404, "/message", "middleware not found: x@file";
    get_tcp_middlewares: "/api/tcp/middlewares" => 200, "/0/error/0", "no list";
    get_tcp_middleware_off: "/api/tcp/middlewares/broken@file" => 200, "/status", "disabled";
    get_tcp_router_off: "/api/tcp/routers/bad@file" => 200, "/error", ["no rule"];
    get_tcp_routers_that_are_off: "/api/tcp/routers?status=disabled" => 200, "/0/name", "bad@file";
    get_routers_off: "/api/l4/routers" => 200, "/0/faults/0", "no rule";
    get_udp_middlewares: "/api/udp/middlewares" => 404, "/message", "no such path: /api/udp/middlewares";
    get_entry_point_options: "/api/entrypoints/pg" => 200, "/http2/maxConcurrentStreams", 250;
    get_tcp_routers: "/api/tcp/routers" => 200, "/1/name", "pg@file";
    get_tcp_router: "/api/tcp/routers/pg@file" => 200, "/status", "enabled";
    get_tcp_router_unknown: "/api/tcp/routers/x@file" => 404, "/message", "router not found: x@file";
    get_udp_services: "/api/udp/services" => 200, "/0/name", "dns@file";
    get_udp_service_of_tcp: "/api/udp/services/pg@file" => 404, "/message", "service not found: pg@file";
    get_tcp_services_by_page: "/api/tcp/services?page=2&per_page=1" => 200, "/0/name", "pg@file";
    get_tcp_services_past_the_end: "/api/tcp/services?page=3&per_page=1" => 400, "/code", "bad_request";
    get_tcp_services_page_of_letters: "/api/tcp/services?page=x" => 400, "/code", "bad_request";
    get_rawdata: "/api/rawdata" => 200, "/tcpRouters/pg@file/service", "pg";
    get_status: "/api/status" => 200, "/generation", 3;
    get_health: "/api/health" => 200, "/0/state", "up";
    get_vips: "/api/l4/vips" => 200, "/0/service", "pg@file";
    get_backends: "/api/l4/backends" => 200, "/2/server", "db:5432";
    get_backends_of_a_service: "/api/l4/backends?service=tcp/pg" => 200, "/0/address", "10.0.1.5:5432";
    get_backends_of_an_unknown_service: "/api/l4/backends?service=pgg" => 404, "/message",
        "no service \"pgg\"; did you mean \"pg\"?";
    get_backends_of_an_ambiguous_service: "/api/l4/backends?service=dns" => 409, "/details",
        ["tcp/dns@file", "udp/dns@file"];
    get_backends_by_unknown_key: "/api/l4/backends?servce=pg" => 400, "/code", "bad_request";
    get_services: "/api/l4/services" => 200, "/1/usedBy/0", "pg@file";
    get_routers: "/api/l4/routers" => 200, "/1/path", "kernel";
    get_flows_by_unknown_key: "/api/l4/flows?clinet=1.2.3.4" => 400, "/code", "bad_request";
    get_nowhere: "/api/nowhere" => 404, "/message", "no such path: /api/nowhere";
    get_what_is_put: "/api/reload" => 405, "/message", "/api/reload does not take GET";
}

macro_rules! sends {
    ($($test:ident: $method:ident $path:expr, $body:expr => $status:expr, $message:expr;)+) => {
        $(#[test]
        fn $test() {
            let (status, body) = ask(Method::$method, $path, $body, false);
            assert_eq!(status.as_u16(), $status, "{body}");
            let body: Value = serde_json::from_str(&body).unwrap();
            let message = body["message"].as_str().unwrap();
            assert!(message.contains($message), "{message}");
        })+
    };
}

const PG: &str = "/api/backends/tcp%2Fpg%40file/10.0.1.5%3A5432";

sends! {
    put_reaches_the_writer_decoded: PUT PG, r#"{"drain":true}"# => 409,
        "tcp/pg@file 10.0.1.5:5432 BackendChange { drain: Some(true), weight: None }";
    put_weight_null_is_a_reset: PUT PG, r#"{"weight":null}"# => 409, "weight: Some(None)";
    put_nothing_says_what_is_expected: PUT PG, "{}" => 400, "expected {\"drain\": true|false}";
    put_no_body: PUT PG, "" => 400, "body: EOF";
    put_text: PUT PG, "drain" => 400, "expected a JSON object";
    put_weight_of_70000: PUT PG, r#"{"weight":70000}"# => 400, "expected u16";
    put_unknown_key: PUT PG, r#"{"drian":true}"# => 400, "unknown field `drian`";
    put_deep_nesting: PUT PG, &format!("{{\"drain\":{}", "[".repeat(10_000)) => 400, "body:";
    post_reload_lists_the_faults: POST "/api/reload", "" => 422, "a.yaml:1: x";
    post_explain_http_reaches_the_reader: POST "/api/explain/http",
        r#"{"method":"GET","url":"http://a/","headers":["X: 1"]}"#
        => 409, "ExplainHttpQuery { method: \"GET\", url: \"http://a/\", headers: [\"X: 1\"], client: None }";
    post_explain_http_unknown_key: POST "/api/explain/http", r#"{"verb":"GET"}"#
        => 400, "unknown field `verb`";
    post_explain_reaches_the_writer: POST "/api/explain",
        r#"{"proto":"tcp","src":"1.2.3.4:5","dst":"1.2.3.4:6"}"# => 409, "proto: \"tcp\"";
    post_explain_without_source: POST "/api/explain", r#"{"proto":"tcp"}"# => 400, "missing field `src`";
    post_detach_is_not_for_tcp: POST "/api/detach", "" => 404, "no such path";
}

#[test]
fn flows_take_their_filters() {
    let (_, body) = get("/api/l4/flows?service=pg&client=10.0.0.0/8&state=new&limit=7");
    let query = body[0]["client"].as_str().unwrap();
    for part in ["Some(\"pg\")", "Some(\"10.0.0.0/8\")", "Some(\"new\")", "limit: 7"] {
        assert!(query.contains(part), "{query}");
    }
}

#[test]
fn command_of_an_ending_daemon_is_answered() {
    let (status, body) = ask(Method::POST, "/api/detach", "", true);
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{body}");
}

#[test]
fn socket_is_for_root_alone_and_replaces_a_stale_one() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lb.sock");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        drop(bind_unix(&path).unwrap());
        let listener = bind_unix(&path).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let mut client = tokio::net::UnixStream::connect(&path).await.unwrap();
        let (accepted, _) = listener.accept().await.unwrap();
        drop(accepted);
        assert_eq!(client.read(&mut [0; 1]).await.unwrap(), 0);
    });
}
