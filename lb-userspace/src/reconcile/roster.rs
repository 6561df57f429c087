//! Services and their backends: from servers and host names to addresses, with
//! health, operators' changes, and those that are on their way out.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use super::{
    event::Adopted,
    member::{Member, Override},
};
use crate::model::{BackendId, Composed, Fault, Health, Id, Place, Server, Service, Shared};

/// Every service that is configured or has backends that may still have flows.
#[derive(Debug, Default)]
pub(super) struct Roster {
    services: BTreeMap<Id, Entry>,
    /// Kept for backends that are not there, too: they may come back.
    overrides: BTreeMap<BackendId, Override>,
    /// Weights of parts of weighted services, by the service; kept like the others.
    parts: BTreeMap<Id, BTreeMap<Id, u32>>,
    names: BTreeMap<String, Vec<IpAddr>>,
    /// Services that differ from what the latest snapshot says.
    dirty: BTreeSet<Id>,
}

#[derive(Debug)]
struct Entry {
    /// As configured now, or last.
    config: Shared<Service>,
    /// Whether it is configured now.
    present: bool,
    /// Whether any of its servers is a host name.
    is_named: bool,
    /// In boxes: most services have few, and a map has room for eleven.
    members: BTreeMap<SocketAddr, Box<Member>>,
}

impl Roster {
    pub(super) fn adopt(&mut self, found: impl IntoIterator<Item = Adopted>) {
        for Adopted { backend, up } in found {
            let BackendId { service, address } = backend;
            let entry =
                self.services.entry(service.clone()).or_insert_with(|| Entry::gone(&service));
            entry.members.entry(address).or_insert_with(|| Member::adopted(address, up).into());
            self.dirty.insert(service);
        }
    }

    /// Takes over which services there are now, and how they are configured.
    pub(super) fn configure(&mut self, services: BTreeMap<&Id, &Shared<Service>>) {
        for (id, entry) in &mut self.services {
            if entry.present && !services.contains_key(id) {
                (entry.present, entry.is_named) = (false, false);
                entry.config.servers.clear();
                self.dirty.insert(id.clone());
            }
        }
        for (id, service) in services {
            let entry = self.services.entry(id.clone()).or_insert_with(|| Entry::gone(id));
            if entry.present && entry.config == *service {
                continue;
            }
            match (&entry.config.health_check, &service.health_check) {
                (_, None) => entry.members.values_mut().for_each(|member| member.end_checks()),
                (None, Some(_)) if entry.present => {
                    entry.members.values_mut().for_each(|member| member.begin_checks());
                }
                (_, Some(_)) => {}
            }
            (entry.present, entry.config) = (true, service.clone());
            entry.is_named = service.servers.iter().any(Server::is_named);
            self.dirty.insert(id.clone());
        }
    }

    /// Whether a name that is in use changed.
    pub(super) fn resolved(&mut self, host: String, mut addresses: Vec<IpAddr>) -> bool {
        addresses.sort_unstable();
        addresses.dedup();
        if addresses.is_empty() || self.names.get(&host) == Some(&addresses) {
            return false;
        }
        let uses = |entry: &Entry| entry.config.servers.iter().any(|server| server.host == host);
        let using = self.services.iter().filter(|(_, entry)| uses(entry));
        let using: Vec<Id> = using.map(|(id, _)| id.clone()).collect();
        let used = !using.is_empty();
        self.dirty.extend(using);
        self.names.insert(host, addresses);
        used
    }

    pub(super) fn health(&mut self, backend: &BackendId, health: Health) {
        let Some(entry) = self.services.get_mut(&backend.service) else { return };
        let Some(member) = entry.members.get_mut(&backend.address) else { return };
        if entry.config.health_check.is_some() && member.health.as_ref() != Some(&health) {
            member.health = Some(health);
            self.dirty.insert(backend.service.clone());
        }
    }

    pub(super) fn weigh(&mut self, backend: BackendId, weight: Option<u32>) {
        self.change(backend, |own| own.weight = weight.map(|weight| weight.min(65_535)));
    }

    pub(super) fn weigh_part(&mut self, service: Id, part: Id, weight: Option<u32>) {
        let parts = self.parts.entry(service.clone()).or_default();
        match weight {
            Some(weight) => parts.insert(part, weight.min(65_535)),
            None => parts.remove(&part),
        };
        if parts.is_empty() {
            self.parts.remove(&service);
        }
        self.dirty.insert(service);
    }

    pub(super) fn drain(&mut self, backend: BackendId, drain: bool) {
        self.change(backend, |own| own.drained = drain);
    }

    fn change(&mut self, backend: BackendId, change: impl FnOnce(&mut Override)) {
        let mut own = self.overrides.get(&backend).copied().unwrap_or_default();
        change(&mut own);
        self.dirty.insert(backend.service.clone());
        match own == Override::default() {
            true => self.overrides.remove(&backend),
            false => self.overrides.insert(backend, own),
        };
    }

    /// A backend has no flows any more.
    pub(super) fn forget(&mut self, backend: &BackendId) {
        let Some(entry) = self.services.get_mut(&backend.service) else { return };
        if entry.members.get(&backend.address).is_some_and(|member| member.leaving) {
            entry.members.remove(&backend.address);
            self.dirty.insert(backend.service.clone());
        }
    }

