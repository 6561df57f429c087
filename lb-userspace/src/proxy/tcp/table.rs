//! What an entry point knows of TCP and TLS, made from a snapshot.

use std::{collections::BTreeMap, sync::Arc};

use super::{Route, Service, Stats, Tls};
use crate::{
    middleware::tcp::Gate,
    model::{EntryPoint, Id, Middleware, Path, Protocol, Router, RouterTls, Snapshot},
    proxy::tls::{Hosts, Store},
    rule::{self, Index},
};

/// The provider of options that an entry point names.
const STATIC: &str = "file";

/// Routers of one entry point.
pub(crate) struct Table {
    /// TCP routers without TLS.
    pub(super) plain: Index<Arc<Route>>,
    /// TCP routers with TLS.
    pub(super) secure: Index<Arc<Route>>,
    /// TLS options of HTTPS routers, where there are any.
    pub(super) hosts: Option<Hosts>,
    /// Whether an HTTPS router takes every host.
    pub(super) https_for_all: bool,
    pub(super) has_http: bool,
    /// Of connections that get to no router.
    pub(crate) stats: Arc<Stats>,
    routes: BTreeMap<Id, Arc<Route>>,
    /// What is off, and why; what is odd.
    pub(crate) faults: Vec<(Option<Id>, String)>,
}

/// What is around a table.
pub(crate) struct Surroundings<'a> {
    pub(crate) store: &'a Store,
    /// A service by its id.
    pub(crate) service: &'a dyn Fn(&Id) -> Option<Arc<dyn Service>>,
}

impl Table {
    /// The table of `point`. Routers that stay the same keep their counters.
    pub(crate) fn new(
        snapshot: &Snapshot,
        point: &EntryPoint,
        old: Option<&Self>,
        surroundings: &Surroundings<'_>,
    ) -> Result<Self, String> {
        let mut table = Self {
            plain: Index::new([]),
            secure: Index::new([]),
            hosts: None,
            https_for_all: false,
            has_http: false,
            stats: old.map(|old| Arc::clone(&old.stats)).unwrap_or_default(),
            routes: BTreeMap::new(),
            faults: Vec::new(),
        };
        let here = snapshot.routers.values().filter(|router| {
            router.path == Path::Proxy && router.entry_points.contains(&point.name)
        });
        let (mut plain, mut secure) = (Vec::new(), Vec::new());
        for router in here {
            match router.id.protocol {
                Protocol::Http => table.http(router, point, surroundings.store),
                Protocol::Tcp => match tcp(snapshot, router, old, surroundings) {
                    Ok(route) => {
                        let list = if router.tls.is_some() { &mut secure } else { &mut plain };
                        list.push(filed(router, &route));
                        table.routes.insert(router.id.clone(), route);
                    }
                    Err(why) => table.faults.push((Some(router.id.clone()), why)),
                },
                Protocol::Udp => {}
            }
        }
        // With nobody there at all HTTP answers: its 404 says more than a closed connection.
        table.has_http |= table.routes.is_empty();
        (table.plain, table.secure) = (Index::new(plain), Index::new(secure));
        Ok(table)
    }

    /// Whether every connection is HTTP in the clear: nothing needs to be looked at.
    pub(crate) fn is_plain_http(&self) -> bool {
        self.routes.is_empty() && self.hosts.is_none()
    }

    /// Its TCP routers.
    pub(crate) fn routes(&self) -> impl Iterator<Item = &Arc<Route>> {
        self.routes.values()
    }

    /// Whether anybody here speaks TLS.
    pub(super) fn has_tls(&self) -> bool {
        self.hosts.is_some() || self.has_tcp_tls()
    }

    pub(super) fn has_tcp_tls(&self) -> bool {
        self.secure.values().next().is_some()
    }

    fn http(&mut self, router: &Router, point: &EntryPoint, store: &Store) {
        self.has_http = true;
        let Some(tls) = router.tls.as_deref().or(point.options.tls.as_ref()) else { return };
        let provider = if router.tls.is_some() { &router.id.provider } else { STATIC };
        let default = store.acceptor(None, STATIC);
        let own = store.acceptor(tls.options.as_deref(), provider);
        let (default, acceptor) = match (default, own) {
            (Ok(default), Ok(own)) => (default, own),
            (Err(why), _) | (_, Err(why)) => {
                self.faults.push((Some(router.id.clone()), why));
                return;
            }
        };
        let known = self.hosts.get_or_insert_with(|| Hosts::new(default));
        let hosts: Vec<&str> = router.rule.iter().flat_map(|rule| rule.hosts()).collect();
        self.https_for_all |= hosts.is_empty();
        for host in hosts {
            if let Err(warning) = known.put(host, &acceptor) {
                self.faults.push((None, warning));
            }
        }
    }
}

fn tcp(
    snapshot: &Snapshot,
    router: &Router,
    old: Option<&Table>,
    surroundings: &Surroundings<'_>,
) -> Result<Arc<Route>, String> {
    let tls = match router.tls.as_deref() {
        None => Tls::None,
        Some(RouterTls { passthrough: true, .. }) => Tls::Passthrough,
        Some(tls) => {
            let options = tls.options.as_deref();
            Tls::Terminate(surroundings.store.acceptor(options, &router.id.provider)?)
        }
    };
    let service = (surroundings.service)(&router.service);
    let service = service.ok_or_else(|| format!("no service {}", router.service))?;
    let old = old.and_then(|old| old.routes.get(&router.id));
    let gates = router.middlewares.iter().map(|id| gate(snapshot, id, old));
    Ok(Arc::new(Route {
        id: router.id.clone(),
        tls,
        is_catch_all: router.rule.as_deref().is_none_or(|rule| rule.is_catch_all()),
        gates: gates.collect::<Result<_, _>>()?,
        service,
        stats: old.map(|old| Arc::clone(&old.stats)).unwrap_or_default(),
    }))
}

/// A middleware at work; the one that there was while it stays the same, with what it counts.
fn gate(
    snapshot: &Snapshot,
    id: &Id,
    old: Option<&Arc<Route>>,
) -> Result<(Arc<Middleware>, Arc<dyn Gate>), String> {
    let middleware = snapshot.middlewares.get(id);
    let middleware = middleware.ok_or_else(|| format!("no middleware {}", id.qualified()))?;
    let kept = old.and_then(|old| old.gates.iter().find(|(other, _)| other == middleware));
    match kept {
        Some(kept) => Ok(kept.clone()),
        None => match middleware.settings.gate() {
            Some(gate) => Ok((Arc::clone(middleware), gate)),
            None => Err(format!("middleware {} is none of TCP", id.qualified())),
        },
    }
}

fn filed(router: &Router, route: &Arc<Route>) -> rule::Route<Arc<Route>> {
    rule::Route {
        name: router.id.qualified(),
        rule: router.rule.clone(),
        priority: router.priority,
        value: Arc::clone(route),
    }
}
