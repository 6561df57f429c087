//! Routers that are in force, judged anew only where something has changed that they depend on: of
//! thousands of services one that gets another server costs a glance at the others.

use std::{collections::BTreeMap, sync::Arc};

use super::{path, routers};
use crate::model::{Dynamic, EntryPoint, Fault, Id, Router, Service, Settings};

/// The routers of all providers.
#[derive(Debug, Default)]
pub(super) struct Merged {
    /// The same `Arc` as before where none has changed.
    pub(super) routers: Arc<BTreeMap<Id, Router>>,
    /// Of routers that stand twice, are off or wait.
    pub(super) faults: Vec<Fault>,
    /// `None` before the first time. Entry points come along with settings.
    made_from: Option<(Arc<Settings>, BTreeMap<String, Dynamic>)>,
}

impl Merged {
    /// Brings them to what all say now.
    pub(super) fn follow(
        &mut self,
        providers: &BTreeMap<String, Dynamic>,
        settings: &Arc<Settings>,
        entry_points: &BTreeMap<String, EntryPoint>,
    ) {
        let is_same = self.made_from.as_ref().is_some_and(|(before, old)| {
            let same = |((name, old), (other, new)): ((&String, _), (&String, _))| {
                name == other && are_alike(old, new)
            };
            Arc::ptr_eq(before, settings)
                && old.len() == providers.len()
                && old.iter().zip(providers).all(same)
        });
        if !is_same {
            self.faults.clear();
            let routers = routers::merge(providers, settings, entry_points, &mut self.faults);
            if routers != *self.routers {
                self.routers = Arc::new(routers);
            }
        }
        self.made_from = Some((Arc::clone(settings), providers.clone()));
    }
}

/// Whether routers come to the same with either.
fn are_alike(old: &Dynamic, new: &Dynamic) -> bool {
    // What only the snapshot's faults have is of no account.
    let Dynamic { routers, services, middlewares, transports, tls, faults: _ } = old;
    *routers == new.routers
        && services.len() == new.services.len()
        && services
            .iter()
            .zip(&new.services)
            .all(|(old, new)| old.is(new) || is_alike_to_routers(old, new))
        && *middlewares == new.middlewares
        && *transports == new.transports
        && *tls == new.tls
}

/// Whether a router to it comes to the same with either: whether it is there and whole, and who
/// can forward to it.
pub(crate) fn is_alike_to_routers(old: &Service, new: &Service) -> bool {
    old.id == new.id
        && old.http.transport == new.http.transport
        && old.composed == new.composed
        && path::of_service(old) == path::of_service(new)
}
