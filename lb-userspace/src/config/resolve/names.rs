//! Which objects there are, and what to say of those that aren't.

use std::collections::HashMap;

use super::{Cause, Refusal, Source, hinted};
use crate::{
    config::{
        build::{Kind, Reference},
        decode::Spot,
        names::nearest,
    },
    model::{Fault, Id, Protocol},
};

/// The names of all files.
pub(super) struct Names<'d> {
    /// Where each stands: the file's index, and the place in it.
    objects: HashMap<(Kind, Id), (usize, &'d Spot)>,
    sources: Vec<Source<'d>>,
}

impl<'d> Names<'d> {
    /// Collects them; a name that stands twice is refused.
    pub(super) fn of(sources: &[Source<'d>], refused: &mut Vec<Refusal>) -> Self {
        let count = sources.iter().map(|(_, document)| document.objects().count()).sum();
        let mut names = Self { objects: HashMap::with_capacity(count), sources: sources.to_vec() };
        for (file, &(provider, document)) in sources.iter().enumerate() {
            let mut add = |kind, id: &Id, spot| names.add(kind, id, file, spot, refused);
            for draft in &document.services {
                add(Kind::Service, &draft.service.id, &draft.spot);
            }
            for draft in &document.middlewares {
                add(Kind::Middleware, &draft.id, &draft.spot);
            }
            for at in &document.transports {
                add(Kind::Transport, &at.value.id, &at.spot);
            }
            for (name, at) in &document.tls.options {
                add(Kind::TlsOptions, &Id::new(Protocol::Tcp, name, provider), &at.spot);
            }
            if let Some(at) = &document.tls.default_certificate {
                // One for each provider, under a name that no options can have.
                let id = Id::new(Protocol::Tcp, "", provider);
                add(Kind::TlsOptions, &id, &at.spot);
            }
            for draft in &document.routers {
                add(Kind::Router, &draft.config.id, &draft.spot);
            }
        }
        names
    }

    fn add(
        &mut self,
        kind: Kind,
        id: &Id,
        file: usize,
        spot: &'d Spot,
        refused: &mut Vec<Refusal>,
    ) {
        let (first, there) = *self.objects.entry((kind, id.clone())).or_insert((file, spot));
        if !std::ptr::eq(there, spot) {
            let message = format!(
                "stands twice, first at {}; all these files are `@{}`, so rename one",
                there.place(),
                id.provider
            );
            refused.push(Refusal { fault: spot.fault(message), file, cause: Cause::Twice(first) });
        }
    }

    /// Of a file, by its index.
    pub(super) fn provider(&self, file: usize) -> &'static str {
        self.sources.get(file).map_or(crate::config::PROVIDER, |(provider, _)| provider)
    }

    /// Whether the object at `spot` is the one that has its name.
    pub(super) fn is_first(&self, kind: Kind, id: &Id, file: usize, spot: &Spot) -> bool {
        let first = self.objects.get(&(kind, id.clone()));
        first.is_some_and(|(there, at)| *there == file && std::ptr::eq(*at, spot))
    }

    /// What the object of that name names.
    pub(super) fn references(&self, kind: Kind, id: &Id) -> &'d [Reference] {
        let Some((file, _)) = self.objects.get(&(kind, id.clone())) else { return &[] };
        let (_, document) = self.sources[*file];
        let found = match kind {
            Kind::Service => {
                let draft = document.services.iter().find(|draft| draft.service.id == *id);
                draft.map(|draft| &draft.references)
            }
            Kind::Middleware => {
                let draft = document.middlewares.iter().find(|draft| draft.id == *id);
                draft.map(|draft| &draft.references)
            }
            Kind::Router | Kind::Transport | Kind::TlsOptions => None,
        };
        found.map(Vec::as_slice).unwrap_or_default()
    }

    /// That an object of the owner's own provider doesn't exist; one of another provider may come
    /// later.
    pub(super) fn missing(&self, owner: &str, reference: &Reference) -> Option<Fault> {
        let Reference { kind, id, spot } = reference;
        let Id { protocol, name, provider } = id;
        if provider == Id::INTERNAL {
            return self.missing_internal(reference);
        }
        let is_ours = self.sources.iter().any(|(other, _)| other == provider);
        let unsure = |(other, document): &Source<'_>| {
            other == provider
                && (document.unknown || document.faulty.contains(&(*kind, id.clone())))
        };
        if !is_ours
            || self.objects.contains_key(&(*kind, id.clone()))
            || self.sources.iter().any(unsure)
        {
            return None;
        }
        let others = [Protocol::Http, Protocol::Tcp, Protocol::Udp];
        let is_there = |other: &Protocol| {
            let id = Id { protocol: *other, ..id.clone() };
            self.objects.contains_key(&(*kind, id))
        };
        if let Some(other) = others.into_iter().find(is_there) {
            let (this, other, kind) = (label(*protocol), label(other), kind.name());
            return Some(spot.fault(format!(
                "{kind} {name:?} is {other}; {} {owner} needs {} {kind}",
                article(this),
                article(this)
            )));
        }
        let mine = |(other, of): &&(Kind, Id)| {
            other == kind && of.protocol == *protocol && of.provider == *provider
        };
        let names = self.objects.keys().filter(mine).map(|(_, id)| id.name.as_str());
        let message = match kind {
            Kind::TlsOptions => format!("no TLS options {name:?}"),
            _ => format!("no {} {name:?}", kind.name()),
        };
        Some(hinted(spot, message, nearest(name, names)))
    }

    fn missing_internal(&self, reference: &Reference) -> Option<Fault> {
        let Reference { kind, id, spot } = reference;
        if *kind != Kind::Service || id.is_internal_service() {
            return None;
        }
        if id.protocol != Protocol::Http {
            let message = "lb's own services are HTTP: only HTTP routers may name them";
            return Some(spot.fault(message));
        }
        let hint = nearest(&id.name, Id::INTERNAL_SERVICES).map(|name| name + "@internal");
        Some(hinted(spot, format!("no service {:?} of lb's own", id.qualified()), hint))
    }
}

pub(super) fn label(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "TCP",
        Protocol::Udp => "UDP",
        Protocol::Http => "HTTP",
    }
}

fn article(label: &str) -> String {
    format!("{} {label}", if label == "HTTP" { "an" } else { "a" })
}
