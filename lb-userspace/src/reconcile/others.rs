//! Middlewares, servers transports and TLS: what is the same as before keeps its `Arc`.

use std::{collections::BTreeMap, sync::Arc};

use super::{duplicate, internal};
use crate::model::{Dynamic, Fault, Id, Snapshot};

/// Fills these parts of `next`.
pub(super) fn merge(
    providers: &BTreeMap<String, Dynamic>,
    old: &Snapshot,
    next: &mut Snapshot,
    faults: &mut Vec<Fault>,
) {
    let own = internal::dynamic(&next.settings, &next.entry_points);
    let own_name = Id::INTERNAL.to_owned();
    for (provider, dynamic) in providers.iter().chain([(&own_name, &own)]) {
        for one in &dynamic.middlewares {
            if next.middlewares.contains_key(&one.id) {
                faults.push(duplicate(provider, "middlewares", &one.id));
                continue;
            }
            next.middlewares.insert(one.id.clone(), kept(old.middlewares.get(&one.id), one));
        }
        for one in &dynamic.transports {
            if next.transports.contains_key(&one.id) {
                faults.push(duplicate(provider, "serversTransports", &one.id));
                continue;
            }
            next.transports.insert(one.id.clone(), kept(old.transports.get(&one.id), one));
        }
        let tls = kept(old.tls.get(provider), &dynamic.tls);
        if *tls != Default::default() {
            next.tls.insert(provider.clone(), tls);
        }
    }
    let settings = Arc::clone(&next.settings);
    for one in &settings.transports {
        let id: &Id = &one.id;
        next.transports.insert(id.clone(), kept(old.transports.get(id), one));
    }
}

fn kept<T: Clone + PartialEq>(old: Option<&Arc<T>>, new: &T) -> Arc<T> {
    match old {
        Some(old) if **old == *new => Arc::clone(old),
        _ => Arc::new(new.clone()),
    }
}
