//! Who serves what: made from a snapshot, swapped while requests run, and made anew only as far as
//! something changed.

mod build;
mod service;

use std::sync::{Arc, atomic::Ordering::Relaxed};

use arc_swap::ArcSwap;

pub(crate) use build::{RouteFault, Tables, tls_at};
pub(crate) use service::{Balanced, Slot, Upstreams, key};

use super::{
    Exchange, Filter, head::Class, internal::Internal, observe, observe::Observing, target, tcp,
};
use crate::{
    model::{EntryPointOptions, Id, Middleware, Observability},
    rule::Index,
};

/// An entry point, as long as it exists.
pub(crate) struct Entry {
    pub(crate) name: Arc<str>,
    pub(crate) table: ArcSwap<EntryTable>,
    pub(crate) stats: observe::EntryStats,
    pub(crate) observing: Arc<ArcSwap<Observing>>,
}

/// What an entry point serves now.
pub(crate) struct EntryTable {
    pub(crate) options: Arc<EntryPointOptions>,
    /// HTTP routers without TLS.
    pub(crate) plain: Index<Arc<Route>>,
    /// HTTP routers with TLS.
    pub(crate) secure: Index<Arc<Route>>,
    /// TCP routers, and how TLS is terminated.
    pub(crate) tcp: tcp::Table,
}

/// A router at work.
pub(crate) struct Route {
    pub(crate) id: Id,
    /// In the order of the configuration.
    pub(crate) filters: Vec<Arc<dyn Filter>>,
    /// What they were made from, to be kept where it stays the same.
    pub(crate) made_from: Vec<Arc<Middleware>>,
    pub(crate) service: Id,
    pub(crate) target: Target,
    pub(crate) observability: Observability,
    pub(crate) stats: Arc<observe::RouteStats>,
}

/// Where a router leads.
pub(crate) enum Target {
    Service(Arc<Slot>),
    Internal(Internal),
}

impl Entry {
    /// Whether more connections are open than it may have.
    pub(crate) fn is_full(&self) -> bool {
        let most = self.table.load().options.max_connections;
        most != 0 && self.stats.open.load(Relaxed) > i64::from(most)
    }
}

impl EntryTable {
    /// The first router whose rule matches.
    pub(crate) fn route<'a>(&'a self, exchange: &Exchange) -> Option<&'a Arc<Route>> {
        let index = if exchange.is_tls() { &self.secure } else { &self.plain };
        index.find(exchange)
    }

    /// Makes a request what routers, filters and servers may believe.
    pub(crate) fn prepare(&self, exchange: &mut Exchange) {
        if !exchange.client.is_trusted {
            exchange.request.fields.retain(|field| field.class != Class::Forwarded);
        }
        let options = &self.options;
        target::clean(&mut exchange.request, options.sanitize_path, options.encode_semicolons);
        if options.request_ids && !exchange.request.has("x-request-id") {
            exchange.request.add("X-Request-Id", request_id());
        }
    }
}

/// 128 bits at random, in hexadecimal.
fn request_id() -> [u8; 32] {
    let mut bits = fastrand::u128(..);
    std::array::from_fn(|_| {
        let digit = b"0123456789abcdef"[(bits & 15) as usize];
        bits >>= 4;
        digit
    })
}
