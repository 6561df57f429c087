//! An entry point with its routers, real clients and real servers.

pub(in crate::proxy) mod kit;
mod routing;
mod serving;
