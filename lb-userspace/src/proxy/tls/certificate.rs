//! One certificate: its chain, its key, what names it is for, and its OCSP response.

use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rustls::{
    crypto::aws_lc_rs, pki_types::CertificateDer, pki_types::PrivateKeyDer, sign::CertifiedKey,
};
use x509_parser::{certificate::X509Certificate, extensions::GeneralName, prelude::FromDer};

use super::pem::{self, Stamp};
use crate::model::{Certificate, Pem};

/// A certificate that was read.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) key: Arc<CertifiedKey>,
    /// Lower case; `*.` in front of those for a whole level.
    pub(super) names: Vec<String>,
    pub(super) expires: SystemTime,
}

/// When the files of a certificate changed last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamps([Stamp; 3]);

impl Stamps {
    pub(super) fn of(certificate: &Certificate) -> Self {
        let ocsp = certificate.ocsp.clone().map(Pem::File);
        let ocsp = ocsp.as_ref().unwrap_or(&certificate.cert);
        Self([&certificate.cert, &certificate.key, ocsp].map(Stamp::of_pem))
    }
}

/// Reads a certificate with all that belongs to it.
pub(super) fn load(certificate: &Certificate) -> Result<Loaded, String> {
    let chain = pem::chain(&certificate.cert)?;
    let (names, expires) =
        subject(&chain[0]).map_err(|error| format!("{}: {error}", pem::name(&certificate.cert)))?;
    let key = pem::key(&certificate.key)?;
    let made = CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider());
    let mut made = made.map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => format!(
            "{} isn't the key of {}",
            pem::name(&certificate.key),
            pem::name(&certificate.cert)
        ),
        error => format!("{}: {error}", pem::name(&certificate.key)),
    })?;
    if let Some(path) = &certificate.ocsp {
        made.ocsp = Some(pem::read_file(path)?);
    }
    Ok(Loaded { key: Arc::new(made), names, expires })
}

/// Subject alternative names; the common name where there are none. And the end of its validity.
fn subject(leaf: &CertificateDer<'_>) -> Result<(Vec<String>, SystemTime), String> {
    let (_, parsed) =
        X509Certificate::from_der(leaf).map_err(|error| format!("no certificate: {error}"))?;
    let mut names: Vec<String> = Vec::new();
    if let Ok(Some(alternatives)) = parsed.subject_alternative_name() {
        names.extend(alternatives.value.general_names.iter().filter_map(spelled));
    }
    if names.is_empty() {
        let common = parsed.subject().iter_common_name().filter_map(|name| name.as_str().ok());
        names.extend(common.map(str::to_ascii_lowercase));
    }
    let end = u64::try_from(parsed.validity().not_after.timestamp()).unwrap_or_default();
    Ok((names, UNIX_EPOCH + Duration::from_secs(end)))
}

fn spelled(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
        GeneralName::IPAddress(bytes) => {
            let v4 = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
            v4.or_else(|_| <[u8; 16]>::try_from(*bytes).map(IpAddr::from))
                .ok()
                .map(|ip| ip.to_string())
        }
        _ => None,
    }
}

/// The certificate that is shown where none is configured: signed by itself, for nobody.
pub(super) fn self_signed() -> Result<Arc<CertifiedKey>, String> {
    let made = rcgen::generate_simple_self_signed(["lb.invalid".to_owned()]);
    let made = made.map_err(|error| error.to_string())?;
    let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    CertifiedKey::from_der(vec![made.cert.der().clone()], key, &aws_lc_rs::default_provider())
        .map(Arc::new)
        .map_err(|error| error.to_string())
}
