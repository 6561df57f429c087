//! `/v1/agent`: registrations and reports.

use std::net::SocketAddr;

use axum::{
    body::Bytes,
    extract::{ConnectInfo, Path, State},
    http::{HeaderName, StatusCode},
    response::{IntoResponse, Response},
};
use serde_json::{Map, Value, json};

use super::{
    App, Registry,
    answer::{Error, done, json, set},
    query::Query,
    shapes,
};
use crate::registry::{
    change::Wish,
    decode::{self, Sender},
    types::{Instance, Kind, Status},
};

type Answer = Result<Response, Error>;
type From = ConnectInfo<SocketAddr>;

pub(super) async fn own(State(registry): App, query: Query) -> Response {
    let node = &registry.node;
    let body = json!({
        "Config": {
            "Datacenter": node.datacenter,
            "NodeName": node.name,
            "NodeID": node.id,
            "Revision": "",
            "Server": true,
            "Version": VERSION,
        },
        "DebugConfig": {},
        "Coord": null,
        "Member": member(&registry),
        "Meta": {},
    });
    json(&body, &query)
}

/// Clients look at it to know what they may ask for.
const VERSION: &str = concat!("1.8.0+lb.", env!("CARGO_PKG_VERSION"));

pub(super) async fn members(State(registry): App, query: Query) -> Response {
    json(&[member(&registry)], &query)
}

fn member(registry: &Registry) -> Value {
    let node = &registry.node;
    json!({
        "Name": node.name,
        "Addr": node.address,
        "Port": 0,
        "Tags": { "role": "consul", "dc": node.datacenter, "id": node.id, "build": VERSION },
        "Status": 1,
        "ProtocolMin": 1,
        "ProtocolMax": 5,
        "ProtocolCur": 2,
        "DelegateMin": 2,
        "DelegateMax": 5,
        "DelegateCur": 4,
    })
}

pub(super) async fn services(State(registry): App, query: Query) -> Response {
    let state = registry.hub.read();
    let row = |i: &Instance| (i.id.clone(), shapes::agent_service(i));
    json(&state.instances.values().map(row).collect::<Map<_, _>>(), &query)
}

pub(super) async fn service(State(registry): App, Path(id): Path<String>, query: Query) -> Answer {
    let state = registry.hub.read();
    let instance = state.instances.get(&id);
    let instance = instance.ok_or_else(|| Error::Missing(format!("unknown service ID: {id}")))?;
    Ok(json(&shapes::agent_service(instance), &query))
}

pub(super) async fn checks(State(registry): App, query: Query) -> Response {
    let state = registry.hub.read();
    let rows = state.checks.values();
    let rows = rows.map(|c| (c.id.clone(), shapes::check(&state, c, &registry.node)));
    json(&rows.collect::<Map<_, _>>(), &query)
}

pub(super) async fn register(
    State(registry): App,
    ConnectInfo(from): From,
    query: Query,
    body: Bytes,
) -> Answer {
    let (instance, checks) = decode::service(&body, registry.sender(from)).map_err(Error::Bad)?;
    for wanted in &checks {
        registry.note(&wanted.check.id, &wanted.check.kind);
    }
    let replaces = query.has("replace-existing-checks");
    registry.hub.wish(Wish::Register { instance, checks, replaces }).await?;
    Ok(done())
}

pub(super) async fn deregister(State(registry): App, Path(id): Path<String>) -> Answer {
    registry.hub.wish(Wish::Deregister { id }).await?;
    Ok(done())
}

pub(super) async fn maintain(
    State(registry): App,
    Path(instance): Path<String>,
    query: Query,
) -> Answer {
    let reason = match query.get("enable") {
        Some("true" | "1") => {
            let reason = query.get("reason").filter(|reason| !reason.is_empty());
            let none = "Maintenance mode is enabled for this service, but no reason was provided. \
                        This is a default message.";
            Some(reason.unwrap_or(none).to_owned())
        }
        Some("false" | "0") => None,
        None => return Err(Error::Bad("Missing value for enable".to_owned())),
        Some(other) => return Err(Error::Bad(format!("Invalid value for enable: {other:?}"))),
    };
    registry.hub.wish(Wish::Maintain { instance, reason }).await?;
    Ok(done())
}

