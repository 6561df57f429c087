//! What there is of all providers, and what of it is whole.

use std::collections::{BTreeSet, HashMap};

use crate::{
    config::names::nearest,
    middleware::Reference,
    model::{Dynamic, Id, Middleware, RouterTls, Service},
};

/// Objects by id; the first one where two providers have the same.
pub(super) struct Known<'a> {
    services: HashMap<&'a Id, &'a Service>,
    middlewares: HashMap<&'a Id, &'a Middleware>,
    transports: BTreeSet<&'a Id>,
    /// By provider and name.
    tls_options: BTreeSet<(&'a str, &'a str)>,
}

/// Why something isn't whole.
#[derive(Debug)]
pub(super) struct Lack {
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

impl<'a> Known<'a> {
    pub(super) fn of(dynamics: impl IntoIterator<Item = (&'a str, &'a Dynamic)>) -> Self {
        let mut known = Self {
            services: HashMap::new(),
            middlewares: HashMap::new(),
            transports: BTreeSet::new(),
            tls_options: BTreeSet::new(),
        };
        for (provider, dynamic) in dynamics {
            for service in &dynamic.services {
                known.services.entry(&service.id).or_insert(service);
            }
            for middleware in &dynamic.middlewares {
                known.middlewares.entry(&middleware.id).or_insert(middleware);
            }
            known.transports.extend(dynamic.transports.iter().map(|one| &one.id));
            let options = dynamic.tls.options.keys();
            known.tls_options.extend(options.map(|name| (provider, name.as_str())));
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

    /// That TLS options aren't there which an object of `provider` names: without them the router
    /// would ask less of its clients than it is to.
    pub(super) fn lack_of_tls(&self, tls: Option<&RouterTls>, provider: &str) -> Option<Lack> {
        let written = tls?.options.as_deref()?;
        let (name, provider) = written.rsplit_once('@').unwrap_or((written, provider));
        if name == "default" || self.tls_options.contains(&(provider, name)) {
            return None;
        }
        let kin = self.tls_options.iter().filter(|(other, _)| *other == provider);
        Some(Lack {
            message: format!("waits: provider {provider:?} has no TLS options {name:?}"),
            hint: nearest(name, kin.map(|(_, name)| *name)),
        })
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
