//! All certificates, and which one a client gets.

use std::{collections::HashMap, sync::Arc};

use arc_swap::ArcSwap;
use rustls::{
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use super::certificate::Loaded;

/// Certificates by the names that they are for.
#[derive(Debug, Default)]
pub(super) struct Certificates {
    exact: HashMap<String, Vec<Arc<CertifiedKey>>>,
    /// By what stands behind `*.`.
    wildcard: HashMap<String, Vec<Arc<CertifiedKey>>>,
    default: Option<Arc<CertifiedKey>>,
}

impl Certificates {
    /// Of several for one name the first that suits the client is taken.
    pub(super) fn new(certificates: &[Arc<Loaded>], default: Option<Arc<CertifiedKey>>) -> Self {
        let mut all = Self { default, ..Self::default() };
        for certificate in certificates {
            for name in &certificate.names {
                let (map, name) = match name.strip_prefix("*.") {
                    Some(parent) => (&mut all.wildcard, parent),
                    None => (&mut all.exact, name.as_str()),
                };
                map.entry(name.to_owned()).or_default().push(Arc::clone(&certificate.key));
            }
        }
        all
    }

    /// Whether there is one for a name, or for all of a level (`*.example.com`).
    pub(super) fn has(&self, name: &str) -> bool {
        self.find(&name.trim_end_matches('.').to_ascii_lowercase(), |_| true).is_some()
    }

    /// The exact name goes before the one for a whole level.
    fn find(
        &self,
        name: &str,
        suits: impl Fn(&Arc<CertifiedKey>) -> bool,
    ) -> Option<&Arc<CertifiedKey>> {
        let exact = self.exact.get(name).into_iter().flatten();
        let parent = name.split_once('.').and_then(|(_, parent)| self.wildcard.get(parent));
        exact.chain(parent.into_iter().flatten()).find(|key| suits(key))
    }
}

/// Chooses from the certificates in force; they change under it.
#[derive(Debug)]
pub(super) struct Chooser {
    pub(super) certificates: Arc<ArcSwap<Certificates>>,
    /// `sniStrict`.
    pub(super) is_strict: bool,
}

impl ResolvesServerCert for Chooser {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let certificates = self.certificates.load();
        let schemes = hello.signature_schemes();
        let name = hello.server_name().map(|name| name.strip_suffix('.').unwrap_or(name));
        let found = name.and_then(|name| {
            certificates.find(name, |key| key.key.choose_scheme(schemes).is_some())
        });
        let default = certificates.default.as_ref().filter(|_| !self.is_strict);
        found.or(default).cloned()
    }
}
