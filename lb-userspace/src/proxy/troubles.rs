//! Routers that don't serve because of what the proxy found out, and those that serve another
//! certificate than was asked for.

use super::{View, table::tls_at};
use crate::{
    api::Troubles,
    model::{Path, Router, RouterTls, Snapshot},
};

/// Names that are shown of those without a certificate.
const SHOWN: usize = 3;

impl View {
    /// Adds what is known here to `troubles`.
    pub(crate) fn add_troubles(&self, snapshot: &Snapshot, troubles: &mut Troubles) {
        for (id, fault) in &*self.faults {
            troubles.router_off(id, fault.why.clone());
            if let Some((middleware, why)) = &fault.middleware {
                troubles.middleware_off(middleware, why.clone());
            }
        }
        for entry in self.entries.values() {
            for (router, why) in &entry.table.load().tcp.faults {
                if let Some(id) = router {
                    troubles.router_off(id, why.clone());
                }
            }
        }
        for router in snapshot.routers.values() {
            if let Some(note) = self.certificate(snapshot, router) {
                troubles.note(&router.id, note);
            }
        }
    }

    /// That `certResolver` obtains nothing, and whom that leaves with the default certificate.
    fn certificate(&self, snapshot: &Snapshot, router: &Router) -> Option<String> {
        if router.path != Path::Proxy {
            return None;
        }
        let points = router.entry_points.iter().filter_map(|name| snapshot.entry_points.get(name));
        let asks = |tls: &&RouterTls| tls.resolver.is_some() && !tls.passthrough;
        let tls = points.filter_map(|point| tls_at(router, point)).find(asks)?;
        let names = names(router, tls);
        let bare: Vec<&str> =
            names.iter().copied().filter(|name| !self.tls.has_certificate_for(name)).collect();
        let whom = match (names.len(), &bare[..]) {
            (0, _) => "names without a certificate in `tls` get".to_owned(),
            (_, []) => return None,
            (_, [name]) => format!("{name} gets"),
            (_, several) if several.len() <= SHOWN => format!("{} get", several.join(", ")),
            (_, several) => {
                let rest = several.len() - SHOWN;
                format!("{} and {rest} more names get", several[..SHOWN].join(", "))
            }
        };
        let own = if self.tls.notes().is_empty() { "" } else { ", which lb signed itself" };
        let resolver = tls.resolver.as_deref().unwrap_or_default();
        Some(format!(
            "certResolver {resolver:?} obtains no certificates yet (there is no ACME): {whom} the \
             default one{own}"
        ))
    }
}

/// What certificates would be obtained for: `domains`, else the hosts of the rule.
fn names<'a>(router: &'a Router, tls: &'a RouterTls) -> Vec<&'a str> {
    if tls.domains.is_empty() {
        return router.rule.iter().flat_map(|rule| rule.hosts()).collect();
    }
    let domains = tls.domains.iter();
    domains.flat_map(|(main, sans)| [main].into_iter().chain(sans)).map(String::as_str).collect()
}
