//! Routers: what they name, who forwards them, and who has which entry point.

use std::{collections::BTreeSet, net::IpAddr};

use super::{Kind, Resolver, doesnt_build, hinted, names::label};
use crate::{
    config::{
        build::{Instance, RouterDraft},
        decode::{At, Spot},
        names::nearest,
    },
    model::{EntryPoint, EntryPointOptions, Fault, Id, Off, Path, Protocol, Router, Shared},
    reconcile,
};

impl<'d> Resolver<'d> {
    pub(super) fn router(
        &mut self,
        file: usize,
        provider: &'static str,
        draft: Shared<RouterDraft>,
    ) {
        let mut off = draft.off.clone();
        let refused = self.resolved.refused.len();
        off.extend(self.refer("router", file, &draft.references));
        for reference in &draft.references {
            if reference.kind == Kind::Middleware && self.broken.contains(&reference.id) {
                off.push(reference.spot.fault(doesnt_build(&reference.id)));
            }
        }
        let protocol = draft.config.id.protocol;
        for at in &draft.entry_points {
            if let Err(Some(fault)) = entry_point(at, protocol, "the router", self.instance) {
                off.extend(self.refuse(file, fault));
            }
        }
        if let Some(fault) = draft.resolver.as_ref().and_then(|at| self.resolver(at)) {
            off.extend(self.refuse(file, fault));
        } else if let Some(at) = &draft.resolver {
            let message = "obtaining certificates isn't done yet: those of `tls` are served, else \
                           the default one";
            self.resolved.warnings.push(at.spot.fault(message));
        }
        if !off.is_empty() {
            let router = || Off::Router(draft.config.id.clone());
            self.resolved.off.extend(off.into_iter().map(|fault| fault.taking_off(router())));
        } else if self.resolved.refused.len() == refused {
            self.dynamic(provider).routers.push(draft.config.clone());
            self.drafts.insert(draft.config.id.clone(), draft);
        }
    }

    /// That a certificates resolver doesn't exist.
    pub(super) fn resolver(&self, at: &At<String>) -> Option<Fault> {
        let known = &self.instance.settings.resolvers;
        if known.contains(&at.value) || self.instance.unknown {
            return None;
        }
        let hint = nearest(&at.value, known.iter().map(String::as_str));
        Some(hinted(&at.spot, format!("no certificates resolver {:?}", at.value), hint))
    }

    /// Who forwards each router and who has which entry point, as the one writer will find; routers
    /// that it would leave out are off already.
    pub(super) fn judge(&mut self) {
        let mut dynamics = Vec::new();
        for dynamic in self.resolved.dynamic.values_mut() {
            dynamic.services.sort_by(|a, b| a.id.cmp(&b.id));
            dynamic.middlewares.sort_by(|a, b| a.id.cmp(&b.id));
            dynamic.transports.sort_by(|a, b| a.id.cmp(&b.id));
            dynamic.routers.sort_by(|a, b| a.id.cmp(&b.id));
        }
        if self.instance.unknown || !self.instance.faulty.is_empty() {
            return;
        }
        dynamics.extend(self.resolved.dynamic.iter().map(|(name, dynamic)| (*name, dynamic)));
        let judged =
            reconcile::judge(&dynamics, &self.instance.settings, &self.instance.entry_points);
        let mut off: BTreeSet<Id> = BTreeSet::new();
        for trouble in judged.troubles.into_iter().filter(|trouble| !trouble.waits) {
            let spot = self.drafts.get(&trouble.router).map(|draft| precise(draft, &trouble.fault));
            let place = spot.map_or_else(|| trouble.fault.place.clone(), |spot| spot.place());
            let path =
                spot.map_or_else(|| trouble.fault.path.clone(), |spot| spot.path.to_string());
            self.resolved.off.push(Fault { place, path, ..*trouble.fault });
            off.insert(trouble.router);
        }
        for dynamic in self.resolved.dynamic.values_mut() {
            dynamic.routers.retain(|router| !off.contains(&router.id));
        }
        for router in judged.routers.values().filter(|router| router.path == Path::Kernel) {
            self.warn(router);
        }
    }

