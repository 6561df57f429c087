//! Everything of TLS that comes from configuration and files, kept current.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use arc_swap::ArcSwap;
use rustls::sign::CertifiedKey;

use super::{
    Acceptor, Connector, Failures,
    acceptor::server_config,
    certificate::{self, Loaded, Stamps},
    certificates::Certificates,
    client::client_config,
    pem::Stamp,
};
use crate::model::{Certificate, ClientTls, Pem, Protocol, TlsConfig, TlsOptions, Transport};

/// The options' name where a router gives none.
const DEFAULT: &str = "default";
/// How often files are looked at.
const LOOK: Duration = Duration::from_secs(1);
/// What no look is put off beyond.
const LONGEST: Duration = Duration::from_secs(10);

/// Certificates, options and transports in force. Shared by all workers, which never wait for it:
/// they hold acceptors and connectors, whose contents are exchanged.
#[derive(Debug, Default)]
pub struct Store {
    state: Mutex<State>,
    certificates: Arc<ArcSwap<Certificates>>,
    failures: Arc<Failures>,
}

#[derive(Debug, Default)]
struct State {
    tls: BTreeMap<String, Arc<TlsConfig>>,
    certificates: HashMap<Certificate, Kept<Stamps, Arc<Loaded>>>,
    own: Option<Arc<CertifiedKey>>,
    acceptors: BTreeMap<String, AcceptorEntry>,
    connectors: Vec<ConnectorEntry>,
    /// Whether anybody terminates TLS.
    is_used: bool,
    notes: Vec<String>,
    faults: Vec<String>,
}

/// Whom a certificate is for, and the digest that tells it from others.
pub(crate) type Known = (Vec<String>, [u8; 32]);

/// What was read last, and what is wrong with what is there now.
#[derive(Debug)]
struct Kept<S, T> {
    stamps: S,
    good: Option<T>,
    problem: Option<String>,
}

#[derive(Debug)]
struct AcceptorEntry {
    options: TlsOptions,
    stamps: Vec<Stamp>,
    acceptor: Arc<Acceptor>,
    problem: Option<String>,
}

#[derive(Debug)]
struct ConnectorEntry {
    tls: ClientTls,
    alpn: &'static [&'static str],
    stamps: Vec<Stamp>,
    connector: Arc<Connector>,
    problem: Option<String>,
}

impl Store {
    /// Takes in what a snapshot says of TLS, by provider. Reads files: not for a worker.
    pub fn apply(&self, tls: &BTreeMap<String, Arc<TlsConfig>>) {
        let mut state = self.lock();
        state.tls = tls.clone();
        let configured: Vec<&Certificate> =
            tls.values().flat_map(|part| certificates(part)).collect();
        state.certificates.retain(|certificate, _| configured.contains(&certificate));
        for certificate in configured {
            state.read(certificate);
        }
        self.publish(&mut state);
        let wanted = state.options();
        state.acceptors.retain(|name, _| wanted.contains_key(name));
        for (name, options) in wanted {
            self.put(&mut state, name, options);
        }
        state.connectors.retain(|entry| Arc::strong_count(&entry.connector) > 1);
    }

    /// The acceptor for what a router of `provider` says under `tls.options`.
    ///
    /// # Errors
    /// There are no such options.
    pub fn acceptor(&self, options: Option<&str>, provider: &str) -> Result<Arc<Acceptor>, String> {
        let name = match options {
            None | Some(DEFAULT) => DEFAULT.to_owned(),
            Some(name) if name.contains('@') => name.to_owned(),
            Some(name) => format!("{name}@{provider}"),
        };
        let mut state = self.lock();
        if !state.is_used {
            state.is_used = true;
            self.publish(&mut state);
        }
        if name == DEFAULT && !state.acceptors.contains_key(DEFAULT) {
            self.put(&mut state, name.clone(), TlsOptions::default());
        }
        let found = state.acceptors.get(&name).map(|entry| Arc::clone(&entry.acceptor));
        found.ok_or_else(|| format!("no TLS options {name:?}"))
    }

