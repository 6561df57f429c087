//! What is found of each service is found once.

use std::{collections::BTreeMap, sync::Arc};

use super::{Id, Service};

/// What was found of each service of the latest snapshot: it is looked for again only where a service
/// isn't the same object any more.
///
/// ```
/// use std::sync::Arc;
/// use lb_userspace::model::{Id, PerService, Protocol, Service};
/// let id = Id::new(Protocol::Tcp, "pg", "file");
/// let services = [(id.clone(), Arc::new(Service::new(id)))].into();
/// let mut counts = PerService::default();
/// assert!(counts.follow(&services, |service| service.servers.len()));
/// assert!(!counts.follow(&services, |_| unreachable!("it is the same")));
/// assert_eq!(counts.iter().collect::<Vec<_>>(), [&0]);
/// ```
#[derive(Debug)]
pub struct PerService<T>(Vec<(Arc<Service>, T)>);

impl<T> Default for PerService<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: PartialEq> PerService<T> {
    /// Looks at those that have changed; whether anything else than before was found, or of others.
    pub fn follow(
        &mut self,
        services: &BTreeMap<Id, Arc<Service>>,
        find: impl Fn(&Service) -> T,
    ) -> bool {
        let mut differs = false;
        let mut before = std::mem::take(&mut self.0).into_iter().peekable();
        self.0.reserve(services.len());
        for service in services.values() {
            if let Some(known) = before.next_if(|(known, _)| Arc::ptr_eq(known, service)) {
                self.0.push(known);
                continue;
            }
            while before.next_if(|(known, _)| known.id < service.id).is_some() {
                differs = true;
            }
            let known = before.next_if(|(known, _)| known.id == service.id);
            let found = match known {
                Some((known, found)) if Arc::ptr_eq(&known, service) => found,
                Some((_, old)) => {
                    let found = find(service);
                    differs |= found != old;
                    found
                }
                None => {
                    differs = true;
                    find(service)
                }
            };
            self.0.push((Arc::clone(service), found));
        }
        differs | before.next().is_some()
    }
}

impl<T> PerService<T> {
    /// In order of the services' ids.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|(_, found)| found)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::Protocol;

    fn service(name: u8, servers: usize) -> Arc<Service> {
        let server = crate::model::Server {
            host: "10.0.0.1".into(),
            port: 80,
            weight: 1,
            options: Default::default(),
        };
        let id = Id::new(Protocol::Tcp, name.to_string(), "file");
        Arc::new(Service { servers: vec![server; servers], ..Service::new(id) })
    }

    proptest! {
        #[test]
        fn it_finds_what_looking_at_all_finds(
            changes in prop::collection::vec((0u8..6, prop::option::of(0usize..3)), 0..30),
        ) {
            let find = |service: &Service| (service.id.name.clone(), service.servers.len());
            let (mut services, mut found) = (BTreeMap::new(), PerService::default());
            let mut last = Vec::new();
            for (name, servers) in changes {
                let id = service(name, 0).id.clone();
                match servers {
                    Some(servers) => _ = services.insert(id, service(name, servers)),
                    None => _ = services.remove(&id),
                }
                let differs = found.follow(&services, find);
                let all: Vec<_> = services.values().map(|service| find(service)).collect();
                prop_assert!(found.iter().eq(&all));
                prop_assert_eq!(differs, all != last);
                last = all;
            }
        }
    }
}
