//! Paths and what answers them.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{Path, Query, State, rejection::QueryRejection},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post, put},
};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::oneshot;

use super::{
    ApiError, Command, Daemon, EventQuery, FlowQuery,
    daemon::Reply,
    error::parse,
    find, rows, traefik,
    types::{
        BackendChange, BackendRow, ExplainHttpQuery, ExplainQuery, Explained, ExplainedHttp,
        FlowRow, HealthRow, RegistryInstance, Reloaded, RouterRow, ServiceRow, ShiftOrder,
        ShiftRow, Status, VipRow,
    },
};
use crate::{
    model::{Backend, Id, Protocol, Service},
    registry::View,
};

type App = State<Arc<dyn Daemon>>;
type Answer<T> = Result<Json<T>, ApiError>;
/// A query string that serde took, or why not.
type Params<T> = Result<Query<T>, QueryRejection>;

/// Everything but what only root may do.
pub fn public(daemon: Arc<dyn Daemon>) -> Router {
    finished(everybodys(), daemon)
}

/// Everything, for the unix socket: root alone may open it.
pub fn private(daemon: Arc<dyn Daemon>) -> Router {
    finished(everybodys().route("/api/detach", post(detach)), daemon)
}

/// `/ping` and `/metrics` alone.
pub fn metrics_only(daemon: Arc<dyn Daemon>) -> Router {
    finished(Router::new().route("/ping", get(ping)).route("/metrics", get(metrics)), daemon)
}

/// With an answer to what no route takes.
fn finished(router: Router<Arc<dyn Daemon>>, daemon: Arc<dyn Daemon>) -> Router {
    router.fallback(no_such_path).method_not_allowed_fallback(no_such_method).with_state(daemon)
}

fn everybodys() -> Router<Arc<dyn Daemon>> {
    let mut router = Router::new()
        .route("/ping", get(ping))
        .route("/metrics", get(metrics))
        .route("/api/version", get(version))
        .route("/api/overview", get(overview))
        .route("/api/entrypoints", get(entry_points))
        .route("/api/entrypoints/{name}", get(entry_point))
        .route("/api/rawdata", get(rawdata))
        .route("/api/status", get(status))
        .route("/api/health", get(health))
        .route("/api/events", get(events))
        .route("/api/l4/vips", get(vips))
        .route("/api/l4/backends", get(backends))
        .route("/api/l4/services", get(services))
        .route("/api/l4/routers", get(routers))
        .route("/api/l4/flows", get(flows))
        .route("/api/backends/{service}/{backend}", put(change))
        .route("/api/shifts", get(shifts))
        .route("/api/shifts/{service}", post(shift).delete(end_shift))
        .route("/api/registry/services", get(registry_services))
        .route("/api/registry/export", get(registry_export))
        .route("/api/reload", post(reload))
        .route("/api/explain", post(explain))
        .route("/api/explain/http", post(explain_http));
    for protocol in [Protocol::Http, Protocol::Tcp, Protocol::Udp] {
        router = router.nest(&format!("/api/{protocol}"), of_protocol(protocol));
    }
    router
}

async fn registry_services(State(daemon): App) -> Answer<Vec<RegistryInstance>> {
    Ok(Json(registry(&daemon)?.instances()))
}

async fn registry_export(State(daemon): App) -> Answer<Value> {
    Ok(Json(registry(&daemon)?.export()))
}

fn registry(daemon: &Arc<dyn Daemon>) -> Result<View, ApiError> {
    let none = || ApiError::NotFound("no registry runs: `registry` asks for one".to_owned());
    daemon.registry().ok_or_else(none)
}

/// `/api/http/…`, `/api/tcp/…` or `/api/udp/…`.
fn of_protocol(protocol: Protocol) -> Router<Arc<dyn Daemon>> {
    let routers = move |State(d): App, page| async move {
        let all = blocking(d, move |d| Ok(routers_of(d, protocol))).await?;
        paged(page, all.into_values().collect())
    };
    let services = move |State(d): App, page| async move {
        let snapshot = d.snapshot();
        let of = snapshot.services.values().filter(|s| s.id.protocol == protocol);
        paged(page, of.map(|s| traefik::service(&snapshot, s)).collect())
    };
    let router = move |State(d): App, Path(name): Path<String>| async move {
        let all = blocking(d, move |d| Ok(routers_of(d, protocol))).await?;
        named(all, &name, "router")
    };
    let service = move |State(d): App, Path(name): Path<String>| async move {
        let snapshot = d.snapshot();
        let mut all = snapshot.services.values().filter(|s| s.id.protocol == protocol);
        let found = all.find(|s| s.id.answers_to(&name)).map(|s| traefik::service(&snapshot, s));
        found.map(Json).ok_or_else(|| ApiError::NotFound(format!("service not found: {name}")))
    };
    let app = Router::new()
        .route("/routers", get(routers))
        .route("/routers/{name}", get(router))
        .route("/services", get(services))
        .route("/services/{name}", get(service));
    match protocol {
        Protocol::Udp => app,
        Protocol::Http | Protocol::Tcp => app.merge(middlewares(protocol)),
    }
}

