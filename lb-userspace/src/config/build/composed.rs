//! Services made of services, and sticky sessions.

use std::collections::BTreeSet;

use super::{Kind, Reference};
use crate::{
    config::{
        decode::{At, Field, Spot},
        raw,
        tree::quoted,
        values::Toggle,
    },
    model::{Composed, Cookie, Fault, Id, Protocol},
};

/// What a service may be made of in place of servers.
pub(super) struct Parts<'a> {
    pub(super) weighted: &'a Field<raw::Weighted>,
    pub(super) mirroring: &'a Field<raw::Mirroring>,
    pub(super) failover: &'a Field<raw::Failover>,
    pub(super) highest_random_weight: &'a Field<raw::HighestRandomWeight>,
}

impl Parts<'_> {
    /// Whether it is none of these, not even a faulty one.
    pub(super) fn are_absent(&self) -> bool {
        self.weighted.is_absent()
            && self.mirroring.is_absent()
            && self.failover.is_absent()
            && self.highest_random_weight.is_absent()
    }

    /// What the service is made of, if not of the servers of `balancer`.
    pub(super) fn build<T>(
        &self,
        owner: &Id,
        balancer: Option<&At<T>>,
        spot: &Spot,
        references: &mut Vec<Reference>,
        faults: &mut Vec<Fault>,
    ) -> Option<Composed> {
        let kinds = [
            ("loadBalancer", balancer.is_some()),
            ("weighted", !self.weighted.is_absent()),
            ("mirroring", !self.mirroring.is_absent()),
            ("failover", !self.failover.is_absent()),
            ("highestRandomWeight", !self.highest_random_weight.is_absent()),
        ];
        let given: Vec<&str> = kinds.iter().filter(|(_, is)| *is).map(|(name, _)| *name).collect();
        if given.len() > 1 {
            let message = format!(
                "a service is of one kind, this one has {}; make one of each",
                given.join(" and ")
            );
            faults.push(spot.fault(message));
        }
        let mut naming = Naming { owner, references, faults };
        if let Some(at) = self.weighted.at() {
            return Some(naming.weighted(at));
        }
        if let Some(at) = self.mirroring.at() {
            return naming.mirroring(at);
        }
        if let Some(at) = self.failover.at() {
            return naming.failover(at);
        }
        let at = self.highest_random_weight.at()?;
        Some(Composed::HighestRandomWeight { services: naming.parts(&at.value.services, &at.spot) })
    }
}

/// Takes names of other services.
struct Naming<'a> {
    owner: &'a Id,
    references: &'a mut Vec<Reference>,
    faults: &'a mut Vec<Fault>,
}

impl Naming<'_> {
    fn weighted(&mut self, raw: &At<raw::Weighted>) -> Composed {
        let sticky = raw.value.sticky.at();
        if let Some(at) = sticky.filter(|_| self.owner.protocol != Protocol::Http) {
            self.faults.push(at.spot.fault("only HTTP has cookies"));
        }
        Composed::Weighted {
            services: self.parts(&raw.value.services, &raw.spot),
            sticky: sticky.and_then(|at| cookie(&at.value, self.faults)),
        }
    }

    fn mirroring(&mut self, raw: &At<raw::Mirroring>) -> Option<Composed> {
        let mirroring = &raw.value;
        let service = self.required("service", &mirroring.service, &raw.spot);
        let mut mirrors = Vec::new();
        for at in mirroring.mirrors.get().map(Vec::as_slice).unwrap_or_default() {
            if let Some(id) = self.required("name", &at.value.name, &at.spot) {
                mirrors.push((id, at.value.percent.get().map_or(0, |n| n.u16() as u8)));
            }
        }
        let max_body = mirroring.max_body_size.get().and_then(|n| u64::try_from(n.0).ok());
        let mirror_body = mirroring.mirror_body.or(true);
        Some(Composed::Mirroring { service: service?, mirror_body, max_body, mirrors })
    }

    fn failover(&mut self, raw: &At<raw::Failover>) -> Option<Composed> {
        let service = self.required("service", &raw.value.service, &raw.spot);
        let fallback = self.required("fallback", &raw.value.fallback, &raw.spot);
        Some(Composed::Failover { service: service?, fallback: fallback? })
    }

    fn parts(&mut self, raw: &Field<Vec<At<raw::Part>>>, spot: &Spot) -> Vec<(Id, u32)> {
        let mut parts: Vec<(Id, u32)> = Vec::new();
        let mut seen = BTreeSet::new();
        if raw.is_absent() || raw.get().is_some_and(Vec::is_empty) {
            self.faults.push(spot.fault("\"services\" is missing: give at least one"));
        }
        for at in raw.get().map(Vec::as_slice).unwrap_or_default() {
            let Some(id) = self.required("name", &at.value.name, &at.spot) else { continue };
            if !seen.insert(id.clone()) {
                let message = format!("service {:?} stands twice; keep one", id.name);
                self.faults.push(at.spot.fault(message));
            }
            parts.push((id, at.value.weight.get().map_or(1, |weight| weight.u32())));
        }
        parts
    }

    fn required(&mut self, key: &str, name: &Field<String>, spot: &Spot) -> Option<Id> {
        let at = name.required(key, spot, self.faults)?;
        let reference = Reference::new(Kind::Service, at, self.owner);
        let id = reference.id.clone();
        self.references.push(reference);
        Some(id)
    }
}

/// `sticky.cookie`.
pub(super) fn cookie(raw: &raw::Sticky, faults: &mut Vec<Fault>) -> Option<Cookie> {
    let raw: &raw::Cookie = raw.cookie.get().and_then(Toggle::on)?;
    let mut check = |field: &Field<String>, sound: fn(&str) -> bool, what: &str| {
        let at = field.at()?;
        if !sound(&at.value) {
            let message = format!("expected {what}, found {}", quoted(&at.value));
            faults.push(at.spot.fault(message));
        }
        Some(at.value.clone())
    };
    let name = check(&raw.name, super::health::is_token, "a cookie's name (RFC 6265 §4.1.1)");
    let path = check(&raw.path, is_attribute, "a path without `;`");
    let domain = check(&raw.domain, is_attribute, "a domain without `;`");
    Some(Cookie {
        name,
        secure: raw.secure.or(false),
        http_only: raw.http_only.or(false),
        same_site: raw.same_site.get().copied(),
        max_age: raw.max_age.get().map_or(0, |n| n.0),
        path,
        domain,
    })
}

fn is_attribute(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic() && b != b';')
}
