//! Services at work: their servers, and how these are talked to.

use std::sync::Arc;

use crate::{
    balance::{Composition, Group, Key, NoServer, Part, Server, Ticket},
    model::{self, Id, Protocol, Scheme, Service, Transport},
    proxy::{
        Exchange,
        observe::{self, ServiceStats},
        proxy_protocol::Ends,
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
    /// Without servers where it is made of other services.
    group: Arc<Group>,
    composed: Option<Composition<Arc<Slot>>>,
    pub(crate) pass_host: bool,
    pub(crate) transport: Arc<Upstreams>,
    pub(crate) stats: Arc<ServiceStats>,
    pub(crate) servers: observe::Servers,
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

    /// Who encrypts, whoever the server.
    pub(crate) fn connector(&self) -> &Arc<Connector> {
        &self.tls
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

/// The service with servers that a request goes to.
pub(crate) struct Resolved {
    pub(crate) service: Arc<Balanced>,
    /// `Set-Cookie` lines of sticky services that lead there.
    pub(crate) set_cookies: Vec<String>,
    /// Who gets a copy, of a body up to so many bytes.
    pub(crate) mirrors: Vec<(Arc<Slot>, Option<u64>)>,
}

/// Services above each other: configurations with circles are refused, and swaps are not all at once.
const DEEPEST: usize = 16;

impl Slot {
    /// This service, or of those that it is made of the one whose turn it is.
    pub(crate) fn resolve(&self, key: &Key<'_>) -> Result<Resolved, NoServer> {
        let mut service = self.current.load_full();
        let (mut set_cookies, mut mirrors) = (Vec::new(), Vec::new());
        for _ in 0..DEEPEST {
            let Some(composed) = &service.composed else {
                return Ok(Resolved { service, set_cookies, mirrors });
            };
            let chosen = composed.choose(key).ok_or(NoServer::None)?;
            set_cookies.extend(chosen.set_cookie.map(str::to_owned));
            if let Some(copies) = chosen.mirrors {
                mirrors.extend(copies.take().map(|slot| (Arc::clone(slot), copies.max_body)));
            }
            let next = chosen.part.current.load_full();
            service = next;
        }
        Err(NoServer::None)
    }
}

impl Part for Arc<Slot> {
    fn is_available(&self) -> bool {
        let service = self.current.load();
        match &service.composed {
            Some(composed) => composed.is_available(),
            None => !service.group.is_empty(),
        }
    }
}

impl Balanced {
    /// `part` finds the services that it is made of.
    pub(crate) fn new(
        service: &Arc<Service>,
        transport: &Arc<Upstreams>,
        old: Option<&Self>,
        part: impl Fn(&Id) -> Option<Arc<Slot>>,
    ) -> Self {
        let before = old.and_then(|old| old.composed.as_ref());
        let composed = service.composed.as_ref();
        let group = Group::new(service, old.map(|old| &*old.group));
        Self {
            made_from: Arc::clone(service),
            composed: composed.and_then(|it| Composition::new(it, &service.id, before, part)),
            servers: observe::servers(&group, old.map(|old| &old.servers)),
            stats: old.map(|old| Arc::clone(&old.stats)).unwrap_or_default(),
            group: Arc::new(group),
            pass_host: service.http.pass_host,
            transport: Arc::clone(transport),
        }
    }

    /// Whether it would be made the same again.
    pub(crate) fn is_made_from(
        &self,
        service: &Arc<Service>,
        transport: &Arc<Upstreams>,
        part: impl Fn(&Id) -> Option<Arc<Slot>>,
    ) -> bool {
        let is_there = |slot: &Arc<Slot>| part(&slot.id).is_some_and(|now| Arc::ptr_eq(&now, slot));
        Arc::ptr_eq(&self.made_from, service)
            && Arc::ptr_eq(&self.transport, transport)
            && self.composed.is_some() == service.composed.is_some()
            && self.composed.iter().flat_map(Composition::parts).all(is_there)
    }

    /// The service's id.
    pub(crate) fn id(&self) -> &Id {
        self.group.id()
    }

    /// Its servers.
    pub(crate) fn group(&self) -> &Group {
        &self.group
    }

    /// A server for the request.
    pub(crate) async fn pick(
        &self,
        exchange: &Exchange,
        avoid: &[u64],
    ) -> Result<Ticket, NoServer> {
        self.group.acquire(&key(exchange), avoid).await
    }

    /// A server for a connection, or a session, that isn't HTTP.
    pub(crate) async fn pick_for(&self, ends: Ends, avoid: &[u64]) -> Result<Ticket, NoServer> {
        self.group.acquire(&Key::new(ends.source, ends.destination, None), avoid).await
    }
}

/// What picks may depend on.
pub(crate) fn key(exchange: &Exchange) -> Key<'_> {
    Key::new(exchange.client.peer, exchange.client.local, Some(&exchange.request))
}

/// The transport of services that name none.
pub(crate) fn default_transport(protocol: Protocol) -> Id {
    Id::new(protocol, "default", model::Id::INTERNAL)
}
