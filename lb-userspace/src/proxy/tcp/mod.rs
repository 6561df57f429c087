//! TCP: which router a connection belongs to, and the way to its server.
//!
//! [`Table`] is what an entry point knows; [`arrive`] reads as much of a connection as it takes to
//! decide ([`Arrival`]); [`serve`] takes a TCP router's connection to its end. What is HTTP goes to
//! the engine, decrypted.

mod arrive;
mod balanced;
mod dial;
mod route;
mod serve;
mod stats;
mod table;
#[cfg(test)]
pub(in crate::proxy) mod tests;

pub(crate) use arrive::{Arrival, arrive};
pub(crate) use route::{Place, Route, Servers, Service, Tls, Upstream};
pub(crate) use serve::serve;
pub use stats::ConnectionCounts;
pub(crate) use stats::{Refusal, Stats};
pub(crate) use table::{Surroundings, Table};

use super::{Stream, proxy_protocol::Ends};

/// A connection that belongs to a TCP router.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) stream: Stream,
    pub(crate) ends: Ends,
    /// The server is asked for TLS in PostgreSQL's way first.
    pub(crate) is_postgres: bool,
}
