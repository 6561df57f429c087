//! What each option does to a handshake.

use std::{collections::BTreeMap, sync::Arc};

use rustls::{ProtocolVersion, RootCertStore, client::Resumption};

use super::{Authority, client, client_with, meet, with_options};
use crate::{
    model::{ClientAuth, TlsConfig, TlsOptions, TlsVersion},
    proxy::tls::{Failure, cipher_suite, curve},
};

fn options() -> TlsOptions {
    TlsOptions::default()
}

#[tokio::test]
async fn versions_are_bounded_below_and_above() {
    let authority = Authority::new();
    let only = |version| Arc::new(client_with(authority.roots(), version, None));
    let (old, new) = (only(&[&rustls::version::TLS12]), only(&[&rustls::version::TLS13]));

    let (_store, new_only) =
        with_options(&authority, TlsOptions { min_version: TlsVersion::V13, ..options() });
    assert_eq!(meet(&new_only, &old, "lb.test").await.failure(), Failure::Version);
    let met = meet(&new_only, &new, "lb.test").await;
    assert_eq!(met.version(), Some(ProtocolVersion::TLSv1_3));
    assert_eq!(met.server.unwrap().version, "TLSv1_3");

    let (_store, old_only) =
        with_options(&authority, TlsOptions { max_version: TlsVersion::V12, ..options() });
    assert_eq!(meet(&old_only, &new, "lb.test").await.failure(), Failure::Version);
    let met = meet(&old_only, &old, "lb.test").await;
    assert_eq!(met.server.unwrap().version, "TLSv1_2");
}

