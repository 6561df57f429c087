//! From two snapshots to what happened in between.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use super::What;
use crate::model::{Backend, Composed, Id, Service, Snapshot};

/// What is new in `new`, service by service. Services that are the same object are passed over, so
/// that it costs no more than what has changed.
pub fn changes(old: &Snapshot, new: &Snapshot) -> Vec<What> {
    let mut out = Vec::new();
    for (id, service) in &old.services {
        if !new.services.contains_key(id) {
            let backends = service.backends.iter();
            out.extend(backends.map(|backend| removed(id, backend)));
        }
    }
    for (id, service) in &new.services {
        match old.services.get(id) {
            Some(before) if Arc::ptr_eq(before, service) => {}
            Some(before) => of_service(before, service, &mut out),
            None => out.extend(service.backends.iter().map(|backend| added(id, backend))),
        }
    }
    out
}

fn of_service(old: &Service, new: &Service, out: &mut Vec<What>) {
    let id = &new.id;
    let by_address = |service: &Service| -> BTreeMap<SocketAddr, Backend> {
        service.backends.iter().map(|backend| (backend.address, backend.clone())).collect()
    };
    let (before, after) = (by_address(old), by_address(new));
    for backend in before.values().filter(|one| !after.contains_key(&one.address)) {
        out.push(removed(id, backend));
    }
    for backend in after.values() {
        match before.get(&backend.address) {
            Some(old) => of_backend(id, old, backend, out),
            None => out.push(added(id, backend)),
        }
    }
    parts(old, new, out);
}

fn of_backend(id: &Id, old: &Backend, new: &Backend, out: &mut Vec<What>) {
    let (service, backend) = (id.to_string(), new.address.to_string());
    if old.leaving != new.leaving {
        out.push(match new.leaving {
            true => What::BackendLeaving { service: service.clone(), backend: backend.clone() },
            false => added(id, new),
        });
    }
    if old.health.state != new.health.state {
        out.push(What::HealthChanged {
            service: service.clone(),
            backend: backend.clone(),
            server: new.server.clone(),
            from: old.health.state.name(),
            to: new.health.state.name(),
            reason: new.health.last_output.clone(),
        });
    }
    let weight = |one: &Backend| one.weight_override.unwrap_or(one.configured_weight);
    if (weight(old), old.weight_override) != (weight(new), new.weight_override) {
        out.push(What::WeightChanged {
            service: service.clone(),
            backend: backend.clone(),
            from: weight(old),
            to: weight(new),
            set: new.weight_override.is_some(),
        });
    }
    if old.drained != new.drained {
        let (service, backend) = (service.clone(), backend.clone());
        out.push(What::DrainChanged { service, backend, drained: new.drained });
    }
    if !old.expired && new.expired {
        out.push(What::DrainEnded { service, backend });
    }
}

/// Of a weighted service.
fn parts(old: &Service, new: &Service, out: &mut Vec<What>) {
    let (before, after) = (weights(old), weights(new));
    for (part, weight) in after {
        let was = before.iter().find(|(other, _)| other == part).map(|(_, weight)| *weight);
        let set = new.part_weights.contains_key(part);
        if was.is_some_and(|was| was != *weight) {
            out.push(What::WeightChanged {
                service: new.id.to_string(),
                backend: part.qualified(),
                from: was.unwrap_or_default(),
                to: *weight,
                set,
            });
        }
    }
}

fn weights(service: &Service) -> &[(Id, u32)] {
    match &service.composed {
        Some(Composed::Weighted { services, .. }) => services,
        _ => &[],
    }
}

fn added(id: &Id, backend: &Backend) -> What {
    What::BackendAdded {
        service: id.to_string(),
        backend: backend.address.to_string(),
        server: backend.server.clone(),
        weight: backend.weight_override.unwrap_or(backend.configured_weight),
    }
}