    /// The connector for servers behind this transport. Reads files: not for a worker.
    pub fn connector(&self, transport: &Transport) -> Arc<Connector> {
        let alpn: &[&str] = match transport.id.protocol {
            Protocol::Http if transport.disable_http2 => &["http/1.1"],
            Protocol::Http => &["h2", "http/1.1"],
            _ => &[],
        };
        let mut state = self.lock();
        let same = |entry: &&ConnectorEntry| entry.tls == transport.tls && entry.alpn == alpn;
        if let Some(entry) = state.connectors.iter().find(same) {
            return Arc::clone(&entry.connector);
        }
        let stamps = client_stamps(&transport.tls);
        let config = client_config(&transport.tls, alpn);
        let problem = config.as_ref().err().cloned();
        let connector = Arc::new(Connector::new(&transport.tls, config));
        let tls = transport.tls.clone();
        let entry =
            ConnectorEntry { tls, alpn, stamps, connector: Arc::clone(&connector), problem };
        state.connectors.push(entry);
        connector
    }

    /// Reads again what has changed. What can't be used keeps what was there. Reads files: not
    /// for a worker.
    pub fn refresh(&self) {
        let mut state = self.lock();
        let known: Vec<Certificate> = state.certificates.keys().cloned().collect();
        let changed = known.iter().filter(|certificate| state.read(certificate)).count();
        if changed > 0 {
            self.publish(&mut state);
        }
        for (name, options) in state.options() {
            self.put(&mut state, name, options);
        }
        for entry in &mut state.connectors {
            entry.refresh();
        }
    }

    /// One whose files are looked at for as long as it exists.
    pub fn watched() -> Arc<Self> {
        let store = Arc::<Self>::default();
        let watched = Arc::downgrade(&store);
        let thread = std::thread::Builder::new().name("tls-files".to_owned());
        let started = thread.spawn(move || {
            loop {
                let began = Instant::now();
                let Some(store) = watched.upgrade() else { return };
                store.refresh();
                drop(store);
                // However many files there are, looking takes a hundredth of a CPU; but a look that had
                // to wait for one took no more of it.
                std::thread::sleep(LOOK.max(began.elapsed() * 100).min(LONGEST));
            }
        });
        if let Err(error) = started {
            tracing::error!("TLS files that change aren't read again: {error}");
        }
        store
    }

    /// Why the default certificate is lb's own, where it is.
    pub fn notes(&self) -> Vec<String> {
        self.lock().notes.clone()
    }

    /// Whether a client that asks for this name gets a certificate for it, and not the default one.
    pub(crate) fn has_certificate_for(&self, name: &str) -> bool {
        self.certificates.load().has(name)
    }

    /// What is wrong with files and options now.
    pub fn problems(&self) -> Vec<String> {
        let state = self.lock();
        let certificates = state.certificates.values().map(|kept| &kept.problem);
        let acceptors = state.acceptors.values().map(|entry| &entry.problem);
        let connectors = state.connectors.iter().map(|entry| &entry.problem);
        let all = certificates.chain(acceptors).chain(connectors).flatten();
        let mut all: Vec<String> = all.chain(&state.faults).cloned().collect();
        let good = state.certificates.values().filter_map(|kept| kept.good.as_ref());
        let now = SystemTime::now();
        all.extend(good.filter(|loaded| loaded.expires < now).map(|loaded| {
            format!("the TLS certificate for {} has expired", loaded.names.join(", "))
        }));
        all.sort();
        all.dedup();
        all
    }

