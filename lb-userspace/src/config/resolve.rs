//! References between objects, which may stand in several files of several providers.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use super::{
    build::{Document, Instance, RouterDraft},
    decode::{At, Spot},
    names::nearest,
};
use crate::model::{Dynamic, EntryPoint, Fault, Id, PathChoice, Protocol, Service};

/// What the files come to.
#[derive(Debug, Default)]
pub(crate) struct Resolved {
    /// What can apply, by provider; complete only where nothing is refused.
    pub(crate) dynamic: BTreeMap<&'static str, Dynamic>,
    /// Faults for which a whole file is refused.
    pub(crate) refused: Vec<Refusal>,
    /// Routers that are off alone.
    pub(crate) off: Vec<Fault>,
    /// Worth knowing.
    pub(crate) warnings: Vec<Fault>,
}

/// A fault for which a whole file is refused, and who else may have brought it about.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) fault: Fault,
    /// Index of the file where it stands.
    pub(crate) file: usize,
    pub(crate) cause: Cause,
}

/// What made a reference or a name wrong.
#[derive(Debug)]
pub(crate) enum Cause {
    /// The service is in no file.
    NoService(Id),
    /// The main file has no such entry point.
    NoEntryPoint,
    /// The file of this index has the name already.
    Twice(usize),
}

/// A file of a provider.
pub(crate) type Source<'d> = (&'static str, &'d Document);

/// Puts files together, the main file first. Where `gaps` says that some file of these providers
/// couldn't be read and has no earlier state, a missing service puts its router off instead of
/// refusing the file that names it.
pub(crate) fn resolve(
    sources: &[Source<'_>],
    instance: &Instance,
    gaps: &BTreeSet<&'static str>,
) -> Resolved {
    let mut resolver =
        Resolver { instance, gaps, services: BTreeMap::new(), resolved: Resolved::default() };
    for (file, &(provider, document)) in sources.iter().enumerate() {
        resolver.resolved.dynamic.entry(provider).or_default();
        resolver.resolved.warnings.extend(document.warnings.iter().cloned());
        for at in &document.services {
            resolver.service(file, provider, at);
        }
    }
    let mut routers: BTreeMap<&Id, (usize, &Spot)> = BTreeMap::new();
    for (file, &(provider, document)) in sources.iter().enumerate() {
        for draft in &document.routers {
            match routers.get(&draft.config.id) {
                Some((first, spot)) => {
                    resolver.twice(file, *first, &draft.config.id, &draft.spot, spot)
                }
                None => {
                    routers.insert(&draft.config.id, (file, &draft.spot));
                    resolver.router(file, provider, draft, sources);
                }
            }
        }
    }
    resolver.contended(&routers);
    resolver.resolved
}

struct Resolver<'d> {
    instance: &'d Instance,
    gaps: &'d BTreeSet<&'static str>,
    /// By id, with the file's index.
    services: BTreeMap<&'d Id, (usize, &'d At<Service>)>,
    resolved: Resolved,
}

impl<'d> Resolver<'d> {
    fn service(&mut self, file: usize, provider: &'static str, at: &'d At<Service>) {
        let id = &at.value.id;
        if let Some(&(first, there)) = self.services.get(id) {
            self.twice(file, first, id, &at.spot, &there.spot);
            return;
        }
        self.services.insert(id, (file, at));
        self.resolved.dynamic.entry(provider).or_default().services.push(at.value.clone());
    }

    fn twice(&mut self, file: usize, first: usize, id: &Id, spot: &Spot, there: &Spot) {
        let message = format!(
            "stands twice, first at {}; all these files are `@{}`, so rename one",
            there.place(),
            id.provider
        );
        self.resolved.refused.push(Refusal {
            fault: spot.fault(message),
            file,
            cause: Cause::Twice(first),
        });
    }

