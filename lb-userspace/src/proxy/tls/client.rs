//! The client's side of TLS, towards servers.

use std::{
    io,
    sync::{Arc, LazyLock},
};

use arc_swap::ArcSwap;
use rustls::{
    ClientConfig, RootCertStore, SignatureScheme, client::ResolvesClientCert, crypto::aws_lc_rs,
    pki_types::ServerName, sign::CertifiedKey,
};

use super::{certificate, failure, pem, server_auth};
use crate::{
    model::{Certificate, ClientTls},
    proxy::{Stream, io::Plain},
};

/// Shakes hands with servers. Files that change take effect at the next handshake; sessions are
/// resumed.
#[derive(Debug)]
pub struct Connector {
    server_name: Option<String>,
    /// Or why there is none: then no handshake is tried.
    config: ArcSwap<Result<Arc<ClientConfig>, String>>,
}

impl Connector {
    /// One that no [`super::Store`] keeps current: its files are read now.
    ///
    /// # Errors
    /// A file can't be read, or holds nothing of use.
    pub fn alone(tls: &ClientTls, alpn: &[&str]) -> Result<Self, String> {
        Ok(Self::new(tls, Ok(client_config(tls, alpn)?)))
    }

    pub(super) fn new(tls: &ClientTls, config: Result<ClientConfig, String>) -> Self {
        let config = config.map(Arc::new);
        Self { server_name: tls.server_name.clone(), config: ArcSwap::from_pointee(config) }
    }

    pub(super) fn put(&self, config: ClientConfig) {
        self.config.store(Arc::new(Ok(Arc::new(config))));
    }

    /// Shakes hands with the server that is configured as `host`. Bound its time from outside.
    ///
    /// # Errors
    /// Those of the socket; why TLS failed, in half a sentence.
    pub async fn connect(&self, plain: Plain, host: &str) -> io::Result<Stream> {
        let config = match &**self.config.load() {
            Ok(config) => Arc::clone(config),
            Err(why) => return Err(io::Error::other(why.clone())),
        };
        let host = self.server_name.as_deref().unwrap_or(host);
        let name = ServerName::try_from(host.to_owned());
        let name =
            name.map_err(|_invalid| io::Error::other(format!("{host:?} is no host name")))?;
        Stream::connect(plain, config, name).await.map_err(|error| {
            let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
            match tls {
                Some(tls) => io::Error::new(error.kind(), failure::told(tls)),
                None => error,
            }
        })
    }

    /// What [`Stream::connect`] needs for the server that is configured as `host`.
    ///
    /// # Errors
    /// Files that can't be read; `host` is neither a name nor an address.
    pub fn with(&self, host: &str) -> io::Result<(Arc<ClientConfig>, ServerName<'static>)> {
        let config = match &**self.config.load() {
            Ok(config) => Arc::clone(config),
            Err(why) => return Err(io::Error::other(why.clone())),
        };
        let host = self.server_name.as_deref().unwrap_or(host);
        let name = ServerName::try_from(host.to_owned());
        let name = name.map_err(|_invalid| io::Error::other(format!("{host:?} is no host name")));
        Ok((config, name?))
    }
}

/// What rustls needs for these settings.
pub(crate) fn client_config(tls: &ClientTls, alpn: &[&str]) -> Result<ClientConfig, String> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let roots = if tls.root_cas.is_empty() {
        Arc::clone(&NATIVE)
    } else {
        Arc::new(pem::authorities(&tls.root_cas)?)
    };
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let builder = if tls.skip_verify || tls.peer_cert_uri.is_some() {
        let verifier = server_auth::Relaxed::new(tls, roots, &provider);
        builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier))
    } else {
        builder.with_root_certificates(roots)
    };
    let mut config = match own(tls)? {
        own if own.0.is_empty() => builder.with_no_client_auth(),
        own => builder.with_client_cert_resolver(Arc::new(own)),
    };
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    Ok(config)
}

fn own(tls: &ClientTls) -> Result<Own, String> {
    let load = |(cert, key): &(_, _)| {
        let certificate =
            Certificate { cert: Clone::clone(cert), key: Clone::clone(key), ocsp: None };
        certificate::load(&certificate).map(|loaded| loaded.key)
    };
    tls.certificates.iter().map(load).collect::<Result<_, _>>().map(Own)
}

/// lb's own certificates: the first that the server can check.
#[derive(Debug)]
struct Own(Vec<Arc<CertifiedKey>>);

impl ResolvesClientCert for Own {
    fn resolve(
        &self,
        _authorities: &[&[u8]],
        schemes: &[SignatureScheme],
    ) -> Option<Arc<CertifiedKey>> {
        self.0.iter().find(|key| key.key.choose_scheme(schemes).is_some()).cloned()
    }

    fn has_certs(&self) -> bool {
        !self.0.is_empty()
    }
}

/// The host's certificate authorities, read when first needed.
static NATIVE: LazyLock<Arc<RootCertStore>> = LazyLock::new(|| {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!("a certificate authority of this host can't be read: {error}");
    }
    roots.add_parsable_certificates(found.certs);
    Arc::new(roots)
});
