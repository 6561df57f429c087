//! Instances that name the same objects, put together: their servers are pooled.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::{
    Reason, Skipped,
    assemble::{Read, Said},
};
use crate::{
    config::build::{Document, Kind, RouterDraft, ServiceDraft},
    model::{Fault, Id, Service},
};

/// What instances come to.
#[derive(Debug, Default)]
pub(crate) struct Assembled {
    /// Of all that are sound.
    pub(crate) document: Document,
    /// Of those that aren't.
    pub(crate) faults: Vec<Fault>,
    /// Those that serve nothing, and why.
    pub(crate) skipped: Vec<Skipped>,
    /// How many serve.
    pub(crate) serving: usize,
}

impl Assembled {
    /// Adds others that name nothing of the same.
    pub(super) fn add(&mut self, other: &Self) {
        self.document.append(other.document.clone());
        self.faults.extend_from_slice(&other.faults);
        self.skipped.extend_from_slice(&other.skipped);
        self.serving += other.serving;
    }
}

/// Puts instances together. Of those that contradict each other the first one stays: older ones, but
/// for such as leave.
pub(super) fn pool(members: &[Arc<Read>]) -> Assembled {
    let mut order: Vec<&Read> = members.iter().map(|one| &**one).collect();
    order.sort_by_key(|Read { instance, .. }| (instance.leaving, instance.since, &instance.id));
    let mut pool = Pool::default();
    for Read { instance, said, .. } in order {
        match said {
            Said::Sound(document) => pool.add(&instance.origin, document),
            Said::Out(skipped, faults) => {
                pool.assembled.skipped.push(skipped.clone());
                pool.assembled.faults.extend_from_slice(faults);
            }
        }
    }
    let services = pool.assembled.document.services.iter_mut();
    for draft in services.filter(|draft| draft.service.servers.len() > 1) {
        // Whoever came first: what is the same stays the same.
        draft.service.servers.sort_by_cached_key(|server| server.address());
    }
    pool.assembled
}

/// Documents being put together.
#[derive(Default)]
struct Pool<'d> {
    assembled: Assembled,
    /// Where each object stands, and whose it is.
    objects: HashMap<(Kind, &'d Id), (usize, &'d str)>,
    /// Services as the first to name them has them: with its own servers alone.
    first: Vec<&'d ServiceDraft>,
    /// Addresses of each service.
    addresses: HashSet<(&'d Id, String)>,
}

impl<'d> Pool<'d> {
    fn add(&mut self, origin: &'d str, document: &'d Document) {
        if let Some((fault, detail)) = self.conflict(document) {
            let instance = origin.to_owned();
            self.assembled.faults.push(fault);
            self.assembled.skipped.push(Skipped { instance, reason: Reason::Conflict, detail });
            return;
        }
        let into = &mut self.assembled.document;
        for draft in &document.services {
            let id = &draft.service.id;
            let servers = &draft.service.servers;
            self.addresses.extend(servers.iter().map(|one| (id, one.address())));
            match self.objects.get(&(Kind::Service, id)) {
                Some((at, _)) => {
                    into.services[*at].service.servers.extend_from_slice(servers);
                }
                None => {
                    self.objects.insert((Kind::Service, id), (into.services.len(), origin));
                    self.first.push(draft);
                    into.services.push(draft.clone());
                }
            }
        }
        let objects = &mut self.objects;
        let mut put = |kind, id, at| objects.entry((kind, id)).or_insert((at, origin)).0 == at;
        for one in &document.routers {
            if put(Kind::Router, &one.config.id, into.routers.len()) {
                into.routers.push(one.clone());
            }
        }
        for one in &document.middlewares {
            if put(Kind::Middleware, &one.id, into.middlewares.len()) {
                into.middlewares.push(one.clone());
            }
        }
        for one in &document.transports {
            if put(Kind::Transport, &one.value.id, into.transports.len()) {
                into.transports.push(one.clone());
            }
        }
        into.warnings.extend_from_slice(&document.warnings);
        self.assembled.serving += 1;
    }

    /// What an instance says otherwise than those before.
    fn conflict(&self, document: &Document) -> Option<(Fault, String)> {
        let into = &self.assembled.document;
        let first = |kind: Kind, id| self.objects.get(&(kind, id));
        let differs = |kind: Kind, id: &Id, whose: &str| {
            format!("{} {:?} is not as {whose} has it", kind.name(), id.name)
        };
        for draft in &document.services {
            let id = &draft.service.id;
            if let Some((at, whose)) = first(Kind::Service, id)
                && !is_same_service(self.first[*at], draft)
            {
                let message = differs(Kind::Service, id, whose);
                return Some((draft.spot.fault(&message), message));
            }
            let has = |address: &String| self.addresses.contains(&(id, address.clone()));
            let mut addresses = draft.service.servers.iter().map(|server| server.address());
            if let Some(address) = addresses.find(has) {
                let message = format!("{address} serves {:?} already", id.name);
                return Some((draft.spot.fault(&message), message));
            }
        }
        for draft in &document.routers {
            if let Some((at, whose)) = first(Kind::Router, &draft.config.id)
                && !is_same_router(&into.routers[*at], draft)
            {
                let message = differs(Kind::Router, &draft.config.id, whose);
                return Some((draft.spot.fault(&message), message));
            }
        }
        for draft in &document.middlewares {
            if let Some((at, whose)) = first(Kind::Middleware, &draft.id)
                && into.middlewares[*at].settings.as_ref().ok() != draft.settings.as_ref().ok()
            {
                let message = differs(Kind::Middleware, &draft.id, whose);
                return Some((draft.spot.fault(&message), message));
            }
        }
        None
    }
}

/// But for servers.
fn is_same_service(one: &ServiceDraft, other: &ServiceDraft) -> bool {
    let bare =
        |draft: &ServiceDraft| Service { servers: Vec::new(), ..Service::clone(&draft.service) };
    bare(one) == bare(other)
}

fn is_same_router(one: &RouterDraft, other: &RouterDraft) -> bool {
    one.config == other.config && one.is_written_as(other)
}
