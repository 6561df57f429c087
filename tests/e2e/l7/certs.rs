//! Certificates made here, and clients that speak TLS.

use std::{net::SocketAddr, path::Path, sync::Arc};

use anyhow::{Context, Result};
use lb_tests::client::http1::{Connection, connect};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName},
};

use super::kit::World;

/// A self-signed certificate and its key.
pub(super) struct Cert {
    pub(super) der: CertificateDer<'static>,
    pem: String,
    key_pem: String,
    key: Vec<u8>,
}

impl Cert {
    /// For this name.
    pub(super) fn new(name: &str) -> Result<Self> {
        let made = rcgen::generate_simple_self_signed([name.to_owned()])?;
        Ok(Self {
            der: made.cert.der().clone(),
            pem: made.cert.pem(),
            key_pem: made.signing_key.serialize_pem(),
            key: made.signing_key.serialize_der(),
        })
    }

    /// Writes `NAME.crt` and `NAME.key`.
    pub(super) fn write(&self, folder: &Path, name: &str) -> Result<()> {
        std::fs::write(folder.join(format!("{name}.crt")), &self.pem)?;
        std::fs::write(folder.join(format!("{name}.key")), &self.key_pem)?;
        Ok(())
    }

    fn key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(self.key.clone().into())
    }
}

/// A client that trusts these, shows `own` if it has one, and offers protocols.
pub(super) fn client(trusted: &[&Cert], own: Option<&Cert>, alpn: &[&str]) -> Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for cert in trusted {
        roots.add(cert.der.clone())?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots);
    let mut config = match own {
        None => builder.with_no_client_auth(),
        Some(own) => builder.with_client_auth_cert(vec![own.der.clone()], own.key())?,
    };
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    Ok(config)
}

/// A connection that has shaken hands, and the certificate that the server showed.
pub(super) fn open(
    world: &World,
    address: SocketAddr,
    config: &ClientConfig,
    name: &str,
) -> Result<(Connection, CertificateDer<'static>)> {
    let name = ServerName::try_from(name.to_owned())?;
    let mut stream = world.ns.run(|| connect(address))?;
    let mut session = ClientConnection::new(Arc::new(config.clone()), name)?;
    while session.is_handshaking() {
        session.complete_io(&mut stream).context("shaking hands")?;
    }
    let shown = session.peer_certificates().and_then(<[_]>::first);
    let shown = shown.context("no certificate")?.clone().into_owned();
    Ok((Connection::over(StreamOwned::new(session, stream)), shown))
}
