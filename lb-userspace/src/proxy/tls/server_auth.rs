//! Certificates of servers where they aren't checked as usual: `insecureSkipVerify`, and
//! `peerCertURI`.

use std::sync::Arc;

use rustls::{
    CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_cert_signed_by_trust_anchor, verify_server_name,
    },
    crypto::{self, CryptoProvider, WebPkiSupportedAlgorithms},
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::ParsedCertificate,
};
use x509_parser::{certificate::X509Certificate, extensions::GeneralName, prelude::FromDer};

use crate::model::ClientTls;

/// Checks what is left to be checked. A URI is always checked together with the chain, as its
/// word would be worth nothing without.
#[derive(Debug)]
pub(super) struct Relaxed {
    roots: Arc<RootCertStore>,
    checks_name: bool,
    uri: Option<String>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Relaxed {
    pub(super) fn new(tls: &ClientTls, roots: Arc<RootCertStore>, crypto: &CryptoProvider) -> Self {
        Self {
            roots,
            checks_name: !tls.skip_verify,
            uri: tls.peer_cert_uri.clone(),
            algorithms: crypto.signature_verification_algorithms,
        }
    }
}

impl ServerCertVerifier for Relaxed {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if let Some(uri) = &self.uri {
            let parsed = ParsedCertificate::try_from(leaf)?;
            let algorithms = self.algorithms.all;
            verify_server_cert_signed_by_trust_anchor(
                &parsed,
                &self.roots,
                chain,
                now,
                algorithms,
            )?;
            if self.checks_name {
                verify_server_name(&parsed, name)?;
            }
            if !has_uri(leaf, uri) {
                return Err(CertificateError::NotValidForName.into());
            }
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        crypto::verify_tls12_signature(message, cert, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        crypto::verify_tls13_signature(message, cert, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

fn has_uri(leaf: &CertificateDer<'_>, wanted: &str) -> bool {
    let Ok((_, parsed)) = X509Certificate::from_der(leaf) else { return false };
    let Ok(Some(names)) = parsed.subject_alternative_name() else { return false };
    let names = names.value.general_names.iter();
    names.into_iter().any(|name| matches!(name, GeneralName::URI(uri) if *uri == wanted))
}
