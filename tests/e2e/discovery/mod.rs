//! Providers with their real engines, and lb's own registry: backends and routes that come and go by
//! themselves.

pub(crate) mod agent;
mod compose;
pub(crate) mod consul;
mod docker;
mod http;
mod kit;
mod registry;