    fn router(
        &mut self,
        file: usize,
        provider: &'static str,
        draft: &RouterDraft,
        sources: &[Source<'_>],
    ) {
        let mut off = draft.off.clone();
        if let Some((fault, id)) = self.missing_service(draft, sources) {
            if self.gaps.contains(id.provider.as_str()) {
                off.push(fault);
            } else {
                self.resolved.refused.push(Refusal { fault, file, cause: Cause::NoService(id) });
            }
        }
        let mut faults = Vec::new();
        let entry_points = entry_points(draft, self.instance, &mut faults);
        let refusal = |fault| Refusal { fault, file, cause: Cause::NoEntryPoint };
        self.resolved.refused.extend(faults.into_iter().map(refusal));
        off.extend(unservable(draft, self.instance, &entry_points));
        if off.is_empty() {
            self.families(draft, &entry_points);
            let dynamic = self.resolved.dynamic.entry(provider).or_default();
            dynamic.routers.push(draft.config.clone());
        } else {
            self.resolved.off.extend(off);
        }
    }

    /// A service of the router's own provider must exist; one of another provider may come later.
    fn missing_service(&self, draft: &RouterDraft, sources: &[Source<'_>]) -> Option<(Fault, Id)> {
        let Id { protocol, provider, .. } = &draft.config.id;
        let written = &draft.service.value;
        let name = match written.rsplit_once('@') {
            Some((_, other)) if other != provider => return None,
            Some((name, _)) => name,
            None => written,
        };
        let id = Id::new(*protocol, name, provider);
        let unsure = |&(other, document): &Source<'_>| {
            other == provider && (document.unknown || document.faulty.contains(&id))
        };
        if self.services.contains_key(&id) || sources.iter().any(unsure) {
            return None;
        }
        let mut fault = draft.service.spot.fault(format!("no service {name:?}"));
        let (this, other) = match protocol {
            Protocol::Udp => ("UDP", Protocol::Tcp),
            Protocol::Tcp | Protocol::Http => ("TCP", Protocol::Udp),
        };
        if self.services.contains_key(&Id::new(other, name, provider)) {
            fault.message = format!(
                "service {name:?} is {}; a {this} router needs a {this} service",
                label(other)
            );
        } else {
            let mine = |other: &&&Id| other.protocol == *protocol && other.provider == *provider;
            let names = self.services.keys().filter(mine).map(|id| id.name.as_str());
            fault.hint = nearest(name, names);
        }
        Some((fault, id))
    }

    /// lb doesn't translate between IPv4 and IPv6: warns of entry points that no server can serve.
    fn families(&mut self, draft: &RouterDraft, entry_points: &[(Spot, &EntryPoint)]) {
        let Id { protocol, provider, .. } = &draft.config.id;
        let written = &draft.service.value;
        let (name, provider) = written.rsplit_once('@').unwrap_or((written, provider));
        let Some((_, at)) = self.services.get(&Id::new(*protocol, name, provider)) else {
            return;
        };
        let servers = at.value.servers.iter().map(|server| server.host.parse::<IpAddr>());
        let Ok(servers) = servers.collect::<Result<Vec<_>, _>>() else {
            return; // A name may resolve to either.
        };
        for (spot, EntryPoint { name: entry_point, ip, .. }) in entry_points {
            let Some(ip) = ip else { continue };
            if !servers.is_empty() && !servers.iter().any(|one| one.is_ipv4() == ip.is_ipv4()) {
                let family = if ip.is_ipv4() { "IPv4" } else { "IPv6" };
                self.resolved.warnings.push(spot.fault(format!(
                    "entry point {entry_point:?} is {family} and no server of service {name:?} is: \
                     lb doesn't translate, so that its clients find no backend"
                )));
            }
        }
    }

    /// Two routers of the same priority on one entry point: the second one by name is off.
    fn contended(&mut self, routers: &BTreeMap<&Id, (usize, &Spot)>) {
        let mut holders: BTreeMap<(&str, i64), Id> = BTreeMap::new();
        let Resolved { dynamic, off, .. } = &mut self.resolved;
        for dynamic in dynamic.values_mut() {
            dynamic.services.sort_by(|a, b| a.id.cmp(&b.id));
            dynamic.routers.sort_by(|a, b| a.id.cmp(&b.id));
            dynamic.routers.retain(|router| {
                let taken = self.instance.entry_points.values().filter(|entry_point| {
                    let named = router.entry_points.contains(&entry_point.name);
                    entry_point.protocol == router.id.protocol
                        && (named || router.entry_points.is_empty())
                });
                for EntryPoint { name, .. } in taken {
                    let holder = holders.entry((name, router.priority));
                    let holder = holder.or_insert_with(|| router.id.clone());
                    if *holder != router.id {
                        let spot = routers.get(&router.id).map(|(_, spot)| *spot);
                        off.push(spot.cloned().unwrap_or_default().fault(format!(
                            "router {:?} takes entry point {name:?} already, with the same \
                             priority; give one of them a higher `priority` or another entry point",
                            holder.name
                        )));
                        return false;
                    }
                }
                true
            });
        }
    }
}

fn label(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "TCP",
        Protocol::Udp => "UDP",
        Protocol::Http => "HTTP",
    }
}

