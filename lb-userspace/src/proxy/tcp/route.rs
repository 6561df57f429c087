//! A TCP router at work, and what it needs of others.

use std::{fmt, net::SocketAddr, sync::Arc, time::Duration};

use super::Stats;
use crate::{
    middleware::tcp::Gate,
    model::{Id, Middleware, Transport},
    proxy::{
        Wait,
        proxy_protocol::Ends,
        tls::{Acceptor, Connector},
    },
};

/// A router.
pub(crate) struct Route {
    pub(crate) id: Id,
    pub(crate) tls: Tls,
    /// Takes every connection of its kind.
    pub(crate) is_catch_all: bool,
    /// In the order of the configuration, with what they were made from.
    pub(crate) gates: Vec<(Arc<Middleware>, Arc<dyn Gate>)>,
    pub(crate) service: Arc<dyn Service>,
    pub(crate) stats: Arc<Stats>,
}

/// What becomes of TLS.
#[derive(Clone, Debug)]
pub(crate) enum Tls {
    /// There is none.
    None,
    /// It ends here.
    Terminate(Arc<Acceptor>),
    /// It goes on to the server as it is.
    Passthrough,
}

/// A service, as long as it exists.
pub(crate) trait Service: Send + Sync {
    /// Where a client's connection goes now; `None` where there is nothing.
    fn now(&self, ends: Ends) -> Option<Upstream>;
}

/// Where connections go.
#[derive(Clone)]
pub(crate) struct Upstream {
    pub(crate) servers: Arc<dyn Servers>,
    pub(crate) transport: Arc<Transport>,
    pub(crate) connector: Arc<Connector>,
}

/// Chooses servers.
pub(crate) trait Servers: Send + Sync {
    /// One for a client, none of `avoid` unless there is no other.
    fn pick<'a>(&'a self, ends: Ends, avoid: &'a [u64]) -> Wait<'a, Option<Box<dyn Place>>>;
}

/// A server that was picked: it counts as busy until this is dropped.
pub(crate) trait Place {
    fn id(&self) -> u64;
    fn address(&self) -> SocketAddr;
    /// The configured host, without its port.
    fn host(&self) -> &str;
    /// Whether it is spoken to by TLS.
    fn is_tls(&self) -> bool;
    /// Whether its connections are to end now.
    fn must_end(&self) -> bool {
        false
    }
    /// Whether its sessions are to go elsewhere now.
    fn is_lost(&self) -> bool {
        false
    }
    /// Says whether it could be reached.
    fn reached(&self, is_reached: bool, took: Duration);
}

impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({:?})", self.id, self.tls)
    }
}
