//! Choosing servers in the proxy, for HTTP, TCP and UDP services alike.
//!
//! [`Services`] is what a snapshot's services come to: a [`Group`] for each that has servers, and above
//! them [`Node`]s for services made of services. Made anew with each snapshot, while what is known of a
//! server (active requests, latency, ejection) goes on with it.
//!
//! Nothing on the way of a pick takes a lock: counts are atomics, and tables are filled beforehand.

mod algorithm;
mod clock;
mod cookie;
mod group;
mod node;
mod passive;
mod queue;
mod server;
mod services;
mod ticket;

#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr};

pub use cookie::Sticky;
pub use group::Group;
pub use node::{Mirrors, Node, Resolved};
pub use server::Server;
pub use services::Services;
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
