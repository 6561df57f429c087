//! Consul's HTTP API, as much of it as one host needs.

mod agent;
mod answer;
mod catalog;
mod health;
mod kv;
mod query;
mod shapes;

pub(super) use shapes::go;

use std::sync::Arc;

use axum::{
    Router,
    extract::State,
    http::{Method, StatusCode},
    response::Response,
    routing::{get, put},
};
use tokio::sync::watch;

use super::{checks::Reports, hub::Hub};
use answer::text;

/// What all handlers have.
pub(crate) struct Registry {
    pub(crate) hub: Arc<Hub>,
    pub(crate) reports: Arc<Reports>,
    pub(crate) node: Node,
    /// `enableScriptChecks`.
    pub(crate) scripts: bool,
    /// Whether it is over.
    pub(crate) ended: watch::Receiver<bool>,
}

/// The one node there is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    /// Its name.
    pub(crate) name: String,
    /// Its address.
    pub(crate) address: String,
    /// Like a UUID, the same after a restart.
    pub(crate) id: String,
    /// Its data centre.
    pub(crate) datacenter: String,
}

type App = State<Arc<Registry>>;

/// Everything.
pub(crate) fn router(registry: Arc<Registry>) -> Router {
    let router = Router::new()
        .route("/v1/agent/self", get(agent::own))
        .route("/v1/agent/members", get(agent::members))
        .route("/v1/agent/services", get(agent::services))
        .route("/v1/agent/service/{id}", get(agent::service))
        .route("/v1/agent/checks", get(agent::checks))
        .route("/v1/agent/health/service/name/{name}", get(agent::health_by_name))
        .route("/v1/agent/health/service/id/{id}", get(agent::health_by_id))
        .route("/v1/agent/service/register", put(agent::register))
        .route("/v1/agent/service/deregister/{*id}", put(agent::deregister))
        .route("/v1/agent/service/maintenance/{*id}", put(agent::maintain))
        .route("/v1/agent/check/register", put(agent::register_check))
        .route("/v1/agent/check/deregister/{*id}", put(agent::deregister_check))
        .route("/v1/agent/check/pass/{*id}", put(agent::pass))
        .route("/v1/agent/check/warn/{*id}", put(agent::warn))
        .route("/v1/agent/check/fail/{*id}", put(agent::fail))
        .route("/v1/agent/check/update/{*id}", put(agent::update))
        .route("/v1/health/service/", get(health::nameless))
        .route("/v1/health/service/{name}", get(health::service))
        .route("/v1/health/checks/{name}", get(health::checks))
        .route("/v1/health/state/{state}", get(health::state))
        .route("/v1/health/node/{node}", get(health::node))
        .route("/v1/catalog/services", get(catalog::services))
        .route("/v1/catalog/service/{name}", get(catalog::service))
        .route("/v1/catalog/nodes", get(catalog::nodes))
        .route("/v1/catalog/node/{node}", get(catalog::node))
        .route("/v1/catalog/datacenters", get(catalog::datacenters))
        .route("/v1/status/leader", get(catalog::leader))
        .route("/v1/status/peers", get(catalog::peers));
    let kv = get(kv::get).put(kv::put).delete(kv::delete);
    let rootless = get(kv::get_all).put(kv::nameless).delete(kv::delete_all);
    router
        .route("/v1/kv/", rootless.clone())
        .route("/v1/kv", rootless)
        .route("/v1/kv/{*key}", kv)
        .layer(axum::extract::DefaultBodyLimit::max(kv::LARGEST + 1))
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .with_state(registry)
}

/// Parts of Consul's API that this registry doesn't have are told by name.
async fn no_such_path(path: axum::http::Uri) -> Response {
    let parts = ["session", "txn", "acl", "event", "query", "connect", "config", "snapshot"];
    let part = path.path().strip_prefix("/v1/").and_then(|rest| rest.split('/').next());
    match part.filter(|part| parts.contains(part)) {
        Some(part) => {
            let words = format!("this registry has no /v1/{part}: use a Consul for that");
            text(StatusCode::NOT_IMPLEMENTED, words)
        }
        None => text(StatusCode::NOT_FOUND, String::new()),
    }
}

async fn no_such_method(method: Method) -> Response {
    text(StatusCode::METHOD_NOT_ALLOWED, format!("method {method} not allowed"))
}
