//! Cipher suites, curves and versions by the names that configurations use.

use rustls::{
    CipherSuite, SupportedCipherSuite, SupportedProtocolVersion,
    crypto::CryptoProvider,
    crypto::SupportedKxGroup,
    crypto::aws_lc_rs::{self, kx_group},
};

use crate::{
    config::names::nearest,
    model::{TlsOptions, TlsVersion},
};

/// Names of IANA and, where they differ, of Go.
const SUITES: &[(&str, CipherSuite)] = &[
    ("TLS_AES_128_GCM_SHA256", CipherSuite::TLS13_AES_128_GCM_SHA256),
    ("TLS_AES_256_GCM_SHA384", CipherSuite::TLS13_AES_256_GCM_SHA384),
    ("TLS_CHACHA20_POLY1305_SHA256", CipherSuite::TLS13_CHACHA20_POLY1305_SHA256),
    (
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    ),
    (
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    ),
    (
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    ),
    (
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    ),
    ("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256),
    ("TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384),
    (
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
        CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    ),
    (
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305",
        CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    ),
];

/// Names of Go first, then of IANA.
const CURVES: &[(&str, &dyn SupportedKxGroup)] = &[
    ("CurveP256", kx_group::SECP256R1),
    ("CurveP384", kx_group::SECP384R1),
    ("X25519", kx_group::X25519),
    ("X25519MLKEM768", kx_group::X25519MLKEM768),
    ("secp256r1", kx_group::SECP256R1),
    ("secp384r1", kx_group::SECP384R1),
];

/// A cipher suite by its name.
///
/// # Errors
/// There is none, or lb doesn't offer it: why, and the nearest name.
pub fn cipher_suite(name: &str) -> Result<CipherSuite, String> {
    let found = SUITES.iter().find(|(known, _)| *known == name);
    let unsound = ["_CBC_", "_RC4_", "_3DES_", "TLS_RSA_WITH_", "_NULL_"];
    match found {
        Some((_, suite)) => Ok(*suite),
        None if unsound.iter().any(|part| name.contains(part)) => Err(format!(
            "lb doesn't offer {name}: it lacks forward secrecy or authenticated encryption"
        )),
        None => Err(missing("cipher suite", name, SUITES.iter().map(|(known, _)| *known))),
    }
}

/// Checks the name of a curve.
///
/// # Errors
/// As for [`cipher_suite`].
pub fn curve(name: &str) -> Result<(), String> {
    group(name).map(drop)
}

fn group(name: &str) -> Result<&'static dyn SupportedKxGroup, String> {
    let found = CURVES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
    match found {
        Some((_, group)) => Ok(*group),
        None if name.eq_ignore_ascii_case("CurveP521") => {
            Err("lb doesn't offer CurveP521; CurveP384 is the largest".to_owned())
        }
        None => Err(missing("curve", name, CURVES.iter().map(|(known, _)| *known))),
    }
}

fn missing<'a>(what: &str, name: &str, known: impl Iterator<Item = &'a str>) -> String {
    match nearest(name, known) {
        Some(near) => format!("no {what} {name:?}; did you mean {near:?}?"),
        None => format!("no {what} {name:?}"),
    }
}

/// What these options leave of what there is. A list that names no suite of TLS 1.3 says nothing
/// about those: they are all sound.
pub(super) fn provider(options: &TlsOptions) -> Result<CryptoProvider, String> {
    let mut provider = aws_lc_rs::default_provider();
    let named: Result<Vec<_>, _> = options.cipher_suites.iter().map(|n| cipher_suite(n)).collect();
    let named = named?;
    let is_13 = |suite: &SupportedCipherSuite| suite.tls13().is_some();
    let names_13 =
        provider.cipher_suites.iter().any(|suite| is_13(suite) && named.contains(&suite.suite()));
    if !named.is_empty() {
        provider
            .cipher_suites
            .retain(|suite| named.contains(&suite.suite()) || (is_13(suite) && !names_13));
        let rank = |suite: &SupportedCipherSuite| named.iter().position(|n| *n == suite.suite());
        provider.cipher_suites.sort_by_key(|suite| rank(suite).unwrap_or(usize::MAX));
    }
    if !options.curves.is_empty() {
        let groups: Result<Vec<_>, _> = options.curves.iter().map(|name| group(name)).collect();
        provider.kx_groups = groups?;
    }
    Ok(provider)
}

/// The versions from the lowest to the highest allowed.
pub(super) fn versions(options: &TlsOptions) -> Vec<&'static SupportedProtocolVersion> {
    let allowed = options.min_version..=options.max_version;
    [(TlsVersion::V13, &rustls::version::TLS13), (TlsVersion::V12, &rustls::version::TLS12)]
        .into_iter()
        .filter_map(|(version, supported)| allowed.contains(&version).then_some(supported))
        .collect()
}
