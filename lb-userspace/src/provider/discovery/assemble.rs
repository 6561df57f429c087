//! From instances to one document: each is read by itself, then those that name the same things
//! are put together.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::{Instance, Reason, Rules, Skipped, shape};
use crate::{
    config::{
        build::{self, Document, Kind, RouterDraft, ServiceDraft},
        flat::{Style, Tree, after_prefix},
    },
    model::{Fault, Id, Place},
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

/// Puts instances together. An instance that is as it was isn't read again.
#[derive(Debug)]
pub(crate) struct Assembler {
    rules: Arc<Rules>,
    read: HashMap<String, (Instance, Arc<Read>)>,
}

/// One instance by itself.
#[derive(Debug)]
enum Read {
    Sound(Box<Document>),
    Out(Skipped, Vec<Fault>),
}

impl Assembler {
    /// Nothing has been read yet.
    pub(crate) fn new(rules: Arc<Rules>) -> Self {
        Self { rules, read: HashMap::new() }
    }

    /// Of all instances that there are now.
    pub(crate) fn assemble(&mut self, instances: &[Instance]) -> Assembled {
        let mut before = std::mem::take(&mut self.read);
        let mut order: Vec<&Instance> = instances.iter().collect();
        // Of those that contradict each other the first one stays: older ones, but for such as leave.
        order.sort_by_key(|one| (one.leaving, one.since, &one.id));
        let mut pool = Pool::default();
        for instance in order {
            let (id, (last, read)) = match before.remove_entry(&instance.id) {
                Some(known) if known.1.0 == *instance => known,
                _ => {
                    let read = Arc::new(read(instance, &self.rules));
                    (instance.id.clone(), (instance.clone(), read))
                }
            };
            match &*read {
                Read::Sound(document) => pool.add(instance, document),
                Read::Out(skipped, faults) => {
                    pool.assembled.skipped.push(skipped.clone());
                    pool.assembled.faults.extend(faults.iter().cloned());
                }
            }
            self.read.insert(id, (last, read));
        }
        for draft in &mut pool.assembled.document.services {
            // Whoever came first: what is the same stays the same.
            draft.service.servers.sort_by_cached_key(|server| server.address());
        }
        pool.assembled.skipped.sort_by(|a, b| a.instance.cmp(&b.instance));
        pool.assembled
    }
}

fn read(instance: &Instance, rules: &Rules) -> Read {
    let out = |reason, detail| Skipped { instance: instance.origin.clone(), reason, detail };
    let whole = |message: &str| Fault {
        place: Place { file: instance.origin.clone(), ..Place::default() },
        path: String::new(),
        message: message.to_owned(),
        hint: None,
        off: None,
    };
    if let Some((reason, detail)) = instance.is_out(rules) {
        let is_fault = reason == Reason::BadLabel;
        let faults = is_fault.then(|| whole(&detail)).into_iter().collect();
        return Read::Out(out(reason, detail), faults);
    }
    let prefixes = rules.prefixes();
    let pairs = instance.labels.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    let mut tree =
        Tree::read(&instance.origin, Style::Dotted, pairs, |key| after_prefix(key, &prefixes));
    if let Err(unfit) = shape::complete(&mut tree, instance, rules) {
        return Read::Out(out(unfit.reason, unfit.detail), tree.faults);
    }
    let build::Parsed { mut document, faults } = build::labels(&tree, rules.provider);
    if let Some(first) = faults.first() {
        let detail = match first.path.as_str() {
            "" => first.message.clone(),
            path => format!("{path}: {}", first.message),
        };
        return Read::Out(out(Reason::BadLabel, detail), faults);
    }
    for router in &mut document.routers {
        // Instances that say the same of a router come and go; it stays the same.
        router.config.place = Place { file: rules.provider.to_owned(), ..Place::default() };
    }
    Read::Sound(Box::new(document))
}

/// Documents being put together.
#[derive(Default)]
struct Pool {
    assembled: Assembled,
    /// Where each object stands, and whose it is.
    objects: HashMap<(Kind, Id), (usize, String)>,
    /// Addresses of each service.
    addresses: HashSet<(Id, String)>,
}

impl Pool {
    fn add(&mut self, instance: &Instance, document: &Document) {
        if let Some((fault, detail)) = self.conflict(document) {
            let instance = instance.origin.clone();
            self.assembled.faults.push(fault);
            self.assembled.skipped.push(Skipped { instance, reason: Reason::Conflict, detail });
            return;
        }
        let origin = &instance.origin;
        let into = &mut self.assembled.document;
        for draft in &document.services {
            let id = &draft.service.id;
            let addresses = draft.service.servers.iter().map(|one| (id.clone(), one.address()));
            self.addresses.extend(addresses);
            match self.objects.get(&(Kind::Service, id.clone())) {
                Some((at, _)) => {
                    let servers = &mut into.services[*at].service.servers;
                    servers.extend(draft.service.servers.iter().cloned());
                }
                None => {
                    let place = (into.services.len(), origin.clone());
                    self.objects.insert((Kind::Service, id.clone()), place);
                    into.services.push(draft.clone());
                }
            }
        }
        fn put<T: Clone>(
            objects: &mut HashMap<(Kind, Id), (usize, String)>,
            key: (Kind, &Id),
            origin: &str,
            into: &mut Vec<T>,
            one: &T,
        ) {
            objects.entry((key.0, key.1.clone())).or_insert_with(|| {
                into.push(one.clone());
                (into.len() - 1, origin.to_owned())
            });
        }
        let objects = &mut self.objects;
        for one in &document.routers {
            put(objects, (Kind::Router, &one.config.id), origin, &mut into.routers, one);
        }
        for one in &document.middlewares {
            put(objects, (Kind::Middleware, &one.id), origin, &mut into.middlewares, one);
        }
        for one in &document.transports {
            put(objects, (Kind::Transport, &one.value.id), origin, &mut into.transports, one);
        }
        into.warnings.extend(document.warnings.iter().cloned());
        self.assembled.serving += 1;
    }

    /// What an instance says otherwise than those before.
    fn conflict(&self, document: &Document) -> Option<(Fault, String)> {
        let into = &self.assembled.document;
        let first = |kind: Kind, id: &Id| self.objects.get(&(kind, id.clone()));
        let differs = |kind: Kind, id: &Id, whose: &str| {
            format!("{} {:?} is not as {whose} has it", kind.name(), id.name)
        };
        for draft in &document.services {
            let id = &draft.service.id;
            if let Some((at, whose)) = first(Kind::Service, id)
                && !is_same_service(&into.services[*at], draft)
            {
                let message = differs(Kind::Service, id, whose);
                return Some((draft.spot.fault(&message), message));
            }
            let has = |address: &String| self.addresses.contains(&(id.clone(), address.clone()));
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
    let bare = |draft: &ServiceDraft| {
        let mut service = draft.service.clone();
        service.servers.clear();
        service
    };
    bare(one) == bare(other)
}

fn is_same_router(one: &RouterDraft, other: &RouterDraft) -> bool {
    one.config == other.config && one.is_written_as(other)
}
