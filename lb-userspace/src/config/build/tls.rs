//! `tls`.

use super::{Builder, transport::pems};
use crate::{
    config::{
        decode::{At, Field},
        names::{nearest, one_of},
        raw,
    },
    model::{Certificate, ClientAuth, TlsOptions, TlsVersion},
};

/// `tls` of one file.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct TlsDraft {
    pub(crate) certificates: Vec<Certificate>,
    /// By name.
    pub(crate) options: Vec<(String, At<TlsOptions>)>,
    /// `stores.default.defaultCertificate`.
    pub(crate) default_certificate: Option<At<Certificate>>,
}

/// Names of IANA's registry that rustls with aws-lc-rs has, all of them sound.
const CIPHER_SUITES: &[&str] = &[
    "TLS_AES_128_GCM_SHA256",
    "TLS_AES_256_GCM_SHA384",
    "TLS_CHACHA20_POLY1305_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
];
/// What Go calls two of them as well.
const CIPHER_ALIASES: &[(&str, &str)] = &[
    ("TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305", "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"),
    ("TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305", "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256"),
];
/// As Go and as IANA's registry name them.
const CURVES: &[(&str, &str)] = &[
    ("X25519", "X25519"),
    ("CurveP256", "CurveP256"),
    ("CurveP384", "CurveP384"),
    ("X25519MLKEM768", "X25519MLKEM768"),
    ("secp256r1", "CurveP256"),
    ("secp384r1", "CurveP384"),
];
const STORE: &str = "default";

impl Builder<'_> {
    pub(super) fn tls(&mut self, raw: raw::Tls) {
        for at in raw.certificates.get().map(Vec::as_slice).unwrap_or_default() {
            for store in at.value.stores.get().map(Vec::as_slice).unwrap_or_default() {
                self.store(&store.value, &store.spot);
            }
            let certificate = self.certificate(at);
            self.document.tls.certificates.extend(certificate);
        }
        self.document.unknown |= raw.options.is_faulty();
        for (name, at) in raw.options.into_value().unwrap_or_default().objects {
            super::object_name(&name, &at.spot, &mut self.faults);
            let value = self.tls_options(&at);
            self.document.tls.options.push((name, At { value, spot: at.spot }));
        }
        for (name, at) in raw.stores.into_value().unwrap_or_default().objects {
            self.store(&name, &at.spot);
            if let Some(raw) = at.value.default_certificate.at() {
                let certificate = self.certificate(raw);
                self.document.tls.default_certificate =
                    certificate.map(|value| At { value, spot: raw.spot.clone() });
            }
        }
    }

    fn store(&mut self, name: &str, spot: &crate::config::decode::Spot) {
        if name != STORE {
            let message =
                format!("no store {name:?}: all certificates are in the store \"default\"");
            self.faults.push(spot.fault(message));
        }
    }

    fn certificate(&mut self, raw: &At<raw::Certificate>) -> Option<Certificate> {
        let cert = raw.value.cert.required("certFile", &raw.spot, &mut self.faults);
        let key = raw.value.key.required("keyFile", &raw.spot, &mut self.faults);
        Some(Certificate {
            cert: cert?.value.pem(self.folder),
            key: key?.value.pem(self.folder),
            ocsp: raw.value.ocsp.get().map(|path| self.folder.join(path)),
        })
    }

    fn tls_options(&mut self, raw: &At<raw::TlsOptions>) -> TlsOptions {
        let options = &raw.value;
        let default = TlsOptions::default();
        let (min_version, max_version) =
            (options.min_version.or(TlsVersion::V12), options.max_version.or(TlsVersion::V13));
        if min_version > max_version {
            self.faults.push(raw.spot.fault("`minVersion` is above `maxVersion`"));
        }
        let client = options.client_auth.get();
        let client_cas = client.map(|raw| pems(&raw.ca_files, self.folder)).unwrap_or_default();
        let kind = client.and_then(|raw| raw.kind.at());
        let client_auth = match kind {
            Some(at) => at.value,
            None if client_cas.is_empty() => ClientAuth::None,
            None => ClientAuth::RequireAndVerify,
        };
        let verifies =
            matches!(client_auth, ClientAuth::VerifyIfGiven | ClientAuth::RequireAndVerify);
        if let Some(at) = kind.filter(|_| verifies && client_cas.is_empty()) {
            self.faults.push(at.spot.fault("needs `caFiles` to verify against"));
        }
        TlsOptions {
            min_version,
            max_version,
            cipher_suites: self.cipher_suites(&options.cipher_suites),
            curves: self.curves(&options.curves),
            client_cas,
            client_auth,
            sni_strict: options.sni_strict.or(false),
            alpn: match options.alpn.get() {
                Some(list) => list.iter().map(|at| at.value.clone()).collect(),
                None => default.alpn,
            },
            disable_tickets: options.disable_tickets.or(false),
        }
    }

    fn cipher_suites(&mut self, raw: &Field<Vec<At<String>>>) -> Vec<String> {
        let mut suites = Vec::new();
        for at in raw.get().map(Vec::as_slice).unwrap_or_default() {
            let name = at.value.as_str();
            let alias = CIPHER_ALIASES.iter().find(|(alias, _)| *alias == name);
            let name = alias.map_or(name, |(_, name)| *name);
            if CIPHER_SUITES.contains(&name) {
                suites.push(name.to_owned());
                continue;
            }
            let mut fault =
                at.spot.fault(match name.starts_with("TLS_RSA_") || name.contains("_CBC_") {
                    true => format!(
                        "{name} isn't sound: no forward secrecy, or no authenticated encryption"
                    ),
                    false => format!("no cipher suite {name:?}"),
                });
            fault.hint = nearest(name, CIPHER_SUITES.iter().copied());
            self.faults.push(fault);
        }
        suites
    }

    fn curves(&mut self, raw: &Field<Vec<At<String>>>) -> Vec<String> {
        let mut curves = Vec::new();
        for at in raw.get().map(Vec::as_slice).unwrap_or_default() {
            let known = CURVES.iter().find(|(name, _)| name.eq_ignore_ascii_case(&at.value));
            match known {
                Some((_, name)) => curves.push((*name).to_owned()),
                None => {
                    let names = CURVES[..4].iter().map(|(name, _)| *name);
                    let message = format!("expected {}, found {:?}", one_of(names), at.value);
                    self.faults.push(at.spot.fault(message));
                }
            }
        }
        curves
    }
}
