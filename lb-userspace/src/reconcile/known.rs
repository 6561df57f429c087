//! What there is of all providers, and what of it is whole.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    config::names::nearest,
    middleware::Reference,
    model::{Dynamic, Id, Middleware, Service},
};

/// Objects by id; the first one where two providers have the same.
pub(super) struct Known<'a> {
    services: BTreeMap<&'a Id, &'a Service>,
    middlewares: BTreeMap<&'a Id, &'a Middleware>,
    transports: BTreeSet<&'a Id>,
}

/// Why something isn't whole.
#[derive(Debug)]
pub(super) struct Lack {
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

impl<'a> Known<'a> {
    pub(super) fn of(dynamics: impl IntoIterator<Item = &'a Dynamic>) -> Self {
        let mut known = Self {
            services: BTreeMap::new(),
            middlewares: BTreeMap::new(),
            transports: BTreeSet::new(),
        };
        for dynamic in dynamics {
            for service in &dynamic.services {
                known.services.entry(&service.id).or_insert(service);
            }
            for middleware in &dynamic.middlewares {
                known.middlewares.entry(&middleware.id).or_insert(middleware);
            }
            known.transports.extend(dynamic.transports.iter().map(|one| &one.id));
        }
        known
    }

    /// A configured service.
    pub(super) fn service(&self, id: &Id) -> Option<&'a Service> {
        self.services.get(id).copied()
    }

    /// What a service waits for: itself, a part, a transport.
    pub(super) fn lack_of_service(&self, id: &Id) -> Option<Lack> {
        self.service_on(id, &mut Vec::new())
    }

    fn service_on(&self, id: &Id, path: &mut Vec<Id>) -> Option<Lack> {
        if id.is_internal_service() {
            return None;
        }
        let Some(service) = self.services.get(id) else {
            let of_provider = self.services.keys().filter(|s| is_kin(s, id));
            return Some(missing("service", id, of_provider.copied()));
        };
        if path.contains(id) {
            return Some(made_of_itself("service", id));
        }
        if let Some(transport) = &service.http.transport
            && !self.transports.contains(transport)
        {
            let of_provider = self.transports.iter().filter(|s| is_kin(s, transport));
            return Some(missing("servers transport", transport, of_provider.copied()));
        }
        path.push(id.clone());
        let parts = service.composed.iter().flat_map(|composed| composed.parts());
        let lack = parts.into_iter().find_map(|part| self.service_on(part, path));
        path.pop();
        lack
    }

    /// What a middleware waits for: itself, those of a chain, the service of an error page.
    pub(super) fn lack_of_middleware(&self, id: &Id) -> Option<Lack> {
        self.middleware_on(id, &mut Vec::new())
    }

    fn middleware_on(&self, id: &Id, path: &mut Vec<Id>) -> Option<Lack> {
        let Some(middleware) = self.middlewares.get(id) else {
            let of_provider = self.middlewares.keys().filter(|s| is_kin(s, id));
            return Some(missing("middleware", id, of_provider.copied()));
        };
        if path.contains(id) {
            return Some(made_of_itself("middleware", id));
        }
        path.push(id.clone());
        let refers = middleware.settings.refers();
        let lack = refers.iter().find_map(|refers| match refers {
            Reference::Middleware(name) => {
                self.middleware_on(&Id::refer(id.protocol, name, &id.provider), path)
            }
            Reference::Service(name) => {
                self.lack_of_service(&Id::refer(id.protocol, name, &id.provider))
            }
        });
        path.pop();
        lack
    }
}

fn is_kin(one: &Id, other: &Id) -> bool {
    one.protocol == other.protocol && one.provider == other.provider
}

fn missing<'a>(kind: &str, id: &Id, of_provider: impl Iterator<Item = &'a Id>) -> Lack {
    let Id { protocol, name, provider } = id;
    Lack {
        message: format!("waits: provider {provider:?} has no {protocol} {kind} {name:?}"),
        hint: nearest(name, of_provider.map(|one| one.name.as_str())),
    }
}

fn made_of_itself(kind: &str, id: &Id) -> Lack {
    Lack { message: format!("waits: {kind} {} is made of itself", id.qualified()), hint: None }
}
