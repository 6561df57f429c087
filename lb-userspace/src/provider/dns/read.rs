//! From what DNS says to services: instances with the labels that the configuration has for them, and
//! priorities as services that stand in for each other.

use std::collections::{BTreeMap, BTreeSet};

use super::{NAME, Server, State, Told};
use crate::{
    config::build::{Document, Kind, Parsed, Reference, ServiceDraft},
    model::{Composed, DnsService, Id, Protocol, Shared},
    provider::{
        discovery::{Assembler, Instance, Reason, Skipped},
        link::Outcome,
    },
};

pub(super) fn read(
    services: &BTreeMap<String, DnsService>,
    state: &State,
    assembler: &mut Assembler,
) -> Outcome {
    let mut instances = Vec::new();
    let mut skipped = Vec::new();
    let mut ranks = Ranks::default();
    for (key, service) in services {
        let Some(told) = state.get(key) else { continue };
        if let Some(why) = &told.failed {
            let stays = if told.servers.is_empty() { "" } else { "; the last answer stays" };
            let (instance, detail) = (origin(key), format!("{why}{stays}"));
            skipped.push(Skipped { instance, reason: Reason::Unresolved, detail });
        }
        for server in &told.servers {
            ranks.add(server);
        }
        let found = told.servers.iter().map(|one| instance(key, service, told, one));
        instances.extend(found.map(Shared::from));
    }
    let assembled = assembler.assemble(&instances);
    skipped.extend(assembled.skipped);
    let mut document = assembled.document;
    ranks.apply(&mut document);
    Outcome {
        parsed: Parsed { document, faults: Vec::new() },
        out: assembled.faults,
        serving: assembled.serving,
        skipped,
    }
}

fn origin(key: &str) -> String {
    format!("dns service {key:?}")
}

fn address(server: &Server) -> String {
    std::net::SocketAddr::new(server.ip, server.port).to_string()
}

fn instance(key: &str, service: &DnsService, told: &Told, server: &Server) -> Instance {
    let ports: Vec<u16> = (server.port > 0).then_some(server.port).into_iter().collect();
    let has_weights = told.servers.iter().any(|one| one.weight.is_some_and(|w| w > 0));
    Instance {
        id: format!("{key}/{}", address(server)),
        origin: format!("{} at {}", origin(key), address(server)),
        name: key.to_owned(),
        service: key.to_owned(),
        address: Some(server.ip.to_string()),
        tcp: ports.clone(),
        udp: ports,
        labels: service.labels.clone(),
        // RFC 2782: nobody has weights, or one of 0 has a very small chance.
        weight: server.weight.filter(|_| has_weights).map(|weight| u32::from(weight.max(1))),
        ..Instance::default()
    }
}

/// Priorities of servers: by their addresses, and by IP address where labels name another port.
#[derive(Default)]
struct Ranks(BTreeMap<String, u16>);

impl Ranks {
    fn add(&mut self, server: &Server) {
        for key in [address(server), server.ip.to_string()] {
            let rank = self.0.entry(key).or_insert(server.priority);
            *rank = (*rank).min(server.priority);
        }
    }

    fn rank(&self, server: &crate::model::Server) -> Option<u16> {
        self.0.get(&server.address()).or_else(|| self.0.get(&server.host)).copied()
    }

    /// The servers of the lowest priority serve. Others stand in for them where the service is
    /// HTTP's and checked, so that it can be known that none of the first is there.
    fn apply(&self, document: &mut Document) {
        let mut more = Vec::new();
        for draft in &mut document.services {
            let ranks = self.of(draft);
            let Some(lowest) = ranks.first().copied().filter(|_| ranks.len() > 1) else { continue };
            let is_checked = draft.service.health_check.is_some();
            if draft.service.id.protocol == Protocol::Http && is_checked {
                more.extend(self.chain(draft, &ranks));
            } else {
                self.keep(draft, lowest);
            }
        }
        document.services.extend(more.into_iter().map(Shared::from));
    }

    fn of(&self, draft: &ServiceDraft) -> Vec<u16> {
        let all = draft.service.servers.iter().filter_map(|server| self.rank(server));
        all.collect::<BTreeSet<u16>>().into_iter().collect()
    }

    fn keep(&self, draft: &mut ServiceDraft, priority: u16) {
        draft
            .service
            .servers
            .retain(|server| self.rank(server).is_none_or(|rank| rank == priority));
    }

    /// `NAME` becomes a failover from `NAME-priority10` to `NAME-priority20`, and so on.
    fn chain(&self, draft: &mut ServiceDraft, ranks: &[u16]) -> Vec<ServiceDraft> {
        let owner = draft.service.id.clone();
        let id = |kind: &str, rank: u16| {
            Id::new(owner.protocol, format!("{}-{kind}{rank}", owner.name), NAME)
        };
        let mut out: Vec<ServiceDraft> = Vec::new();
        for rank in ranks {
            let mut one = draft.clone();
            one.service.id = id("priority", *rank);
            self.keep(&mut one, *rank);
            out.push(one);
        }
        let Some((last, others)) = ranks.split_last() else { return out };
        let mut fallback = id("priority", *last);
        for (at, rank) in others.iter().enumerate().rev() {
            let mut failover = draft.clone();
            failover.service.servers.clear();
            failover.service.health_check = None;
            failover.service.id = if at == 0 { owner.clone() } else { id("from", *rank) };
            let service = id("priority", *rank);
            failover.references = [&service, &fallback]
                .map(|id| Reference {
                    kind: Kind::Service,
                    id: id.clone(),
                    spot: draft.spot.clone(),
                })
                .into();
            failover.service.composed = Some(Composed::Failover { service, fallback });
            fallback = failover.service.id.clone();
            out.push(failover);
        }
        // The one that routers name stands where it stood.
        if let Some(whole) = out.pop() {
            *draft = whole;
        }
        out
    }
}

#[cfg(test)]
mod tests;
