//! TLS of checks.

use std::sync::{Arc, OnceLock};

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{InvalidDnsNameError, ServerName},
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::probe::Failure;
use crate::{model::ClientTls, proxy::tls::client_config};

/// Trusts the host's certificate authorities, read when first needed.
#[derive(Default)]
pub(crate) struct Tls {
    http1: OnceLock<Arc<ClientConfig>>,
    h2: OnceLock<Arc<ClientConfig>>,
}

impl Tls {
    /// Trusts only these.
    #[cfg(test)]
    pub(crate) fn trusting(roots: RootCertStore) -> Self {
        let h2 = OnceLock::from(config(roots.clone(), b"h2"));
        Self { http1: OnceLock::from(config(roots, b"http/1.1")), h2 }
    }

    /// Takes any certificate.
    pub(crate) fn insecure() -> Self {
        let tls = ClientTls { skip_verify: true, ..ClientTls::default() };
        let config =
            |alpn| Arc::new(client_config(&tls, &[alpn]).expect("there is no file to be read"));
        Self { http1: OnceLock::from(config("http/1.1")), h2: OnceLock::from(config("h2")) }
    }

    /// Shakes hands with `host` (SNI, and the name its certificate must bear).
    ///
    /// # Errors
    /// A certificate that isn't trusted or isn't for `host`; no TLS on the other side.
    pub(crate) async fn connect(
        &self,
        host: &str,
        stream: TcpStream,
    ) -> Result<TlsStream<TcpStream>, Failure> {
        let config = self.http1.get_or_init(|| config(native_roots(), b"http/1.1"));
        shake(config, host, stream).await
    }

    /// As [`Self::connect`], to speak HTTP/2.
    pub(crate) async fn connect_h2(
        &self,
        host: &str,
        stream: TcpStream,
    ) -> Result<TlsStream<TcpStream>, Failure> {
        let config = self.h2.get_or_init(|| config(native_roots(), b"h2"));
        shake(config, host, stream).await
    }
}

async fn shake(
    config: &Arc<ClientConfig>,
    host: &str,
    stream: TcpStream,
) -> Result<TlsStream<TcpStream>, Failure> {
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_: InvalidDnsNameError| Failure::server(format!("{host:?} is no host name")))?;
    let connecting = TlsConnector::from(Arc::clone(config)).connect(name, stream);
    connecting.await.map_err(|error| match error.get_ref() {
        Some(inner) => Failure::server(format!("TLS: {inner}")),
        None => Failure::server(format!("TLS: {}", Failure::from(error))),
    })
}

fn config(roots: RootCertStore, protocol: &[u8]) -> Arc<ClientConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("aws-lc-rs offers the default protocol versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    Arc::new(config)
}

fn native_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!("a certificate authority of this host can't be read: {error}");
    }
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        tracing::warn!("this host has no certificate authorities: https checks can't pass");
    }
    roots
}