fn removed(id: &Id, backend: &Backend) -> What {
    What::BackendRemoved { service: id.to_string(), backend: backend.address.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{api::samples, model::BackendState, model::Protocol};

    fn change(change: impl FnOnce(&mut Service)) -> Vec<String> {
        let old = samples::snapshot();
        let mut new = old.clone();
        let pg = new.services.get_mut(&Id::new(Protocol::Tcp, "pg", "file")).unwrap();
        change(Arc::make_mut(pg));
        words(&changes(&old, &new))
    }

    fn words(whats: &[What]) -> Vec<String> {
        let data = |what: &What| serde_json::to_value(what).unwrap();
        let word = |what: &What| {
            let data = data(what);
            let mut words = vec![what.name().to_owned()];
            for key in ["backend", "from", "to", "set", "drained", "reason"] {
                let value = &data[key];
                if !value.is_null() {
                    words.push(value.as_str().map_or(value.to_string(), str::to_owned));
                }
            }
            words.join(" ")
        };
        whats.iter().map(word).collect()
    }

    macro_rules! changes {
        ($($test:ident: $change:expr => $expected:expr;)+) => {
            $(#[test]
            fn $test() {
                let expected: &[&str] = &$expected;
                assert_eq!(change($change), expected);
            })+
        };
    }

    changes! {
        nothing_is_no_event: |_| {} => [];
        latest_output_of_a_check_is_no_event: |s| s.backends[0].health.last_output = "ok".into() => [];
        verdict_is_one: |s| {
            s.backends[0].health.state = BackendState::Down;
            s.backends[0].health.last_output = "timed out".into();
        } => ["lb.health.changed 10.0.1.5:5432 up down timed out"];
        set_weight_is_one: |s| s.backends[0].weight_override = Some(7)
            => ["lb.weight.changed 10.0.1.5:5432 1 7 true"];
        configured_weight_is_one: |s| s.backends[0].configured_weight = 2
            => ["lb.weight.changed 10.0.1.5:5432 1 2 false"];
        configured_weight_under_a_set_one_is_none: |s| {
            s.backends[0].weight_override = Some(1);
            s.backends[0].configured_weight = 2;
        } => ["lb.weight.changed 10.0.1.5:5432 1 1 true"];
        drain_is_one: |s| s.backends[1].drained = true => ["lb.drain.changed 10.0.2.1:5432 true"];
        end_of_a_drain_is_one: |s| s.backends[1].expired = true => ["lb.drain.ended 10.0.2.1:5432"];
        leaving_is_one: |s| s.backends[1].leaving = true => ["lb.backend.leaving 10.0.2.1:5432"];
        removal_is_one: |s| drop(s.backends.remove(1)) => ["lb.backend.removed 10.0.2.1:5432"];
        arrival_is_one: |s| {
            let more = Backend { address: "10.0.9.9:1".parse().unwrap(), ..s.backends[0].clone() };
            s.backends.push(more);
        } => ["lb.backend.added 10.0.9.9:1"];
    }

    #[test]
    fn service_that_goes_takes_its_backends_with_it() {
        let old = samples::snapshot();
        let mut new = old.clone();
        new.services.remove(&Id::new(Protocol::Tcp, "pg", "file"));
        assert_eq!(words(&changes(&old, &new)).len(), 3);
        assert_eq!(words(&changes(&new, &old))[0], "lb.backend.added 10.0.1.5:5432");
    }

    #[test]
    fn part_of_a_weighted_service_has_a_weight_too() {
        let old = samples::http();
        let mut new = old.clone();
        let all = new.services.get_mut(&Id::new(Protocol::Http, "all", "file")).unwrap();
        let all = Arc::make_mut(all);
        let web = Id::new(Protocol::Http, "web", "file");
        all.composed = Some(Composed::Weighted { services: vec![(web.clone(), 9)], sticky: None });
        all.part_weights.insert(web, 3);
        assert_eq!(words(&changes(&old, &new)), ["lb.weight.changed web@file 3 9 true"]);
    }
}
