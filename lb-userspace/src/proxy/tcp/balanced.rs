//! The services of a snapshot, as TCP and UDP routers see them.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use super::{Place, Servers, Service, Upstream};
use crate::{
    balance::{Key, Ticket},
    model::Scheme,
    proxy::{
        Wait,
        proxy_protocol::Ends,
        table::{Balanced, Slot},
    },
};

impl Service for Slot {
    fn now(&self, ends: Ends) -> Option<Upstream> {
        let key = Key::new(ends.source, ends.destination, None);
        let balanced = self.resolve(&key).ok()?.service;
        Some(Upstream {
            transport: Arc::clone(&balanced.transport.settings),
            connector: Arc::clone(balanced.transport.connector()),
            servers: balanced,
        })
    }
}

impl Servers for Balanced {
    fn pick<'a>(&'a self, ends: Ends, avoid: &'a [u64]) -> Wait<'a, Option<Box<dyn Place>>> {
        Box::pin(async move {
            let ticket = self.pick_for(ends, avoid).await.ok()?;
            Some(Box::new(ticket) as Box<dyn Place>)
        })
    }
}

impl Place for Ticket {
    fn id(&self) -> u64 {
        self.server().id()
    }

    fn address(&self) -> SocketAddr {
        self.server().address()
    }

    fn host(&self) -> &str {
        let name = self.server().name();
        let host = name.rsplit_once(':').map_or(name, |(host, _)| host);
        host.trim_start_matches('[').trim_end_matches(']')
    }

    fn is_tls(&self) -> bool {
        self.server().options().scheme == Scheme::Https
    }

    fn must_end(&self) -> bool {
        self.server().must_end()
    }

    fn is_lost(&self) -> bool {
        self.server().is_lost()
    }

    fn reached(&self, is_reached: bool, took: Duration) {
        match is_reached {
            true => self.finished(0, took),
            false => self.failed(),
        }
    }
}