pub(super) async fn register_check(
    State(registry): App,
    ConnectInfo(from): From,
    body: Bytes,
) -> Answer {
    let wanted = decode::check_alone(&body, registry.sender(from)).map_err(Error::Bad)?;
    registry.note(&wanted.check.id, &wanted.check.kind);
    registry.hub.wish(Wish::RegisterCheck(wanted)).await?;
    Ok(done())
}

pub(super) async fn deregister_check(State(registry): App, Path(id): Path<String>) -> Answer {
    registry.hub.wish(Wish::DeregisterCheck { id }).await?;
    Ok(done())
}

pub(super) async fn pass(State(r): App, Path(id): Path<String>, query: Query) -> Answer {
    r.report(id, Status::Passing, note(&query)).await
}

pub(super) async fn warn(State(r): App, Path(id): Path<String>, query: Query) -> Answer {
    r.report(id, Status::Warning, note(&query)).await
}

pub(super) async fn fail(State(r): App, Path(id): Path<String>, query: Query) -> Answer {
    r.report(id, Status::Critical, note(&query)).await
}

pub(super) async fn update(State(r): App, Path(id): Path<String>, body: Bytes) -> Answer {
    let (status, output) = decode::report(&body).map_err(Error::Bad)?;
    r.report(id, status, output).await
}

fn note(query: &Query) -> String {
    let mut note = query.get("note").unwrap_or_default().to_owned();
    decode::truncate(&mut note);
    note
}

impl Registry {
    fn sender(&self, from: SocketAddr) -> Sender {
        Sender { ip: from.ip(), scripts: self.scripts }
    }

    fn note(&self, check: &str, kind: &Kind) {
        if matches!(kind, Kind::Ttl(_)) {
            self.reports.note(check);
        }
    }

    async fn report(&self, check: String, status: Status, output: String) -> Answer {
        // Before the verdict is told, so that the old time doesn't run out in between.
        self.reports.note(&check);
        self.hub.wish(Wish::Report { check, status, output }).await?;
        Ok(done())
    }

    fn aggregated(&self, instance: &Instance) -> (Status, Value) {
        let state = self.hub.read();
        let status = state.status_of(&instance.id);
        let checks = state.checks_of(&instance.id).chain(state.checks_of(""));
        let checks: Vec<_> = checks.map(|c| shapes::check(&state, c, &self.node)).collect();
        let service = shapes::agent_service(instance);
        let body = json!({ "AggregatedStatus": status, "Service": service, "Checks": checks });
        (status, body)
    }
}

pub(super) async fn health_by_id(
    State(registry): App,
    Path(id): Path<String>,
    query: Query,
) -> Answer {
    let instance = registry.hub.read().instances.get(&id).cloned();
    let Some(instance) = instance else {
        let body = json!({ "AggregatedStatus": Status::Critical, "Service": null, "Checks": null });
        return Ok(judged(json(&body, &query), None));
    };
    let (status, body) = registry.aggregated(&instance);
    Ok(judged(json(&body, &query), Some(status)))
}

pub(super) async fn health_by_name(
    State(registry): App,
    Path(name): Path<String>,
    query: Query,
) -> Answer {
    let instances: Vec<_> = registry.hub.read().instances_of(&name).cloned().collect();
    let rows: Vec<_> = instances.iter().map(|i| registry.aggregated(i)).collect();
    let status = rows.iter().map(|(status, _)| *status).max();
    let bodies: Vec<_> = rows.into_iter().map(|(_, body)| body).collect();
    Ok(judged(json(&bodies, &query), status))
}

/// The status of the answer tells the state, so that monitors need not read it.
fn judged(body: Response, status: Option<Status>) -> Response {
    let code = match status {
        Some(Status::Passing) => StatusCode::OK,
        Some(Status::Warning) => StatusCode::TOO_MANY_REQUESTS,
        Some(Status::Critical) => StatusCode::SERVICE_UNAVAILABLE,
        None => StatusCode::NOT_FOUND,
    };
    let mut response = (code, body).into_response();
    *response.status_mut() = code;
    let reason = status.map_or("critical", Status::name);
    set(&mut response, HeaderName::from_static("x-consul-reason"), reason);
    response
}
