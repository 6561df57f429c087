//! From a snapshot to tables.

use std::{collections::BTreeMap, sync::Arc};

use arc_swap::{ArcSwap, ArcSwapOption};

use super::{
    Balanced, Entry, EntryTable, Route, Slot, Target, Upstreams, service::default_transport,
};
use crate::{
    middleware::{Reference, Surroundings},
    model::{
        EntryPoint, Id, Middleware, Path, Protocol, Router, RouterTls, Service, Snapshot,
        TlsConfig, Transport,
    },
    proxy::{
        Filter, Internals,
        ask::Asker,
        internal::Internal,
        observe::{self, Observing},
        tcp,
        tls::Store,
        udp,
    },
    rule::{self, Index},
};

/// Everything that is served, by name.
pub(crate) struct Tables {
    pub(crate) entries: Arc<BTreeMap<String, Arc<Entry>>>,
    /// Entry points of UDP.
    pub(crate) udp: Arc<BTreeMap<String, Arc<udp::Entry>>>,
    pub(crate) slots: Arc<BTreeMap<Id, Arc<Slot>>>,
    pub(crate) routes: Arc<BTreeMap<Id, Arc<Route>>>,
    transports: BTreeMap<Id, Arc<Upstreams>>,
    /// Routers that are off, and why.
    pub(crate) faults: Arc<BTreeMap<Id, RouteFault>>,
    made_from: Option<MadeFrom>,
    ask: Arc<Asker>,
    internals: Option<Internals>,
    pub(crate) tls: Arc<Store>,
    pub(crate) observing: Arc<ArcSwap<Observing>>,
}

/// Why a router is off.
#[derive(Clone, Debug)]
pub(crate) struct RouteFault {
    pub(crate) why: String,
    /// Whom that is about, and what the middleware itself says.
    pub(crate) middleware: Option<(Id, String)>,
}

/// What routes depend on; while it stays the same they do.
struct MadeFrom {
    routers: Arc<BTreeMap<Id, Router>>,
    middlewares: BTreeMap<Id, Arc<Middleware>>,
    tls: BTreeMap<String, Arc<TlsConfig>>,
}

impl Tables {
    /// Nothing.
    pub(crate) fn new(internals: Option<Internals>) -> Self {
        Self {
            entries: Arc::default(),
            udp: Arc::default(),
            slots: Arc::default(),
            routes: Arc::default(),
            transports: BTreeMap::new(),
            faults: Arc::default(),
            made_from: None,
            ask: Arc::default(),
            internals,
            tls: Store::watched(),
            observing: Arc::default(),
        }
    }

    /// Brings everything to what `snapshot` says. What stays the same keeps its state.
    pub(crate) fn follow(&mut self, snapshot: &Snapshot) {
        let same_tls = self.made_from.as_ref().is_some_and(|old| old.tls == snapshot.tls);
        if !same_tls {
            self.tls.apply(&snapshot.tls);
        }
        self.services(snapshot);
        self.ask.slots.store(Arc::clone(&self.slots));
        let same = self.made_from.as_ref().is_some_and(|old| {
            Arc::ptr_eq(&old.routers, &snapshot.routers) && old.middlewares == snapshot.middlewares
        });
        if !same {
            self.routes(snapshot);
        }
        self.entries(snapshot, same && same_tls);
        self.udp(snapshot);
        self.made_from = Some(MadeFrom {
            routers: Arc::clone(&snapshot.routers),
            middlewares: snapshot.middlewares.clone(),
            tls: snapshot.tls.clone(),
        });
    }

    fn services(&mut self, snapshot: &Snapshot) {
        if self.slots.keys().any(|id| !snapshot.services.contains_key(id)) {
            Arc::make_mut(&mut self.slots).retain(|id, _| snapshot.services.contains_key(id));
        }
        self.transports.retain(|id, old| {
            snapshot.transports.get(id).is_some_and(|new| *new == old.settings)
                || *id == default_transport(id.protocol)
        });
        // Those that others are made of come first.
        let is_composed = |service: &Service| service.composed.is_some();
        let (made_of_others, plain): (Vec<_>, Vec<_>) =
            snapshot.services.values().partition(|service| is_composed(service));
        for service in plain.into_iter().chain(made_of_others.iter().copied()) {
            self.service(snapshot, service);
        }
        // A service may be made of one that is made of others itself, and stands behind it.
        for service in made_of_others {
            self.service(snapshot, service);
        }
    }

