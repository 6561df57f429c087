//! `/v1/health`: instances with their checks.

use axum::{
    extract::{Path, State},
    response::Response,
};

use super::{
    App,
    answer::{Error, indexed, json},
    query::Query,
    shapes,
};
use crate::registry::types::{Check, Status};

type Answer = Result<Response, Error>;

pub(super) async fn nameless() -> Error {
    Error::Bad("Missing service name".to_owned())
}

pub(super) async fn service(
    State(registry): App,
    Path(name): Path<String>,
    query: Query,
) -> Answer {
    registry.wait(&query, |state| state.service_index(&name)).await?;
    let state = registry.hub.read();
    let passing = query.has("passing");
    let tags: Vec<&str> = query.all("tag").collect();
    let instances = state.instances_of(&name).filter(|instance| {
        let has = |tag: &&str| instance.tags.iter().any(|own| own.eq_ignore_ascii_case(tag));
        tags.iter().all(has) && (!passing || state.status_of(&instance.id) == Status::Passing)
    });
    let rows: Vec<_> = instances.map(|i| shapes::entry(&state, i, &registry.node)).collect();
    Ok(indexed(json(&rows, &query), state.service_index(&name)))
}

pub(super) async fn checks(State(registry): App, Path(name): Path<String>, query: Query) -> Answer {
    registry.wait(&query, |state| state.service_index(&name)).await?;
    let state = registry.hub.read();
    let checks = state.instances_of(&name).flat_map(|instance| state.checks_of(&instance.id));
    let rows: Vec<_> = checks.map(|c| shapes::check(&state, c, &registry.node)).collect();
    Ok(indexed(json(&rows, &query), state.service_index(&name)))
}

pub(super) async fn state(
    State(registry): App,
    Path(wanted): Path<String>,
    query: Query,
) -> Answer {
    registry.wait(&query, |state| state.catalog_index()).await?;
    let state = registry.hub.read();
    let is_wanted = |status: Status| wanted == "any" || wanted == status.name();
    let own = is_wanted(Status::Passing).then(|| shapes::alive(&registry.node));
    let checks = state.checks.values().filter(|check| is_wanted(check.status));
    let checks = checks.map(|check| shapes::check(&state, check, &registry.node));
    let rows: Vec<_> = own.into_iter().chain(checks).collect();
    Ok(indexed(json(&rows, &query), state.catalog_index()))
}

pub(super) async fn node(State(registry): App, Path(name): Path<String>, query: Query) -> Answer {
    registry.wait(&query, |state| state.catalog_index()).await?;
    let state = registry.hub.read();
    let is_here = name == registry.node.name;
    let shown = |check: &Check| shapes::check(&state, check, &registry.node);
    let own = is_here.then(|| shapes::alive(&registry.node));
    let checks = state.checks.values().filter(|_| is_here).map(shown);
    let rows: Vec<_> = own.into_iter().chain(checks).collect();
    Ok(indexed(json(&rows, &query), state.catalog_index()))
}