/// The router's entry points, those it names or all of its protocol, each with the place that
/// chose it.
fn entry_points<'i>(
    draft: &RouterDraft,
    instance: &'i Instance,
    faults: &mut Vec<Fault>,
) -> Vec<(Spot, &'i EntryPoint)> {
    let protocol = draft.config.id.protocol;
    let all = instance.entry_points.values();
    if draft.entry_points.is_empty() {
        let fitting = all.filter(|entry_point| entry_point.protocol == protocol);
        return fitting.map(|entry_point| (draft.spot.clone(), entry_point)).collect();
    }
    let mut found = Vec::new();
    for at in &draft.entry_points {
        let name = &at.value;
        match instance.entry_points.get(name) {
            Some(entry_point) if entry_point.protocol == protocol => {
                found.push((at.spot.clone(), entry_point));
            }
            Some(entry_point) => {
                let (this, other) = (label(protocol), label(entry_point.protocol));
                let message = format!("entry point {name:?} is {other}, the router {this}");
                faults.push(at.spot.fault(message));
            }
            None if instance.unknown || instance.faulty.contains(name) => {}
            None => {
                let mut fault = at.spot.fault(format!("no entry point {name:?}"));
                match instance.taken.get(name) {
                    Some(what) => fault.message = format!("entry point {name:?} serves {what}"),
                    None => {
                        fault.hint = nearest(name, all.clone().map(|other| other.name.as_str()))
                    }
                }
                faults.push(fault);
            }
        }
    }
    found
}

/// What keeps the kernel from serving the router at its entry points.
fn unservable(
    draft: &RouterDraft,
    instance: &Instance,
    entry_points: &[(Spot, &EntryPoint)],
) -> Vec<Fault> {
    let sure = !instance.unknown && instance.faulty.is_empty();
    if entry_points.is_empty() && draft.entry_points.is_empty() && sure {
        let protocol = label(draft.config.id.protocol);
        return vec![draft.spot.fault(format!("there is no {protocol} entry point to take from"))];
    }
    const PROXY: &str = "needs the proxy, which lb doesn't have yet";
    const REMEDY: &str = "give the entry point an address of the network";
    let obstacle = |(spot, entry_point): &(Spot, &EntryPoint)| {
        let EntryPoint { name, ip, port, .. } = entry_point;
        let what = match (ip, draft.config.datapath) {
            // Told already.
            (_, PathChoice::Proxy) | (None, PathChoice::Kernel) => return None,
            (None, PathChoice::Auto) => format!(
                "entry point {name:?} (\":{port}\") has no address of its own, which under \
                 `datapath: auto` {PROXY}; {REMEDY}, or the router `datapath: kernel`, which takes \
                 every address of the interfaces"
            ),
            (Some(ip), PathChoice::Auto) if ip.is_loopback() => {
                format!("entry point {name:?} ({ip}) is on loopback, which {PROXY}; {REMEDY}")
            }
            (Some(ip), PathChoice::Kernel) if ip.is_loopback() => format!(
                "the kernel can't serve it: entry point {name:?} ({ip}) is on loopback, where no \
                 packet comes in; {REMEDY}"
            ),
            (Some(_), _) => return None,
        };
        Some(spot.fault(what))
    };
    entry_points.iter().filter_map(obstacle).collect()
}
