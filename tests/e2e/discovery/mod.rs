//! Providers with their real engines, and lb's own registry: backends and routes that come and go by
//! themselves.

pub(crate) mod agent;
mod agreed;
mod compose;
pub(crate) mod consul;
mod dns;
mod docker;
mod http;
mod kit;
mod outage;
mod probes;
mod register;
mod registry;
mod secured;
mod swarm;