#[tokio::test]
async fn cipher_suites_are_those_listed() {
    let authority = Authority::new();
    let suites = |names: &[&str]| TlsOptions {
        cipher_suites: names.iter().map(|name| name.to_string()).collect(),
        ..options()
    };
    let old = Arc::new(client_with(authority.roots(), &[&rustls::version::TLS12], None));
    let any = Arc::new(client(authority.roots()));
    let table: &[(&str, bool, &str)] = &[
        (
            "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305",
            true,
            "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
        ),
        (
            "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
            true,
            "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        ),
        ("TLS_CHACHA20_POLY1305_SHA256", false, "TLS_CHACHA20_POLY1305_SHA256"),
        ("TLS_AES_128_GCM_SHA256", false, "TLS_AES_128_GCM_SHA256"),
    ];
    for (listed, is_old, agreed) in table {
        let (_store, acceptor) = with_options(&authority, suites(&[listed]));
        let met = meet(&acceptor, if *is_old { &old } else { &any }, "lb.test").await;
        assert_eq!(met.server.unwrap().cipher, *agreed, "{listed}");
    }
    let (_store, acceptor) =
        with_options(&authority, suites(&["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"]));
    assert_eq!(meet(&acceptor, &old, "lb.test").await.failure(), Failure::Parameters);
    let met = meet(&acceptor, &any, "lb.test").await;
    assert_eq!(met.server.unwrap().version, "TLSv1_3", "its suites are all sound");
}

#[test]
fn names_of_suites_and_curves() {
    let suites: &[(&str, &str)] = &[
        (
            "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA257",
            "no cipher suite \"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA257\"; did you mean \"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256\"?",
        ),
        (
            "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
            "lb doesn't offer TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA: it lacks forward secrecy or authenticated encryption",
        ),
        ("RC4", "no cipher suite \"RC4\""),
    ];
    for (name, fault) in suites {
        assert_eq!(&cipher_suite(name).unwrap_err(), fault);
    }
    for name in ["CurveP256", "CurveP384", "X25519", "X25519MLKEM768", "secp384r1"] {
        curve(name).unwrap();
    }
    assert_eq!(
        curve("CurveP521").unwrap_err(),
        "lb doesn't offer CurveP521; CurveP384 is the largest"
    );
    assert_eq!(curve("X25518").unwrap_err(), "no curve \"X25518\"; did you mean \"X25519\"?");
}

#[tokio::test]
async fn curves_are_those_listed() {
    let authority = Authority::new();
    let config = Arc::new(client(authority.roots()));
    for (curve, group) in [
        ("CurveP256", rustls::NamedGroup::secp256r1),
        ("CurveP384", rustls::NamedGroup::secp384r1),
        ("X25519MLKEM768", rustls::NamedGroup::X25519MLKEM768),
    ] {
        let (_store, acceptor) =
            with_options(&authority, TlsOptions { curves: vec![curve.to_owned()], ..options() });
        let met = meet(&acceptor, &config, "lb.test").await;
        met.server.unwrap();
        let stream = met.client.unwrap();
        let agreed = stream.tls().unwrap().negotiated_key_exchange_group().unwrap();
        assert_eq!(agreed.name(), group, "{curve}");
    }
}

#[tokio::test]
async fn the_protocol_is_the_first_in_common() {
    let authority = Authority::new();
    let speak = |names: &[&str]| {
        let mut config = client(authority.roots());
        config.alpn_protocols = names.iter().map(|name| name.as_bytes().to_vec()).collect();
        Arc::new(config)
    };
    let (store, acceptor) = with_options(&authority, options());
    for (spoken, agreed) in [
        (&["http/1.1", "h2"][..], Some(&b"h2"[..])),
        (&["http/1.1"], Some(b"http/1.1")),
        (&[], None),
    ] {
        let met = meet(&acceptor, &speak(spoken), "lb.test").await;
        met.server.as_ref().unwrap();
        assert_eq!(met.client.unwrap().alpn(), agreed, "{spoken:?}");
    }
    let met = meet(&acceptor, &speak(&["smtp"]), "lb.test").await;
    assert_eq!(met.failure(), Failure::Protocol);
    let counted: Vec<_> = store.failures().iter().filter(|(_, count)| *count > 0).collect();
    assert_eq!(counted, [("protocol", 1)]);
}

/// What becomes of a client without a certificate, with one of a stranger and with one of ours.
#[tokio::test]
async fn client_authentication_in_five_modes() {
    let (ours, strangers) = (Authority::new(), Authority::new());
    let outcomes: &[(ClientAuth, [Result<usize, Failure>; 3])] = &[
        (ClientAuth::None, [Ok(0), Ok(0), Ok(0)]),
        (ClientAuth::Request, [Ok(0), Ok(1), Ok(1)]),
        (ClientAuth::RequireAny, [Err(Failure::NoClientCertificate), Ok(1), Ok(1)]),
        (ClientAuth::VerifyIfGiven, [Ok(0), Err(Failure::ClientCertificate), Ok(1)]),
        (
            ClientAuth::RequireAndVerify,
            [Err(Failure::NoClientCertificate), Err(Failure::ClientCertificate), Ok(1)],
        ),
    ];
    for versions in [rustls::ALL_VERSIONS, &[&rustls::version::TLS12]] {
        let clients = [None, Some(&strangers), Some(&ours)].map(|authority| {
            let own = authority.map(|authority| authority.sign(&["client.test"]));
            let mut config = client_with(ours.roots(), versions, own);
            config.resumption = Resumption::disabled();
            // Whom the server trusts doesn't keep this client from showing what it has.
            Arc::new(config)
        });
        for (mode, expected) in outcomes {
            let client_cas = match mode {
                ClientAuth::VerifyIfGiven | ClientAuth::RequireAndVerify => vec![ours.pem()],
                _ => Vec::new(),
            };
            let (_store, acceptor) =
                with_options(&ours, TlsOptions { client_auth: *mode, client_cas, ..options() });
            for (client, expected) in clients.iter().zip(expected) {
                let met = meet(&acceptor, client, "lb.test").await;
                let found = met.server.map(|session| session.client_chain.len());
                assert_eq!(&found, expected, "{mode:?} with {versions:?}");
            }
        }
    }
}

#[tokio::test]
async fn verification_without_authorities_lets_nobody_in() {
    let authority = Authority::new();
    let (store, acceptor) = with_options(
        &authority,
        TlsOptions { client_auth: ClientAuth::RequireAndVerify, ..options() },
    );
    let met = meet(&acceptor, &Arc::new(client(authority.roots())), "lb.test").await;
    assert_eq!(met.failure(), Failure::NoCertificate);
    assert!(
        store.problems().iter().any(|problem| problem
            == "tls.options.x@file: clientAuth.clientAuthType needs clientAuth.caFiles"),
        "{:?}",
        store.problems()
    );
}

#[tokio::test]
async fn strict_names_need_a_certificate() {
    let authority = Authority::new();
    let trusting = Arc::new(client(authority.roots()));
    let (_store, strict) = with_options(&authority, TlsOptions { sni_strict: true, ..options() });
    assert!(meet(&strict, &trusting, "lb.test").await.server.is_ok());
    assert_eq!(meet(&strict, &trusting, "b.test").await.failure(), Failure::NoCertificate);
    assert_eq!(meet(&strict, &trusting, "127.0.0.1").await.failure(), Failure::NoCertificate);

    let (_store, lenient) = with_options(&authority, options());
    let met = meet(&lenient, &trusting, "b.test").await;
    assert_eq!(met.failure(), Failure::Refused, "the default certificate is nobody's");
}

#[tokio::test]
async fn sessions_are_resumed_unless_that_is_off() {
    let authority = Authority::new();
    for version in rustls::ALL_VERSIONS {
        for (disable_tickets, second) in
            [(false, rustls::HandshakeKind::Resumed), (true, rustls::HandshakeKind::Full)]
        {
            let config = Arc::new(client_with(authority.roots(), &[version], None));
            let (_store, acceptor) =
                with_options(&authority, TlsOptions { disable_tickets, ..options() });
            let mut kinds = Vec::new();
            for _ in 0..2 {
                let met = meet(&acceptor, &config, "lb.test").await;
                met.server.unwrap();
                kinds.push(met.client.unwrap().tls().unwrap().handshake_kind().unwrap());
            }
            assert_eq!(kinds, [rustls::HandshakeKind::Full, second], "{version:?}");
        }
    }
}

/// Else a session from before a change would pass by the client's certificate.
#[tokio::test]
async fn sessions_of_other_options_are_not_resumed() {
    let authority = Authority::new();
    let config = Arc::new(client_with(authority.roots(), rustls::ALL_VERSIONS, None));
    let certificate = authority.certificate(&["lb.test"]);
    let store = super::store(TlsConfig {
        certificates: vec![certificate.clone()],
        options: BTreeMap::from([("x".to_owned(), options())]),
        ..TlsConfig::default()
    });
    let acceptor = store.acceptor(Some("x"), "file").unwrap();
    meet(&acceptor, &config, "lb.test").await.server.unwrap();
    let asking = TlsOptions { client_auth: ClientAuth::RequireAny, ..options() };
    store.apply(&super::of_file(TlsConfig {
        certificates: vec![certificate],
        options: BTreeMap::from([("x".to_owned(), asking)]),
        ..TlsConfig::default()
    }));
    let met = meet(&acceptor, &config, "lb.test").await;
    assert_eq!(met.failure(), Failure::NoClientCertificate);
}

#[tokio::test]
async fn a_client_that_trusts_nobody_says_so() {
    let authority = Authority::new();
    let (_store, acceptor) = with_options(&authority, options());
    let met = meet(&acceptor, &Arc::new(client(RootCertStore::empty())), "lb.test").await;
    assert_eq!(met.failure(), Failure::Refused);
}