    /// Marks services in which somebody's drain time is over.
    pub(super) fn tick(&mut self, now: Duration) {
        for (id, entry) in &self.services {
            let timeout = entry.config.drain_timeout;
            let over = |member: &Member| {
                !member.expired
                    && member.since.is_some_and(|since| now.saturating_sub(since) >= timeout)
            };
            if entry.members.values().any(|member| over(member)) {
                self.dirty.insert(id.clone());
            }
        }
    }

    /// Whether any service may have changed since it was brought in line.
    pub(super) fn is_dirty(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// Brings `services` in line. Whether any of them changed.
    pub(super) fn refresh(
        &mut self,
        services: &mut BTreeMap<Id, Arc<Service>>,
        now: Duration,
    ) -> bool {
        let mut changed = false;
        for id in std::mem::take(&mut self.dirty) {
            let Some(entry) = self.services.get_mut(&id) else { continue };
            let mut service = entry.refresh(&self.names, &self.overrides, now);
            if let Some(parts) = self.parts.get(&id) {
                weigh_parts(&mut service, parts);
            }
            if !entry.present && entry.members.is_empty() {
                self.services.remove(&id);
                changed |= services.remove(&id).is_some();
            } else if services.get(&id).is_none_or(|old| **old != service) {
                services.insert(id, Arc::new(service));
                changed = true;
            }
        }
        changed
    }

    /// Host names without an address so far.
    pub(super) fn unresolved(&self) -> Vec<Fault> {
        let services = self.services.values().filter(|entry| entry.present && entry.is_named);
        let servers = services.flat_map(|Entry { config, .. }| {
            config.servers.iter().enumerate().map(|(at, server)| (&config.id, at, server))
        });
        let unknown = servers.filter(|(.., server)| addresses(server, &self.names).is_none());
        unknown.map(|(id, at, server)| unresolved(id, at, server)).collect()
    }
}

/// Puts the runtime weights of a weighted service in place of the configured ones.
fn weigh_parts(service: &mut Service, weights: &BTreeMap<Id, u32>) {
    let Some(Composed::Weighted { services, .. }) = &mut service.composed else { return };
    for (part, weight) in services {
        if let Some(set) = weights.get(part) {
            service.part_weights.insert(part.clone(), *weight);
            *weight = *set;
        }
    }
}

fn unresolved(id: &Id, at: usize, server: &Server) -> Fault {
    Fault {
        place: Place { file: id.provider.as_str().into(), ..Place::default() },
        path: format!("{}.services.{}.loadBalancer.servers[{at}].address", id.protocol, id.name),
        message: format!("host name {:?} is not resolved yet; it gives no backend", server.host),
        hint: None,
        off: None,
    }
}

/// Addresses of a server; `None` while its name has none.
fn addresses(server: &Server, names: &BTreeMap<String, Vec<IpAddr>>) -> Option<Vec<SocketAddr>> {
    let ips = match server.host.parse::<IpAddr>() {
        Ok(ip) => vec![ip],
        Err(_) => names.get(&server.host)?.clone(),
    };
    Some(ips.into_iter().map(|ip| SocketAddr::new(ip.to_canonical(), server.port)).collect())
}

impl Entry {
    /// A service of which only the name is known.
    fn gone(id: &Id) -> Self {
        let config = Service::new(id.clone()).into();
        Self { config, present: false, is_named: false, members: BTreeMap::new() }
    }

    /// Brings the members in line with servers and names, and makes the service of the snapshot.
    fn refresh(
        &mut self,
        names: &BTreeMap<String, Vec<IpAddr>>,
        overrides: &BTreeMap<BackendId, Override>,
        now: Duration,
    ) -> Service {
        let Self { config, members, present, .. } = self;
        let wanted = Self::wanted(&config.servers, members, names);
        for (address, member) in members.iter_mut() {
            member.leaving = !wanted.contains_key(address);
        }
        for (address, (server, weight)) in wanted {
            members.entry(address).or_default().configure(server, weight);
        }
        let mut service = Service::clone(config);
        service.gone = !*present;
        service.backends.reserve_exact(members.len());
        for (&address, member) in members {
            let id = BackendId { service: config.id.clone(), address };
            let own = overrides.get(&id).copied().unwrap_or_default();
            member.keep_time(own.drained, config.drain_timeout, now);
            service.backends.push(member.backend(address, config, own));
        }
        service
    }

    /// The backends that the servers stand for, with their weights. The weights of servers with
    /// one address add up.
    fn wanted<'s>(
        servers: &'s [Server],
        members: &BTreeMap<SocketAddr, Box<Member>>,
        names: &BTreeMap<String, Vec<IpAddr>>,
    ) -> BTreeMap<SocketAddr, (&'s Server, u32)> {
        let mut wanted: BTreeMap<SocketAddr, (&Server, u32)> = BTreeMap::new();
        let mut unknown = Vec::new();
        for server in servers {
            let Some(addresses) = addresses(server, names) else {
                unknown.push(server);
                continue;
            };
            for address in addresses {
                let (_, weight) = wanted.entry(address).or_insert((server, 0));
                *weight = (*weight + server.weight).min(65_535);
            }
        }
        // After a restart the kernel knows backends before DNS has answered: until it does, those
        // on the right port stay.
        for server in unknown {
            let presumed = |address: &SocketAddr, member: &Member| {
                address.port() == server.port && !member.leaving
            };
            for (&address, _) in members.iter().filter(|(address, one)| presumed(address, one)) {
                wanted.entry(address).or_insert((server, server.weight));
            }
        }
        wanted
    }
}
