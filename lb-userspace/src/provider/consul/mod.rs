//! `providers.consulCatalog` and `providers.consul`: services of a Consul with their tags, and keys.

mod catalog;
mod client;
pub(crate) mod entry;
mod kv;

pub(super) use catalog::asked_for as catalog;
pub(super) use kv::asked_for as kv;
