//! Services at work: their servers, and how these are talked to.

use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::pki_types::ServerName;

use crate::{
    balance::{Group, Key, NoServer, Server, Ticket},
    model::{self, Id, Protocol, Scheme, Service, Transport},
    proxy::Exchange,
};

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
    tls: Arc<rustls::ClientConfig>,
}

/// TLS towards one server.
pub(crate) struct ClientTlsOf {
    pub(crate) config: Arc<rustls::ClientConfig>,
    pub(crate) name: ServerName<'static>,
}

impl Upstreams {
    pub(crate) fn new(settings: Arc<Transport>, tls: Arc<rustls::ClientConfig>) -> Self {
        Self { settings, tls }
    }

    /// How to encrypt towards `server`; `None` where it isn't.
    pub(crate) fn tls_for(&self, server: &Server, _only_http1: bool) -> Option<ClientTlsOf> {
        if server.options().scheme != Scheme::Https {
            return None;
        }
        let host = server.name().rsplit_once(':').map_or(server.name(), |(host, _)| host);
        let named = self.settings.tls.server_name.as_deref();
        let name = ServerName::try_from(named.unwrap_or(host).to_owned());
        let name = name.unwrap_or_else(|_| ServerName::from(server.address().ip()));
        Some(ClientTlsOf { config: Arc::clone(&self.tls), name })
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
        let key = Key { client: exchange.ip(), hash: 0 };
        self.group.pick(key, avoid)
    }
}

/// The transport of services that name none.
pub(crate) fn default_transport() -> Id {
    Id::new(Protocol::Http, "default", model::Id::INTERNAL)
}
