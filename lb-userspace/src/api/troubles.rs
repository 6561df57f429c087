//! Why routers and middlewares don't serve, or serve otherwise than asked.

use std::collections::BTreeMap;

use crate::model::{Fault, Id, Off, Snapshot};

/// By id; whatever isn't in it serves as it was asked to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Troubles {
    /// Routers that are off, or wait for another provider.
    pub routers: BTreeMap<Id, Vec<String>>,
    /// Middlewares that don't build.
    pub middlewares: BTreeMap<Id, Vec<String>>,
    /// Routers that serve, and what may surprise of it.
    pub notes: BTreeMap<Id, Vec<String>>,
}

impl Troubles {
    /// What a snapshot's faults take off, and those of files. What serves nevertheless isn't off: a
    /// file that is refused for another fault leaves what was before.
    pub(crate) fn of(snapshot: &Snapshot, files: &[Fault]) -> Self {
        let mut troubles = Self::default();
        for fault in snapshot.faults.iter().chain(files) {
            match fault.off.as_deref() {
                Some(Off::Router(id)) if !snapshot.routers.contains_key(id) => {
                    troubles.router_off(id, fault.to_string());
                }
                Some(Off::Middleware(id)) if !snapshot.middlewares.contains_key(id) => {
                    troubles.middleware_off(id, fault.to_string());
                }
                _ => {}
            }
        }
        troubles
    }

    pub(crate) fn router_off(&mut self, id: &Id, why: String) {
        add(&mut self.routers, id, why);
    }

    pub(crate) fn middleware_off(&mut self, id: &Id, why: String) {
        add(&mut self.middlewares, id, why);
    }

    pub(crate) fn note(&mut self, id: &Id, what: String) {
        add(&mut self.notes, id, what);
    }

    /// Of a router: why it is off, and what may surprise.
    pub(crate) fn of_router(&self, id: &Id) -> (&[String], &[String]) {
        (found(&self.routers, id), found(&self.notes, id))
    }

    /// Why a middleware doesn't build.
    pub(crate) fn of_middleware(&self, id: &Id) -> &[String] {
        found(&self.middlewares, id)
    }
}

fn add(all: &mut BTreeMap<Id, Vec<String>>, id: &Id, what: String) {
    let told = all.entry(id.clone()).or_default();
    if !told.contains(&what) {
        told.push(what);
    }
}

fn found<'a>(all: &'a BTreeMap<Id, Vec<String>>, id: &Id) -> &'a [String] {
    all.get(id).map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        api::samples,
        model::{Place, Protocol},
    };

    fn fault(message: &str, off: Off) -> Fault {
        let place = Place { file: "lb.yaml".into(), ..Place::default() };
        Fault {
            place,
            path: String::new(),
            message: message.into(),
            hint: None,
            off: Some(Box::new(off)),
        }
    }

    #[test]
    fn what_serves_nevertheless_isnt_off() {
        let id = |name: &str| Id::new(Protocol::Http, name, "file");
        let mut snapshot = samples::http();
        snapshot.faults = vec![fault("no service", Off::Router(id("waits")))];
        let files = [
            fault("no rule", Off::Router(id("bad"))),
            fault("no rule", Off::Router(id("web"))),
            fault("no regex", Off::Middleware(id("broken"))),
            fault("no regex", Off::Middleware(id("prefix"))),
        ];
        let troubles = Troubles::of(&snapshot, &files);
        assert_eq!(troubles.routers.keys().collect::<Vec<_>>(), [&id("bad"), &id("waits")]);
        assert_eq!(troubles.of_router(&id("bad")).0, ["lb.yaml: no rule"]);
        assert_eq!(troubles.middlewares.keys().collect::<Vec<_>>(), [&id("broken")]);
    }
}
