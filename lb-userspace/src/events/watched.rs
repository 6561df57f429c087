//! What the proxy finds out by itself, looked at once a second: ejections, circuits, certificates.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
    time::SystemTime,
};

use super::What;
use crate::{
    api::time::rfc3339,
    middleware::circuit_changes,
    model::Id,
    provider::{Seen, Status},
    proxy::View,
};

const CONNECTED: &str = "connected";

/// In a word.
fn state(seen: &Seen) -> &'static str {
    match (seen.connected_since, &seen.error) {
        (Some(_), _) => CONNECTED,
        (None, Some(_)) => "away",
        (None, None) => "connecting",
    }
}

/// As it was at the latest look.
#[derive(Debug, Default)]
pub struct Watched {
    /// Until when each server was ejected last, and whether it is now.
    ejected: BTreeMap<(Id, SocketAddr), (u64, bool)>,
    circuits: BTreeMap<(Id, Id, &'static str), u64>,
    certificates: BTreeMap<(Vec<String>, [u8; 32]), SystemTime>,
    problems: BTreeSet<String>,
    providers: BTreeMap<&'static str, &'static str>,
}

impl Watched {
    /// What is new since the latest look. What comes and goes within a second is still told.
    pub fn look(&mut self, view: &View, sources: &[Arc<Status>]) -> Vec<What> {
        let mut out = Vec::new();
        self.providers(sources, &mut out);
        self.ejections(view, &mut out);
        self.circuits(&mut out);
        self.certificates(view, &mut out);
        out
    }

    fn ejections(&mut self, view: &View, out: &mut Vec<What>) {
        let now: BTreeMap<_, _> =
            view.ejections().map(|(id, at, until, is)| ((id.clone(), at), (until, is))).collect();
        for (key, (until, is_now)) in &now {
            let (before, was) = self.ejected.get(key).copied().unwrap_or_default();
            let (service, backend) = (key.0.to_string(), key.1.to_string());
            if *until != before {
                let (service, backend) = (service.clone(), backend.clone());
                out.push(What::EjectionBegan { service, backend });
            }
            if !is_now && (was || *until != before) {
                out.push(What::EjectionEnded { service, backend });
            }
        }
        self.ejected = now;
    }

    /// Sources over a network that were found or lost.
    fn providers(&mut self, sources: &[Arc<Status>], out: &mut Vec<What>) {
        let mut now = BTreeMap::new();
        for source in sources {
            let seen = source.seen();
            let (name, to) = (source.name(), state(&seen));
            let from = self.providers.get(name).copied().unwrap_or_default();
            if from != to {
                out.push(What::ProviderChanged {
                    provider: name.to_owned(),
                    from: from.to_owned(),
                    to: to.to_owned(),
                    error: seen.error.map(|(_, error)| error).filter(|_| to != CONNECTED),
                });
            }
            now.insert(name, to);
        }
        for (name, from) in self.providers.iter().filter(|(name, _)| !now.contains_key(*name)) {
            let (provider, from) = ((*name).to_owned(), (*from).to_owned());
            out.push(What::ProviderChanged { provider, from, to: String::new(), error: None });
        }
        self.providers = now;
    }

    fn circuits(&mut self, out: &mut Vec<What>) {
        let now = circuit_changes();
        // In this order a circuit goes round.
        for to in ["open", "recovering", "closed"] {
            for (key, count) in now.iter().filter(|(key, _)| key.2 == to) {
                let before = self.circuits.get(key).copied().unwrap_or_default();
                let what = || What::CircuitChanged {
                    router: key.0.to_string(),
                    middleware: key.1.qualified(),
                    to,
                };
                out.extend((before..*count).take(10).map(|_| what()));
            }
        }
        self.circuits = now;
    }

    fn certificates(&mut self, view: &View, out: &mut Vec<What>) {
        let now: BTreeMap<_, _> = view.tls.inventory().into_iter().collect();
        for ((names, _), expires) in
            now.iter().filter(|(key, _)| !self.certificates.contains_key(key))
        {
            let (names, expires) = (names.clone(), rfc3339(*expires));
            out.push(What::CertificateLoaded { names, expires });
        }
        let stays = |names: &Vec<String>| now.keys().any(|(others, _)| others == names);
        for (names, _) in self.certificates.keys().filter(|(names, _)| !stays(names)) {
            out.push(What::CertificateRemoved { names: names.clone() });
        }
        self.certificates = now;
        let problems: BTreeSet<String> = view.tls.problems().into_iter().collect();
        for reason in problems.difference(&self.problems) {
            out.push(What::CertificateFailed { reason: reason.clone() });
        }
        self.problems = problems;
    }
}
