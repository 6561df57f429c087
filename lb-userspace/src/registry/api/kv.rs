//! `/v1/kv`.

use axum::{
    body::{Body, Bytes},
    extract::{Path, State},
    http::{
        StatusCode,
        header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS},
    },
    response::Response,
};

use super::{
    App, Registry,
    answer::{Error, indexed, json, set, text},
    query::Query,
    shapes::Shown,
};
use crate::registry::change::Wish;

/// Bytes of a value, as in Consul.
pub(super) const LARGEST: usize = 512 * 1024;

type Answer = Result<Response, Error>;

pub(super) async fn nameless() -> Error {
    Error::Bad("Missing key name".to_owned())
}

pub(super) async fn get_all(state: App, query: Query) -> Answer {
    match query.has("recurse") || query.has("keys") {
        true => get(state, Path(String::new()), query).await,
        false => Err(nameless().await),
    }
}

pub(super) async fn delete_all(state: App, query: Query) -> Answer {
    match query.has("recurse") {
        true => delete(state, Path(String::new()), query).await,
        false => Err(nameless().await),
    }
}

pub(super) async fn get(State(registry): App, Path(key): Path<String>, query: Query) -> Answer {
    if query.has("recurse") || query.has("keys") {
        return below(&registry, &key, &query).await;
    }
    registry.wait(&query, |state| state.pair_index(&key)).await?;
    let state = registry.hub.read();
    let index = state.pair_index(&key);
    let Some(pair) = state.pairs.get(&key) else {
        return Ok(indexed(text(StatusCode::NOT_FOUND, String::new()), index));
    };
    if query.has("raw") {
        let mut response = Response::new(Body::from(pair.value.clone()));
        // A value may be anything: no browser is to make a page of it.
        set(&mut response, CONTENT_TYPE, "text/plain");
        set(&mut response, CONTENT_SECURITY_POLICY, "sandbox");
        set(&mut response, X_CONTENT_TYPE_OPTIONS, "nosniff");
        return Ok(indexed(response, index));
    }
    Ok(indexed(json(&[Shown::of(&key, pair)], &query), index))
}

/// Values or names of all keys that begin so.
async fn below(registry: &Registry, prefix: &str, query: &Query) -> Answer {
    registry.wait(query, |state| state.prefix_index(prefix)).await?;
    let state = registry.hub.read();
    let index = state.prefix_index(prefix);
    let found = state.pairs_below(prefix);
    let (count, response) = if query.has("keys") {
        let separator = query.get("separator").filter(|separator| !separator.is_empty());
        let mut names: Vec<&str> = found.map(|(key, _)| up_to(key, prefix, separator)).collect();
        names.dedup();
        (names.len(), json(&names, query))
    } else {
        let rows: Vec<_> = found.map(|(key, pair)| Shown::of(key, pair)).collect();
        (rows.len(), json(&rows, query))
    };
    let none = || text(StatusCode::NOT_FOUND, String::new());
    Ok(indexed(if count == 0 { none() } else { response }, index))
}

/// A key up to the first separator after the prefix.
fn up_to<'k>(key: &'k str, prefix: &str, separator: Option<&str>) -> &'k str {
    let rest = &key[prefix.len()..];
    let end = separator.and_then(|separator| Some(rest.find(separator)? + separator.len()));
    end.map_or(key, |end| &key[..prefix.len() + end])
}

pub(super) async fn put(
    State(registry): App,
    Path(key): Path<String>,
    query: Query,
    body: Bytes,
) -> Answer {
    writes(&registry, &query)?;
    if body.len() > LARGEST {
        return Err(Error::TooLarge(format!(
            "Request body too large, max size: {LARGEST} bytes. See \
             https://www.consul.io/docs/agent/options.html#kv_max_value_size."
        )));
    }
    let (flags, cas) = (query.number("flags")?.unwrap_or(0), query.number("cas")?);
    let holds = registry.hub.wish(Wish::Put { key, value: body.into(), flags, cas }).await?;
    Ok(json(&holds, &query))
}

pub(super) async fn delete(State(registry): App, Path(key): Path<String>, query: Query) -> Answer {
    writes(&registry, &query)?;
    let wish = match query.has("recurse") {
        true if query.get("cas").is_some() => {
            return Err(Error::Bad("Conflicting flags: cas and recurse".to_owned()));
        }
        true => Wish::DeleteAll { prefix: key },
        false => Wish::Delete { key, cas: query.number("cas")? },
    };
    Ok(json(&registry.hub.wish(wish).await?, &query))
}

/// What no write can have here.
fn writes(registry: &Registry, query: &Query) -> Result<(), Error> {
    query.check_datacenter(&registry.node)?;
    match ["acquire", "release"].into_iter().find(|key| query.get(key).is_some()) {
        Some(key) => Err(Error::Bad(format!("{key}: this registry has no sessions"))),
        None => Ok(()),
    }
}
