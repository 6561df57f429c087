//! `providers.consulCatalog` and `providers.consul`: services of a Consul with their tags, and keys.

mod catalog;
pub(crate) mod entry;
mod kv;
pub(crate) mod register;

pub(super) use catalog::asked_for as catalog;
pub(super) use kv::asked_for as kv;

use serde::Deserialize;

use super::client::Client;
use crate::model::ConsulEndpoint;

/// What an answer's body says.
fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, String> {
    serde_json::from_slice(body).map_err(|e| format!("what it says can't be read: {e}"))
}

/// Of one of the endpoint's servers.
fn client(url: &str, endpoint: &ConsulEndpoint) -> Result<Client, String> {
    Client::new(url, &endpoint.tls, endpoint.token.as_ref())
}
