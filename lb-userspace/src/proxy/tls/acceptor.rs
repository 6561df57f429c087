//! The server's side of TLS under one set of options.

use std::{sync::Arc, time::Duration};

use arc_swap::{ArcSwap, ArcSwapOption};
use rustls::{
    ServerConfig, crypto::aws_lc_rs::Ticketer, server::NoServerSessionStorage,
    server::ServerSessionMemoryCache,
};

use super::{
    certificates::{Certificates, Chooser},
    client_auth,
    failure::{Failure, Failures},
    pem, session, suites,
};
use crate::{
    model::TlsOptions,
    proxy::{Stream, TlsSession, io::Plain},
};

/// Sessions of TLS 1.2 that are kept for clients which take no tickets.
const SESSIONS: usize = 1024;

/// Shakes hands with clients. Options that change take effect at the next handshake.
#[derive(Debug)]
pub struct Acceptor {
    name: String,
    /// `None` while what the options name can't be read: no handshake succeeds then.
    config: ArcSwapOption<ServerConfig>,
    failures: Arc<Failures>,
}

impl Acceptor {
    pub(super) fn new(name: String, failures: Arc<Failures>) -> Self {
        Self { name, config: ArcSwapOption::empty(), failures }
    }

    /// The name of the options.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Shakes hands within `limit`. What goes wrong is counted here.
    ///
    /// # Errors
    /// Why it failed; the client has been sent an alert where it can take one.
    pub async fn accept(
        &self,
        plain: Plain,
        limit: Duration,
    ) -> Result<(Stream, TlsSession), Failure> {
        let failure = match self.config.load_full() {
            None => Failure::NoCertificate,
            Some(config) => {
                match tokio::time::timeout(limit, Stream::accept(plain, config)).await {
                    Ok(Ok(stream)) => {
                        let session = session::of(&stream, &self.name);
                        return Ok((stream, session));
                    }
                    Ok(Err(error)) => Failure::from(&error),
                    Err(_elapsed) => Failure::Timeout,
                }
            }
        };
        self.failures.count(failure);
        Err(failure)
    }

    pub(super) fn put(&self, config: ServerConfig) {
        self.config.store(Some(Arc::new(config)));
    }
}

/// What rustls needs for these options. Tickets of other options aren't taken: each set has keys
/// of its own, that are rotated every six hours.
pub(super) fn server_config(
    options: &TlsOptions,
    certificates: &Arc<ArcSwap<Certificates>>,
) -> Result<ServerConfig, String> {
    let provider = Arc::new(suites::provider(options)?);
    let roots = pem::authorities(&options.client_cas)?;
    let verifier = client_auth::verifier(options.client_auth, roots, &provider)?;
    let builder = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&suites::versions(options))
        .map_err(|error| format!("versions and cipher suites leave nothing: {error}"))?;
    let builder = match verifier {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(Arc::new(Chooser {
        certificates: Arc::clone(certificates),
        is_strict: options.sni_strict,
    }));
    config.alpn_protocols = options.alpn.iter().map(|name| name.clone().into_bytes()).collect();
    if options.disable_tickets {
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
    } else {
        config.session_storage = ServerSessionMemoryCache::new(SESSIONS);
        config.ticketer = Ticketer::new().map_err(|error| error.to_string())?;
        // As many as clients use: each costs an encryption in every handshake.
        config.send_tls13_tickets = 1;
    }
    Ok(config)
}