/// `/api/http/middlewares` or `/api/tcp/middlewares`.
fn middlewares(protocol: Protocol) -> Router<Arc<dyn Daemon>> {
    let all = move |State(d): App, page| async move {
        let all = blocking(d, move |d| Ok(middlewares_of(d, protocol))).await?;
        paged(page, all.into_values().collect())
    };
    let one = move |State(d): App, Path(name): Path<String>| async move {
        let all = blocking(d, move |d| Ok(middlewares_of(d, protocol))).await?;
        named(all, &name, "middleware")
    };
    Router::new().route("/middlewares", get(all)).route("/middlewares/{name}", get(one))
}

fn routers_of(daemon: &dyn Daemon, protocol: Protocol) -> BTreeMap<Id, Value> {
    traefik::routers(&daemon.snapshot(), &daemon.troubles(), protocol)
}

fn middlewares_of(daemon: &dyn Daemon, protocol: Protocol) -> BTreeMap<Id, Value> {
    traefik::middlewares(&daemon.snapshot(), &daemon.troubles(), protocol)
}

fn named(all: BTreeMap<Id, Value>, name: &str, kind: &str) -> Answer<Value> {
    let found = all.into_iter().find(|(id, _)| id.answers_to(name));
    let missing = || ApiError::NotFound(format!("{kind} not found: {name}"));
    found.map(|(_, value)| Json(value)).ok_or_else(missing)
}

fn paged(page: Params<traefik::Page>, all: Vec<Value>) -> Result<Response, ApiError> {
    let (rows, next) = params(page)?.cut(all)?;
    let mut headers = HeaderMap::new();
    headers.insert("x-next-page", HeaderValue::from(next));
    Ok((headers, Json(rows)).into_response())
}

fn params<T>(query: Params<T>) -> Result<T, ApiError> {
    query.map(|Query(value)| value).map_err(|e| ApiError::BadRequest(e.body_text()))
}