    /// What is odd about a router that the kernel forwards.
    fn warn(&mut self, router: &Router) {
        let Some(draft) = self.drafts.get(&router.id) else { return };
        let mut warnings = Vec::new();
        for name in &router.entry_points {
            let Some(point) = self.instance.entry_points.get(name) else { continue };
            let named = draft.entry_points.iter().find(|at| at.value == *name);
            let spot = named.map_or(&draft.spot, |at| &at.spot);
            warnings.extend(self.family(router, point).map(|message| spot.fault(message)));
            if point.options.udp_timeout != EntryPointOptions::default().udp_timeout {
                warnings.push(spot.fault(format!(
                    "udp.timeout of entry point {name:?} says nothing to the kernel, which forwards \
                     this router: its idle time is datapath.timeouts.udp"
                )));
            }
        }
        self.resolved.warnings.extend(warnings);
    }

    /// lb doesn't translate between IPv4 and IPv6 in the kernel: that no server can serve an entry
    /// point.
    fn family(&self, router: &Router, point: &EntryPoint) -> Option<String> {
        let ip = point.ip?;
        let dynamic = self.resolved.dynamic.get(router.service.provider.as_str())?;
        let at = dynamic.services.binary_search_by(|one| one.id.cmp(&router.service)).ok()?;
        let service = &dynamic.services[at];
        let servers = service.servers.iter().map(|server| server.host.parse::<IpAddr>());
        // A name may resolve to either.
        let servers = servers.collect::<Result<Vec<_>, _>>().ok()?;
        if servers.is_empty() || servers.iter().any(|one| one.is_ipv4() == ip.is_ipv4()) {
            return None;
        }
        let family = if ip.is_ipv4() { "IPv4" } else { "IPv6" };
        Some(format!(
            "entry point {:?} is {family} and no server of service {:?} is: lb doesn't translate, \
             so that its clients find no backend",
            point.name, service.id.name
        ))
    }
}

/// The place that a fault is about, as far as the draft knows it.
fn precise<'a>(draft: &'a RouterDraft, fault: &Fault) -> &'a Spot {
    let is_about = |part: &str| fault.path.ends_with(part);
    let entry_point = || {
        let named =
            |at: &&At<String>| fault.message.contains(&format!("entry point {:?}", at.value));
        draft.entry_points.iter().find(named).map(|at| &at.spot)
    };
    let spot = match () {
        () if is_about(".datapath") => draft.datapath.as_ref(),
        () if is_about(".entryPoints") => entry_point(),
        () => None,
    };
    spot.unwrap_or(&draft.spot)
}

/// The entry point of that name; `Err(None)` where it has a fault that is told already.
pub(super) fn entry_point<'i>(
    at: &At<String>,
    protocol: Protocol,
    owner: &str,
    instance: &'i Instance,
) -> Result<&'i EntryPoint, Option<Fault>> {
    let name = &at.value;
    match instance.entry_points.get(name) {
        Some(entry_point) if entry_point.protocol == protocol.transport() => Ok(entry_point),
        Some(entry_point) => {
            let (this, other) = (label(protocol), label(entry_point.protocol));
            let message = format!("entry point {name:?} is {other}, {owner} {this}");
            Err(Some(at.spot.fault(message)))
        }
        None if instance.unknown || instance.faulty.contains(name) => Err(None),
        None => {
            let mut fault = at.spot.fault(format!("no entry point {name:?}"));
            match instance.taken.get(name) {
                Some(what) => fault.message = format!("entry point {name:?} serves {what}"),
                None => {
                    fault.hint = nearest(name, instance.entry_points.keys().map(String::as_str))
                }
            }
            Err(Some(fault))
        }
    }
}
