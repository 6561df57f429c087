//! All services of a snapshot.

use std::{collections::BTreeMap, sync::Arc};

use super::{Group, Node};
use crate::model::{Id, Service};

/// The services of a snapshot, ready to be asked. What hasn't changed is taken over from the ones
/// before.
#[derive(Debug, Default)]
pub struct Services {
    all: BTreeMap<Id, Entry>,
}

#[derive(Debug)]
struct Entry {
    service: Arc<Service>,
    node: Arc<Node>,
}

impl Services {
    /// From a snapshot's services. `old`: those in force so far.
    pub fn new(services: &BTreeMap<Id, Arc<Service>>, old: Option<&Self>) -> Self {
        let mut maker = Maker { services, old, all: BTreeMap::new(), open: Vec::new() };
        for id in services.keys() {
            maker.node(id);
        }
        Self { all: maker.all }
    }

    /// A service.
    pub fn get(&self, id: &Id) -> Option<&Arc<Node>> {
        self.all.get(id).map(|entry| &entry.node)
    }

    /// All that have servers.
    pub fn groups(&self) -> impl Iterator<Item = &Arc<Group>> {
        self.all.values().filter_map(|entry| match &*entry.node {
            Node::Group(group) => Some(group),
            _ => None,
        })
    }
}

struct Maker<'a> {
    services: &'a BTreeMap<Id, Arc<Service>>,
    old: Option<&'a Services>,
    all: BTreeMap<Id, Entry>,
    /// Those that are being made: a service must not be part of itself.
    open: Vec<Id>,
}

impl Maker<'_> {
    fn node(&mut self, id: &Id) -> Option<Arc<Node>> {
        if let Some(entry) = self.all.get(id) {
            return Some(entry.node.clone());
        }
        let service = self.services.get(id)?.clone();
        if self.open.contains(id) {
            return None;
        }
        let old = self.old.and_then(|old| old.all.get(id));
        let old_node = old.map(|entry| &*entry.node);
        let node = match (&service.composed, old_node) {
            (None, Some(Node::Group(group))) => match old {
                Some(entry) if entry.service == service => entry.node.clone(),
                _ => Arc::new(Node::Group(Arc::new(Group::new(&service, Some(group))))),
            },
            (None, _) => Arc::new(Node::Group(Arc::new(Group::new(&service, None)))),
            (Some(composed), _) => {
                self.open.push(id.clone());
                let node = Node::compose(composed, id, old_node, &mut |part| self.node(part));
                self.open.pop();
                Arc::new(node?)
            }
        };
        self.all.insert(id.clone(), Entry { service, node: node.clone() });
        Some(node)
    }
}
