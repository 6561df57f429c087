//! Choosing servers in the proxy, for HTTP, TCP and UDP services alike.
//!
//! Each service that has servers comes to a [`Group`] of them, and each that is made of others to a
//! [`Composition`]. Both are made anew when the service changes, while what is known of a server
//! (active requests, latency, ejection) and how far a rotation has come go on.
//!
//! Nothing on the way of a pick takes a lock: counts are atomics, and tables are filled beforehand.

mod algorithm;
mod clock;
mod composition;
mod cookie;
mod group;
mod passive;
mod queue;
mod server;
mod ticket;

#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr};

pub use composition::{Chosen, Composition, Mirrors, Part};
pub use cookie::Sticky;
pub use group::Group;
pub use server::Server;
pub use ticket::Ticket;

use crate::proxy::Head;

/// What a pick may depend on.
#[derive(Clone, Copy, Debug)]
pub struct Key<'a> {
    /// Who asks.
    pub client: IpAddr,
    /// Of the flow: what `maglev` goes by.
    pub hash: u64,
    /// Where sticky sessions find their cookie; `None` for TCP and UDP.
    pub head: Option<&'a Head>,
}

impl<'a> Key<'a> {
    /// Of a flow, and of the request on it.
    pub fn new(peer: SocketAddr, local: SocketAddr, head: Option<&'a Head>) -> Self {
        let key = Self { client: peer.ip().to_canonical(), hash: 0, head };
        let ports = u64::from(peer.port()) | u64::from(local.port()) << 16;
        Self { hash: lb_common::hash::finish(key.source() ^ ports), ..key }
    }

    /// A hash of the client's address alone.
    fn source(&self) -> u64 {
        lb_common::hash::finish(match self.client {
            IpAddr::V4(ip) => u64::from(ip.to_bits()) | 0xffff << 32,
            IpAddr::V6(ip) => {
                let bits = ip.to_bits();
                lb_common::hash::finish(bits as u64) ^ (bits >> 64) as u64
            }
        })
    }
}

/// Why there is no server for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoServer {
    /// None is up and takes new requests.
    #[error("no server is available")]
    None,
    /// All have as many as `maxConnections` allows, and as many wait as `queue` allows.
    #[error("all servers are at their limit")]
    Full,
    /// Waited as long as `queueTimeout` allows.
    #[error("no server came below its limit in time")]
    Timeout,
}
