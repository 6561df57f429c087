//! `/v1/catalog` and `/v1/status`: one node, its services.

use axum::{
    extract::{Path, State},
    response::Response,
};
use serde_json::{Map, json};

use super::{
    App,
    answer::{Error, indexed, json},
    query::Query,
    shapes,
};

type Answer = Result<Response, Error>;

pub(super) async fn services(State(registry): App, query: Query) -> Answer {
    registry.wait(&query, |state| state.registered_index()).await?;
    let state = registry.hub.read();
    Ok(indexed(json(&shapes::services(&state), &query), state.registered_index()))
}

pub(super) async fn service(
    State(registry): App,
    Path(name): Path<String>,
    query: Query,
) -> Answer {
    registry.wait(&query, |state| state.service_index(&name)).await?;
    let state = registry.hub.read();
    let tags: Vec<&str> = query.all("tag").collect();
    let rows: Vec<_> = (state.instances_of(&name))
        .filter(|i| tags.iter().all(|tag| i.tags.iter().any(|own| own.eq_ignore_ascii_case(tag))))
        .map(|instance| shapes::catalog_service(instance, &registry.node))
        .collect();
    Ok(indexed(json(&rows, &query), state.service_index(&name)))
}

pub(super) async fn nodes(State(registry): App, query: Query) -> Answer {
    registry.wait(&query, |_| 1).await?;
    Ok(indexed(json(&[shapes::node_object(&registry.node)], &query), 1))
}

pub(super) async fn node(State(registry): App, Path(name): Path<String>, query: Query) -> Answer {
    registry.wait(&query, |state| state.catalog_index()).await?;
    let state = registry.hub.read();
    let rows = state.instances.values().map(|i| (i.id.clone(), shapes::agent_service(i)));
    let body = match name == registry.node.name {
        true => {
            let node = shapes::node_object(&registry.node);
            json!({ "Node": node, "Services": rows.collect::<Map<_, _>>() })
        }
        false => json!(null),
    };
    Ok(indexed(json(&body, &query), state.catalog_index()))
}

pub(super) async fn datacenters(State(registry): App, query: Query) -> Response {
    json(&[&registry.node.datacenter], &query)
}

pub(super) async fn leader(State(registry): App, query: Query) -> Response {
    json(&format!("{}:8300", registry.node.address), &query)
}

pub(super) async fn peers(State(registry): App, query: Query) -> Response {
    json(&[format!("{}:8300", registry.node.address)], &query)
}
