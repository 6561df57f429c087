//! Services at work: their servers, and how these are talked to.

use std::sync::Arc;

use crate::{
    balance::{Group, Key, NoServer, Server, Ticket},
    model::{self, Id, Protocol, Scheme, Service, Transport},
    proxy::{
        Exchange,
        tls::{Connector, Store},
    },
};
use arc_swap::ArcSwap;

/// A service by its name: what it is now is swapped, the slot stays.
pub(crate) struct Slot {
    pub(crate) id: Id,
    pub(crate) current: ArcSwap<Balanced>,
}

/// A service as it is now.
pub(crate) struct Balanced {
    made_from: Arc<Service>,
    group: Arc<Group>,
    pub(crate) pass_host: bool,
    pub(crate) transport: Arc<Upstreams>,
}

/// How servers are talked to.
pub(crate) struct Upstreams {
    pub(crate) settings: Arc<Transport>,
    tls: Arc<Connector>,
    /// For what HTTP/2 can't carry.
    tls_http1: Arc<Connector>,
}

impl Upstreams {
    pub(crate) fn new(settings: Arc<Transport>, store: &Store) -> Self {
        let only = Transport { disable_http2: true, ..(*settings).clone() };
        Self { tls: store.connector(&settings), tls_http1: store.connector(&only), settings }
    }

    /// Who encrypts towards `server`, and the name it goes by; `None` where nobody does.
    pub(crate) fn tls_for<'a>(
        &'a self,
        server: &'a Server,
        only_http1: bool,
    ) -> Option<(&'a Connector, &'a str)> {
        if server.options().scheme != Scheme::Https {
            return None;
        }
        let host = server.name().rsplit_once(':').map_or(server.name(), |(host, _)| host);
        let host = host.trim_start_matches('[').trim_end_matches(']');
        Some((if only_http1 { &self.tls_http1 } else { &self.tls }, host))
    }
}

impl Balanced {
    pub(crate) fn new(
        service: &Arc<Service>,
        transport: &Arc<Upstreams>,
        old: Option<&Self>,
    ) -> Self {
        Self {
            made_from: Arc::clone(service),
            group: Arc::new(Group::new(service, old.map(|old| &*old.group))),
            pass_host: service.http.pass_host,
            transport: Arc::clone(transport),
        }
    }

    /// Whether it would be made the same again.
    pub(crate) fn is_made_from(&self, service: &Arc<Service>, transport: &Arc<Upstreams>) -> bool {
        Arc::ptr_eq(&self.made_from, service) && Arc::ptr_eq(&self.transport, transport)
    }

    /// How many servers there are.
    pub(crate) fn servers(&self) -> usize {
        self.group.len()
    }

    /// A server for the request.
    pub(crate) async fn pick(
        &self,
        exchange: &Exchange,
        avoid: &[u64],
    ) -> Result<Ticket, NoServer> {
        let client = &exchange.client;
        let key = Key::new(client.peer, client.local, Some(&exchange.request));
        self.group.acquire(&key, avoid).await
    }
}

/// The transport of services that name none.
pub(crate) fn default_transport() -> Id {
    Id::new(Protocol::Http, "default", model::Id::INTERNAL)
}