    fn service(&mut self, snapshot: &Snapshot, service: &Arc<Service>) {
        let of_own = service.http.transport.clone();
        let wanted = of_own.unwrap_or_else(|| default_transport(service.id.protocol));
        let transport = self.transport(snapshot, wanted);
        let part = |id: &Id| self.slots.get(id).cloned();
        let Some(slot) = self.slots.get(&service.id) else {
            let current = ArcSwap::from_pointee(Balanced::new(service, &transport, None, part));
            let slot = Arc::new(Slot { id: service.id.clone(), current });
            Arc::make_mut(&mut self.slots).insert(service.id.clone(), slot);
            return;
        };
        // No router leads to it any more; requests that were routed before go where they would have.
        if service.gone && !service.backends.iter().any(|backend| backend.expired) {
            return;
        }
        let old = slot.current.load();
        if !old.is_made_from(service, &transport, part) {
            slot.current.store(Arc::new(Balanced::new(service, &transport, Some(&old), part)));
        }
    }

    fn transport(&mut self, snapshot: &Snapshot, id: Id) -> Arc<Upstreams> {
        let tls = Arc::clone(&self.tls);
        let made = self.transports.entry(id).or_insert_with_key(|id| {
            let settings = snapshot.transports.get(id).cloned();
            let settings = settings.unwrap_or_else(|| Arc::new(Transport::new(id.clone())));
            Arc::new(Upstreams::new(settings, &tls))
        });
        Arc::clone(made)
    }

    fn routes(&mut self, snapshot: &Snapshot) {
        let old = std::mem::take(&mut self.routes);
        let (mut routes, mut faults) = (BTreeMap::new(), BTreeMap::new());
        for router in snapshot.routers.values() {
            if router.id.protocol != Protocol::Http || router.path != Path::Proxy {
                continue;
            }
            match self.route(snapshot, router, old.get(&router.id)) {
                Ok(route) => {
                    routes.insert(router.id.clone(), Arc::new(route));
                }
                Err(why) => {
                    faults.insert(router.id.clone(), why);
                }
            }
        }
        self.faults = Arc::new(faults);
        self.routes = Arc::new(routes);
    }

    fn route(
        &self,
        snapshot: &Snapshot,
        router: &Router,
        old: Option<&Arc<Route>>,
    ) -> Result<Route, RouteFault> {
        let mut made_from = Vec::new();
        for id in &router.middlewares {
            expand(snapshot, id, &mut made_from, 0)?;
        }
        let mut filters = Vec::new();
        for middleware in &made_from {
            let kept = old.and_then(|old| kept_filter(old, middleware));
            filters.push(match kept {
                Some(filter) => filter,
                None => self.filter(router, middleware)?,
            });
        }
        let target = match Internal::of(&router.service.name, self.internals.as_ref()) {
            Some(internal) if router.service.is_internal_service() => Target::Internal(internal),
            _ => {
                let slot = self.slots.get(&router.service);
                Target::Service(
                    slot.cloned().ok_or_else(|| format!("no service {}", router.service))?,
                )
            }
        };
        Ok(Route {
            id: router.id.clone(),
            filters,
            made_from,
            service: router.service.clone(),
            target,
            observability: router.observability,
            stats: old.map(|old| Arc::clone(&old.stats)).unwrap_or_default(),
        })
    }

    fn filter(
        &self,
        router: &Router,
        middleware: &Middleware,
    ) -> Result<Arc<dyn Filter>, RouteFault> {
        let id = &middleware.id;
        let surroundings = Surroundings { id, router: &router.id, ask: self.ask.clone() };
        middleware.settings.filter(&surroundings).map_err(|why| RouteFault {
            why: format!("middleware {}: {why}", id.qualified()),
            middleware: Some((id.clone(), why)),
        })
    }

    fn entries(&mut self, snapshot: &Snapshot, same_routes: bool) {
        let mut entries = BTreeMap::clone(&self.entries);
        entries.retain(|name, _| snapshot.entry_points.contains_key(name));
        for (name, point) in &snapshot.entry_points {
            if point.protocol != Protocol::Tcp {
                continue;
            }
            let old = entries.get(name);
            let same =
                same_routes && old.is_some_and(|old| *old.table.load().options == *point.options);
            if same {
                continue;
            }
            let Some(tcp) = self.tcp(snapshot, point, old) else { continue };
            let table = EntryTable {
                options: Arc::clone(&point.options),
                plain: self.index(snapshot, point, false),
                secure: self.index(snapshot, point, true),
                tcp,
            };
            match old {
                Some(entry) => entry.table.store(Arc::new(table)),
                None => {
                    let entry = Entry {
                        name: name.as_str().into(),
                        table: ArcSwap::from_pointee(table),
                        stats: observe::EntryStats::default(),
                        observing: Arc::clone(&self.observing),
                    };
                    entries.insert(name.clone(), Arc::new(entry));
                }
            }
        }
        self.entries = Arc::new(entries);
    }

