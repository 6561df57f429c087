//! What files come to where nothing has changed but servers of services: the same, with those.

use std::net::IpAddr;

use super::Resolved;
use crate::{
    config::build::{Document, ServiceDraft},
    model::{Service, Shared},
    reconcile::is_alike_to_routers,
};

impl Resolved {
    /// What files come to that differ from those that this was made of only by these pairs of a
    /// provider's documents, the older one first; `None` where that has to be found out anew.
    pub(crate) fn again<'d>(
        &self,
        changed: impl IntoIterator<Item = (&'static str, &'d Document, &'d Document)>,
    ) -> Option<Self> {
        // Places of services are told by what is refused alone.
        if !self.refused.is_empty() {
            return None;
        }
        let mut again = None;
        for (provider, old, new) in changed {
            if !are_alike(old, new) {
                return None;
            }
            let again: &mut Self = again.get_or_insert_with(|| self.clone());
            let services = &mut again.dynamic.get_mut(provider)?.services;
            for (before, after) in pairs(old, new) {
                let at = services.binary_search_by(|one| one.id.cmp(&before.service.id)).ok()?;
                services[at] = after.service.clone();
            }
        }
        Some(again.unwrap_or_else(|| self.clone()))
    }
}

/// Whether nothing differs but servers, in ways that nothing else depends on.
fn are_alike(old: &Document, new: &Document) -> bool {
    let Document {
        instance,
        routers,
        services,
        middlewares,
        transports,
        tls,
        faulty,
        unknown,
        warnings,
    } = old;
    instance.is_none()
        && new.instance.is_none()
        && *routers == new.routers
        && services.len() == new.services.len()
        && pairs(old, new).all(|(before, after)| is_alike(before, after))
        && *middlewares == new.middlewares
        && *transports == new.transports
        && *tls == new.tls
        && *faulty == new.faulty
        && *unknown == new.unknown
        && *warnings == new.warnings
}

/// Services that aren't the same object as before.
fn pairs<'d>(
    old: &'d Document,
    new: &'d Document,
) -> impl Iterator<Item = (&'d Shared<ServiceDraft>, &'d Shared<ServiceDraft>)> {
    old.services.iter().zip(&new.services).filter(|(before, after)| !before.is(after))
}

fn is_alike(before: &ServiceDraft, after: &ServiceDraft) -> bool {
    before.references == after.references
        && is_alike_to_routers(&before.service, &after.service)
        && families(&before.service) == families(&after.service)
}

/// Whether there are servers of IPv4, of IPv6, and such as may be of either.
fn families(service: &Service) -> [bool; 3] {
    let mut families = [false; 3];
    for server in &service.servers {
        match server.host.parse::<IpAddr>() {
            Ok(ip) => families[usize::from(ip.is_ipv6())] = true,
            Err(_) => families[2] = true,
        }
    }
    families
}