async fn ping(State(d): App) -> Response {
    match d.is_stopping() {
        true => (StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable").into_response(),
        false => "OK".into_response(),
    }
}

async fn metrics(State(d): App) -> Result<Response, ApiError> {
    let text = blocking(d, |d| d.metrics()).await?;
    Ok(([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response())
}

async fn version(State(d): App) -> Response {
    let start = super::time::rfc3339(d.started());
    Json(traefik::Version { version: env!("CARGO_PKG_VERSION"), codename: "lb", start_date: start })
        .into_response()
}

async fn overview(State(d): App) -> Answer<Value> {
    let snapshot = d.snapshot();
    let troubles = blocking(d, |d| Ok(d.troubles())).await?;
    let mut providers: Vec<String> =
        snapshot.services.keys().map(|id| capitalised(&id.provider)).collect();
    providers.dedup();
    providers.sort();
    providers.dedup();
    Ok(Json(traefik::overview(&snapshot, &troubles, &providers)))
}

/// Traefik shows providers as `File`, `Docker`.
fn capitalised(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map_or_else(String::new, |c| c.to_uppercase().chain(letters).collect())
}

async fn entry_points(State(d): App, page: Params<traefik::Page>) -> Result<Response, ApiError> {
    paged(page, d.snapshot().entry_points.values().map(traefik::entry_point).collect())
}

async fn entry_point(State(d): App, Path(name): Path<String>) -> Answer<Value> {
    let snapshot = d.snapshot();
    let found = snapshot.entry_points.get(&name).map(traefik::entry_point);
    found.map(Json).ok_or_else(|| ApiError::NotFound(format!("entry point not found: {name}")))
}

async fn rawdata(State(d): App) -> Answer<Value> {
    blocking(d, |d| Ok(traefik::rawdata(&d.snapshot(), &d.troubles()))).await.map(Json)
}

async fn status(State(d): App) -> Answer<Status> {
    blocking(d, |d| d.status()).await.map(Json)
}

async fn health(State(d): App) -> Json<Vec<HealthRow>> {
    Json(rows::health(&d.snapshot()))
}

async fn events(
    State(d): App,
    headers: HeaderMap,
    query: Params<EventQuery>,
) -> Result<Response, ApiError> {
    Ok(super::events::stream(d.events(), &headers, &params(query)?))
}

async fn vips(State(d): App) -> Json<Vec<VipRow>> {
    Json(rows::vips(&d.snapshot(), d.vips().into_iter()))
}

/// `?service=`: of one service.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct OfService {
    service: Option<String>,
}

async fn backends(State(d): App, query: Params<OfService>) -> Answer<Vec<BackendRow>> {
    let wanted = params(query)?.service;
    let snapshot = d.snapshot();
    let only = match wanted {
        Some(words) => Some(find::service(&snapshot, &words)?.id.clone()),
        None => None,
    };
    let counts = blocking(d.clone(), |d| d.counts()).await?;
    let keep = |s: &Service, _: &Backend| only.as_ref().is_none_or(|id| *id == s.id);
    Ok(Json(rows::backends(&snapshot, &counts, &d.obstacles(), keep)))
}

async fn services(State(d): App) -> Answer<Vec<ServiceRow>> {
    let snapshot = d.snapshot();
    let counts = blocking(d, |d| d.counts()).await?;
    Ok(Json(rows::services(&snapshot, &counts)))
}

async fn routers(State(d): App) -> Answer<Vec<RouterRow>> {
    blocking(d, |d| Ok(rows::routers(&d.snapshot(), &d.troubles()))).await.map(Json)
}

async fn flows(State(d): App, query: Params<FlowQuery>) -> Answer<Vec<FlowRow>> {
    let query = params(query)?;
    blocking(d, move |d| d.flows(&query)).await.map(Json)
}

async fn change(
    State(d): App,
    Path((service, backend)): Path<(String, String)>,
    body: Bytes,
) -> Answer<Vec<BackendRow>> {
    let change: BackendChange = parse(&body)?;
    if change == BackendChange::default() {
        return Err(ApiError::BadRequest(
            "body: expected {\"drain\": true|false} or {\"weight\": 0 to 65535, or null}".into(),
        ));
    }
    command(&d, |reply| Command::Change { service, backend, change, reply }).await
}

async fn shifts(State(d): App) -> Answer<Vec<ShiftRow>> {
    blocking(d, |d| d.status()).await.map(|status| Json(status.shifts))
}

async fn shift(State(d): App, Path(service): Path<String>, body: Bytes) -> Answer<ShiftRow> {
    let order: ShiftOrder = parse(&body)?;
    command(&d, |reply| Command::Shift { service, order, reply }).await
}

/// `?reset=true`: with the configured weights.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Ending {
    reset: bool,
}

async fn end_shift(
    State(d): App,
    Path(service): Path<String>,
    query: Params<Ending>,
) -> Answer<Vec<ShiftRow>> {
    let reset = params(query)?.reset;
    command(&d, |reply| Command::EndShift { service, reset, reply }).await
}

async fn reload(State(d): App) -> Answer<Reloaded> {
    command(&d, |reply| Command::Reload { reply }).await
}

async fn explain(State(d): App, body: Bytes) -> Answer<Explained> {
    let query: ExplainQuery = parse(&body)?;
    command(&d, |reply| Command::Explain { query, reply }).await
}

async fn explain_http(State(d): App, body: Bytes) -> Answer<ExplainedHttp> {
    let query: ExplainHttpQuery = parse(&body)?;
    blocking(d, move |d| d.explain_http(&query)).await.map(Json)
}

async fn detach(State(d): App) -> Answer<Vec<String>> {
    command(&d, |reply| Command::Detach { reply }).await
}

async fn no_such_path(uri: axum::http::Uri) -> ApiError {
    ApiError::NotFound(format!("no such path: {}", uri.path()))
}

async fn no_such_method(method: axum::http::Method, uri: axum::http::Uri) -> Response {
    let mut answer =
        ApiError::BadRequest(format!("{} does not take {method}", uri.path())).into_response();
    *answer.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    answer
}

/// Hands a command to the writer and waits for its answer.
async fn command<T: Send>(
    daemon: &Arc<dyn Daemon>,
    make: impl FnOnce(Reply<T>) -> Command,
) -> Answer<T> {
    let ending = || ApiError::Unavailable("the daemon is ending".to_owned());
    let (reply, answer) = oneshot::channel();
    daemon.commands().send(make(reply)).await.map_err(|_| ending())?;
    answer.await.map_err(|_| ending())?.map(Json)
}

async fn blocking<T: Send + 'static>(
    daemon: Arc<dyn Daemon>,
    read: impl FnOnce(&dyn Daemon) -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    tokio::task::spawn_blocking(move || read(&*daemon))
        .await
        .unwrap_or_else(|e| Err(ApiError::Unavailable(format!("the reader failed: {e}"))))
}
