//! What entry points add to the HTTP routers at them: middlewares in front, TLS where they have
//! none (Traefik's models).

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    config::PROVIDER,
    model::{EntryPoint, EntryPointOptions, Id, Protocol, Router},
};

/// A router at an entry point that adds something becomes one of its own, under the name
/// `ENTRYPOINT-NAME` where it has others too.
pub(super) fn apply(
    routers: BTreeMap<Id, Router>,
    entry_points: &BTreeMap<String, EntryPoint>,
) -> BTreeMap<Id, Router> {
    if !entry_points.values().any(|point| adds(&point.options)) {
        return routers;
    }
    let mut out = BTreeMap::new();
    for (id, router) in routers {
        if id.protocol != Protocol::Http {
            out.insert(id, router);
            continue;
        }
        let is_alone = router.entry_points.len() == 1;
        let mut plain = Vec::new();
        for name in &router.entry_points {
            match entry_points.get(name).filter(|point| adds(&point.options)) {
                None => plain.push(name.clone()),
                Some(point) => {
                    let name = if is_alone {
                        id.name.clone()
                    } else {
                        format!("{name}-{}", id.name).into()
                    };
                    let added = with(&router, point, Id { name, ..id.clone() });
                    out.insert(added.id.clone(), added);
                }
            }
        }
        if !plain.is_empty() || router.entry_points.is_empty() {
            out.insert(id, Router { entry_points: plain, ..router });
        }
    }
    out
}

fn adds(options: &EntryPointOptions) -> bool {
    !options.middlewares.is_empty() || options.tls.is_some()
}

fn with(router: &Router, point: &EntryPoint, id: Id) -> Router {
    let in_front = point.options.middlewares.iter();
    let in_front = in_front.map(|name| Id::refer(Protocol::Http, name, PROVIDER));
    // Names of the main file mean the same in a router of another provider.
    let tls = || {
        let mut tls = point.options.tls.clone()?;
        let qualified = |name| Id::refer(Protocol::Http, name, PROVIDER).qualified();
        tls.options = tls.options.as_deref().filter(|name| *name != "default").map(qualified);
        Some(Arc::new(tls))
    };
    Router {
        id,
        entry_points: vec![point.name.clone()],
        middlewares: in_front.chain(router.middlewares.iter().cloned()).collect(),
        tls: router.tls.clone().or_else(tls),
        ..router.clone()
    }
}
