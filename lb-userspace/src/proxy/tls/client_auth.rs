//! Certificates of clients, in five modes.

use std::sync::Arc;

use rustls::{
    DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::{self, CryptoProvider, WebPkiSupportedAlgorithms},
    pki_types::{CertificateDer, UnixTime},
    server::{
        WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};

use crate::model::ClientAuth;

/// Who checks the client's certificate, if anybody does.
pub(super) fn verifier(
    mode: ClientAuth,
    roots: RootCertStore,
    provider: &Arc<CryptoProvider>,
) -> Result<Option<Arc<dyn ClientCertVerifier>>, String> {
    let algorithms = provider.signature_verification_algorithms;
    let any = |is_mandatory, roots: RootCertStore| -> Arc<dyn ClientCertVerifier> {
        Arc::new(Any { is_mandatory, subjects: roots.subjects(), algorithms })
    };
    let checked = |roots: RootCertStore| {
        if roots.is_empty() {
            return Err("clientAuth.clientAuthType needs clientAuth.caFiles".to_owned());
        }
        Ok(WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider)))
    };
    Ok(match mode {
        ClientAuth::None => None,
        ClientAuth::Request => Some(any(false, roots)),
        ClientAuth::RequireAny => Some(any(true, roots)),
        ClientAuth::VerifyIfGiven => {
            let builder = checked(roots)?.allow_unauthenticated();
            Some(builder.build().map_err(|error| error.to_string())?)
        }
        ClientAuth::RequireAndVerify => {
            Some(checked(roots)?.build().map_err(|error| error.to_string())?)
        }
    })
}

/// Takes any certificate whose key the client has.
#[derive(Debug)]
struct Any {
    is_mandatory: bool,
    subjects: Vec<DistinguishedName>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ClientCertVerifier for Any {
    fn client_auth_mandatory(&self) -> bool {
        self.is_mandatory
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.subjects
    }

    fn verify_client_cert(
        &self,
        _leaf: &CertificateDer<'_>,
        _chain: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
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