    /// The router of each UDP entry point: there is one, or the first of the highest priority.
    fn udp(&mut self, snapshot: &Snapshot) {
        let entries = Arc::make_mut(&mut self.udp);
        entries.retain(|name, _| snapshot.entry_points.contains_key(name));
        let points = snapshot.entry_points.values();
        for point in points.filter(|point| point.protocol == Protocol::Udp) {
            let here = snapshot.routers.values().filter(|router| {
                router.id.protocol == Protocol::Udp
                    && router.path == Path::Proxy
                    && is_at(router, point)
            });
            let router = here.min_by_key(|router| (-router.priority, &router.id));
            let slot = router.and_then(|router| Some((router, self.slots.get(&router.service)?)));
            let entry = entries.entry(point.name.clone()).or_insert_with(|| {
                Arc::new(udp::Entry {
                    name: point.name.as_str().into(),
                    route: ArcSwapOption::empty(),
                })
            });
            let Some((router, slot)) = slot else {
                entry.route.store(None);
                continue;
            };
            let old = entry.route.load_full().filter(|old| old.id == router.id);
            entry.route.store(Some(Arc::new(udp::Route {
                id: router.id.clone(),
                service: Arc::clone(slot) as Arc<dyn tcp::Service>,
                timeout: point.options.udp_timeout,
                stats: old.map(|old| Arc::clone(&old.stats)).unwrap_or_default(),
            })));
        }
    }

    /// TCP routers and TLS options by host.
    fn tcp(
        &self,
        snapshot: &Snapshot,
        point: &EntryPoint,
        old: Option<&Arc<Entry>>,
    ) -> Option<tcp::Table> {
        let old = old.map(|old| old.table.load_full());
        let slots = &self.slots;
        let surroundings = tcp::Surroundings {
            store: &self.tls,
            service: &|id| Some(Arc::clone(slots.get(id)?) as Arc<dyn tcp::Service>),
        };
        let made =
            tcp::Table::new(snapshot, point, old.as_ref().map(|old| &old.tcp), &surroundings);
        made.inspect_err(|why| tracing::error!("entry point {}: {why}", point.name)).ok()
    }

    fn index(&self, snapshot: &Snapshot, point: &EntryPoint, tls: bool) -> Index<Arc<Route>> {
        let routes = self.routes.values().filter_map(|route| {
            let router = snapshot.routers.get(&route.id)?;
            (is_at(router, point) && tls_at(router, point).is_some() == tls).then(|| rule::Route {
                name: route.id.qualified(),
                rule: router.rule.clone(),
                priority: router.priority,
                value: Arc::clone(route),
            })
        });
        Index::new(routes)
    }
}

impl From<String> for RouteFault {
    fn from(why: String) -> Self {
        Self { why, middleware: None }
    }
}

fn is_at(router: &Router, point: &EntryPoint) -> bool {
    router.entry_points.contains(&point.name)
}

/// A router's TLS, or else its entry point's.
pub(crate) fn tls_at<'a>(router: &'a Router, point: &'a EntryPoint) -> Option<&'a RouterTls> {
    router.tls.as_deref().or(point.options.tls.as_ref())
}

/// The filter that a route had of the same middleware.
fn kept_filter(old: &Route, middleware: &Arc<Middleware>) -> Option<Arc<dyn Filter>> {
    let at = old.made_from.iter().position(|other| other == middleware)?;
    old.filters.get(at).cloned()
}

/// Chains stand for what they name.
fn expand(
    snapshot: &Snapshot,
    id: &Id,
    out: &mut Vec<Arc<Middleware>>,
    depth: usize,
) -> Result<(), String> {
    let middleware = snapshot.middlewares.get(id);
    let middleware = middleware.ok_or_else(|| format!("no middleware {}", id.qualified()))?;
    let refers = middleware.settings.refers();
    let chained: Vec<_> = refers
        .iter()
        .filter_map(|reference| match reference {
            Reference::Middleware(name) => Some(Id::refer(id.protocol, name, &id.provider)),
            Reference::Service(_) => None,
        })
        .collect();
    if chained.is_empty() {
        out.push(Arc::clone(middleware));
        return Ok(());
    }
    if depth > 16 {
        return Err(format!("chain {} leads back to itself", id.qualified()));
    }
    chained.iter().try_for_each(|id| expand(snapshot, id, out, depth + 1))
}