    /// The certificates in use: whom each is for, what tells it from others, and until when it is
    /// valid.
    pub(crate) fn inventory(&self) -> Vec<(Known, SystemTime)> {
        let state = self.lock();
        let good = state.certificates.values().filter_map(|kept| kept.good.as_ref());
        let digest = |loaded: &Loaded| {
            let mut digest = [0; 32];
            let leaf = loaded.key.cert.first().map(|der| &**der).unwrap_or_default();
            let made = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, leaf);
            digest.copy_from_slice(made.as_ref());
            digest
        };
        good.map(|loaded| ((loaded.names.clone(), digest(loaded)), loaded.expires)).collect()
    }

    /// Failed handshakes with clients, by reason.
    pub fn failures(&self) -> &Failures {
        &self.failures
    }

    /// Has handshakes choose from the certificates as they are now.
    fn publish(&self, state: &mut State) {
        state.notes.clear();
        let mut loaded = Vec::new();
        let mut default = None;
        for part in state.tls.values() {
            let good =
                |certificate: &Certificate| state.certificates.get(certificate)?.good.clone();
            loaded.extend(part.certificates.iter().filter_map(good));
            let configured = part.default_certificate.as_ref().and_then(good);
            default = default.or(configured.map(|loaded| Arc::clone(&loaded.key)));
        }
        let default =
            default.or_else(|| if state.is_used { state.own_certificate() } else { None });
        self.certificates.store(Arc::new(Certificates::new(&loaded, default)));
    }

    /// Makes or changes one acceptor, where options or files did.
    fn put(&self, state: &mut State, name: String, options: TlsOptions) {
        let stamps: Vec<Stamp> = options.client_cas.iter().map(Stamp::of_pem).collect();
        let there = state.acceptors.get(&name);
        if there.is_some_and(|entry| entry.options == options && entry.stamps == stamps) {
            return;
        }
        let acceptor = there.map(|entry| Arc::clone(&entry.acceptor));
        let failures = || Arc::clone(&self.failures);
        let acceptor =
            acceptor.unwrap_or_else(|| Arc::new(Acceptor::new(name.clone(), failures())));
        let problem = match server_config(&options, &self.certificates) {
            Ok(config) => {
                acceptor.put(config);
                None
            }
            Err(error) => Some(told(format!("tls.options.{name}: {error}"))),
        };
        state.acceptors.insert(name, AcceptorEntry { options, stamps, acceptor, problem });
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Reads one certificate if its files have changed; whether a new one is in force.
    fn read(&mut self, certificate: &Certificate) -> bool {
        let stamps = Stamps::of(certificate);
        let there = self.certificates.remove(certificate);
        let (entry, is_new) = match there {
            Some(kept) if kept.stamps == stamps => (kept, false),
            there => match certificate::load(certificate) {
                Ok(loaded) => (Kept { stamps, good: Some(Arc::new(loaded)), problem: None }, true),
                Err(error) => {
                    let good = there.and_then(|kept| kept.good);
                    let kept = if good.is_some() { "; the one before is kept" } else { "" };
                    let problem = Some(told(format!("a TLS certificate: {error}{kept}")));
                    (Kept { stamps, good, problem }, false)
                }
            },
        };
        self.certificates.insert(certificate.clone(), entry);
        is_new
    }

    /// Options by qualified name, and those for routers that name none.
    fn options(&mut self) -> BTreeMap<String, TlsOptions> {
        let mut all = BTreeMap::new();
        let mut defaults = Vec::new();
        for (provider, part) in &self.tls {
            for (name, options) in &part.options {
                if name == DEFAULT {
                    defaults.push(options.clone());
                }
                all.insert(format!("{name}@{provider}"), options.clone());
            }
        }
        if defaults.len() > 1 {
            let fault = "tls.options.default is given by several providers: none of them holds";
            if self.faults.is_empty() {
                self.faults.push(told(fault.to_owned()));
            }
            defaults.clear();
        } else {
            self.faults.clear();
        }
        all.insert(DEFAULT.to_owned(), defaults.pop().unwrap_or_default());
        all
    }

    fn own_certificate(&mut self) -> Option<Arc<CertifiedKey>> {
        let note = "no default certificate is configured: names without a certificate get one that lb signed itself";
        self.notes.push(note.to_owned());
        if self.own.is_none() {
            self.own = certificate::self_signed().map_err(told).ok();
        }
        self.own.clone()
    }
}

impl ConnectorEntry {
    fn refresh(&mut self) {
        let stamps = client_stamps(&self.tls);
        if stamps == self.stamps {
            return;
        }
        self.stamps = stamps;
        self.problem = match client_config(&self.tls, self.alpn) {
            Ok(config) => {
                self.connector.put(config);
                None
            }
            Err(error) => Some(told(format!("a serversTransport: {error}; what was is kept"))),
        };
    }
}

fn certificates(part: &TlsConfig) -> impl Iterator<Item = &Certificate> {
    part.certificates.iter().chain(&part.default_certificate)
}

fn client_stamps(tls: &ClientTls) -> Vec<Stamp> {
    let own = tls.certificates.iter().flat_map(|(cert, key)| [cert, key]);
    tls.root_cas.iter().chain(own).map(|pem: &Pem| Stamp::of_pem(pem)).collect()
}

fn told(problem: String) -> String {
    tracing::warn!("{problem}");
    problem
}
