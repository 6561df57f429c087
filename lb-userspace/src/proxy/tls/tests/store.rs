//! Certificates: which one a name gets, and what becomes of files that change.

use std::{collections::BTreeMap, fs, path::Path, sync::Arc, time::Duration};

use rustls::pki_types::{CertificateDer, pem::PemObject};

use super::{Authority, LONG, client, meet, of_file, store};
use crate::{
    model::{Certificate, Pem, TlsConfig, TlsOptions},
    proxy::tls::{Hosts, Store},
};

fn leaf(certificate: &Certificate) -> CertificateDer<'static> {
    match &certificate.cert {
        Pem::Text(text) => CertificateDer::from_pem_slice(text.as_bytes()).unwrap(),
        Pem::File(path) => CertificateDer::from_pem_file(path).unwrap(),
    }
}

/// Writes `cert.pem` and `key.pem` as new files, as whoever renews certificates does.
fn write(folder: &Path, (cert, key): &(String, String)) -> Certificate {
    let put = |name: &str, text: &str| {
        let (path, new) = (folder.join(name), folder.join("new"));
        fs::write(&new, text).unwrap();
        fs::rename(&new, &path).unwrap();
        Pem::File(path)
    };
    Certificate { cert: put("cert.pem", cert), key: put("key.pem", key), ocsp: None }
}

#[tokio::test]
async fn the_name_chooses_the_certificate() {
    let authority = Authority::new();
    let make = |names: &[&str]| authority.certificate(names);
    let (level, exact, both, fallback) = (
        make(&["*.a.test"]),
        make(&["b.a.test"]),
        make(&["c.test", "C.a.test"]),
        make(&["default.test", "z.test", "deep.x.a.test", "a.test"]),
    );
    let store = store(TlsConfig {
        certificates: vec![level.clone(), exact.clone(), both.clone(), make(&["c.test"])],
        default_certificate: Some(fallback.clone()),
        ..TlsConfig::default()
    });
    let acceptor = store.acceptor(None, "file").unwrap();
    let config = Arc::new(client(authority.roots()));
    for (name, expected) in [
        ("x.a.test", &level),
        ("X.A.test", &level),
        ("b.a.test", &exact),
        ("c.a.test", &both),
        ("c.test", &both),
        ("z.test", &fallback),
        ("a.test", &fallback),
        ("deep.x.a.test", &fallback),
    ] {
        let met = meet(&acceptor, &config, name).await;
        let session = met.server.as_ref().unwrap();
        assert_eq!(session.server_name, Some(name.to_ascii_lowercase()));
        assert_eq!(session.options, "default");
        assert_eq!(met.leaf(), leaf(expected), "{name}");
    }
    assert_eq!(store.problems(), [""; 0]);
}

#[tokio::test]
async fn without_a_default_certificate_lb_signs_one_and_says_why() {
    let store = Store::default();
    store.apply(&BTreeMap::new());
    let acceptor = store.acceptor(None, "file").unwrap();
    let met = meet(&acceptor, &Arc::new(client(Authority::new().roots())), "a.test").await;
    assert_eq!(met.failure().label(), "refused");
    assert_eq!(
        store.notes(),
        [
            "no default certificate is configured: names without a certificate get one that lb signed itself"
        ]
    );
}

#[tokio::test]
async fn a_file_that_changes_is_read_again_and_a_bad_one_is_not_taken() {
    let authority = Authority::new();
    let folder = tempfile::tempdir().unwrap();
    let configured = write(folder.path(), &authority.sign(&["lb.test"]));
    let store = Arc::new(store(TlsConfig {
        certificates: vec![configured.clone()],
        default_certificate: Some(authority.certificate(&["default.test"])),
        ..TlsConfig::default()
    }));
    let acceptor = store.acceptor(None, "file").unwrap();
    let config = Arc::new(client(authority.roots()));
    let first = leaf(&configured);
    assert_eq!(meet(&acceptor, &config, "lb.test").await.leaf(), first);

    let next = authority.sign(&["lb.test"]);
    fs::write(folder.path().join("cert.pem"), &next.0).unwrap();
    store.refresh();
    assert_eq!(meet(&acceptor, &config, "lb.test").await.leaf(), first, "the key isn't there yet");
    let problems = store.problems();
    assert!(problems[0].ends_with("cert.pem; the one before is kept"), "{problems:?}");
    assert!(problems[0].contains("isn't the key of"), "{problems:?}");

    write(folder.path(), &next);
    store.refresh();
    assert_eq!(store.problems(), [""; 0]);
    assert_eq!(meet(&acceptor, &config, "lb.test").await.leaf(), leaf(&configured));
    assert_ne!(leaf(&configured), first);

    fs::remove_file(folder.path().join("key.pem")).unwrap();
    store.refresh();
    assert!(store.problems()[0].contains("there is no"), "{:?}", store.problems());
    assert_eq!(meet(&acceptor, &config, "lb.test").await.leaf(), leaf(&configured));
}

#[tokio::test]
async fn watching_finds_what_changes() {
    let authority = Authority::new();
    let folder = tempfile::tempdir().unwrap();
    let configured = write(folder.path(), &authority.sign(&["lb.test"]));
    let tls = TlsConfig { certificates: vec![configured.clone()], ..TlsConfig::default() };
    let store = Store::watched();
    store.apply(&of_file(tls));
    let acceptor = store.acceptor(None, "file").unwrap();
    let config = Arc::new(client(authority.roots()));
    write(folder.path(), &authority.sign(&["lb.test"]));
    let wanted = leaf(&configured);
    let changed = async {
        while meet(&acceptor, &config, "lb.test").await.leaf() != wanted {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(LONG, changed).await.expect("the new certificate is served");
}

#[tokio::test]
async fn authorities_of_clients_are_read_again() {
    let (ours, old, new) = (Authority::new(), Authority::new(), Authority::new());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.pem");
    fs::write(&path, old.text()).unwrap();
    let options = TlsOptions {
        client_auth: crate::model::ClientAuth::RequireAndVerify,
        client_cas: vec![Pem::File(path.clone())],
        ..TlsOptions::default()
    };
    let (store, acceptor) = super::with_options(&ours, options);
    let client = |authority: &Authority| {
        let own = Some(authority.sign(&["client.test"]));
        Arc::new(super::client_with(ours.roots(), rustls::ALL_VERSIONS, own))
    };
    let (old, new) = (client(&old), (client(&new), new));
    assert!(meet(&acceptor, &old, "lb.test").await.server.is_ok());
    assert!(meet(&acceptor, &new.0, "lb.test").await.server.is_err());
    fs::write(&path, new.1.text()).unwrap();
    store.refresh();
    assert!(meet(&acceptor, &new.0, "lb.test").await.server.is_ok());
    assert!(meet(&acceptor, &old, "lb.test").await.server.is_err());
    fs::write(&path, "nothing").unwrap();
    store.refresh();
    assert!(meet(&acceptor, &new.0, "lb.test").await.server.is_ok(), "what was is kept");
    let problems = store.problems();
    assert!(
        problems.iter().any(|one| one.ends_with("ca.pem holds no certificate")),
        "{problems:?}"
    );
}

#[test]
fn an_expired_certificate_is_told_of() {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(["old.test".to_owned()]).unwrap();
    params.not_after = rcgen::date_time_ymd(2001, 2, 3);
    let cert = params.self_signed(&key).unwrap();
    let text = |label: &str, der: &[u8]| Pem::Text(super::pem(label, der).into());
    let store = store(TlsConfig {
        default_certificate: Some(Certificate {
            cert: text("CERTIFICATE", cert.der()),
            key: text("PRIVATE KEY", &key.serialize_der()),
            ocsp: None,
        }),
        ..TlsConfig::default()
    });
    assert_eq!(store.problems(), ["the TLS certificate for old.test has expired"]);
}

#[tokio::test]
async fn an_ocsp_response_is_stapled() {
    let authority = Authority::new();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ocsp.der");
    fs::write(&path, b"a response").unwrap();
    let mut certificate = authority.certificate(&["lb.test"]);
    certificate.ocsp = Some(path.clone());
    let loaded = super::super::certificate::load(&certificate).unwrap();
    assert_eq!(loaded.key.ocsp.as_deref(), Some(&b"a response"[..]));
    let store = store(TlsConfig { certificates: vec![certificate], ..TlsConfig::default() });
    let acceptor = store.acceptor(None, "file").unwrap();
    let stapled = super::client::Stapled::default();
    let config = Arc::new(stapled.config());
    meet(&acceptor, &config, "lb.test").await.server.unwrap();
    assert_eq!(stapled.take(), b"a response");
    fs::write(&path, b"the next one").unwrap();
    store.refresh();
    let config = Arc::new(stapled.config());
    meet(&acceptor, &config, "lb.test").await.server.unwrap();
    assert_eq!(stapled.take(), b"the next one");
}

#[test]
fn options_are_found_by_name_and_provider() {
    let named = |names: &[&str]| TlsConfig {
        options: names.iter().map(|name| (name.to_string(), TlsOptions::default())).collect(),
        ..TlsConfig::default()
    };
    let store = Store::default();
    let mut tls = of_file(named(&["modern", "default"]));
    tls.insert("docker".to_owned(), Arc::new(named(&["old"])));
    store.apply(&tls);
    let find = |name: Option<&str>, provider: &str| {
        store.acceptor(name, provider).map(|acceptor| acceptor.name().to_owned())
    };
    assert_eq!(find(None, "docker").unwrap(), "default");
    assert_eq!(find(Some("default"), "file").unwrap(), "default");
    assert_eq!(find(Some("modern"), "file").unwrap(), "modern@file");
    assert_eq!(find(Some("modern@file"), "docker").unwrap(), "modern@file");
    assert_eq!(find(Some("modern"), "docker").unwrap_err(), "no TLS options \"modern@docker\"");

    tls.insert("docker".to_owned(), Arc::new(named(&["default"])));
    store.apply(&tls);
    assert!(store.problems().iter().any(|problem| problem.contains("several providers")));
    tls.remove("docker");
    store.apply(&tls);
    assert!(!store.problems().iter().any(|problem| problem.contains("several providers")));
}

#[test]
fn hosts_that_routers_disagree_on_get_the_default_options() {
    let store = store(TlsConfig {
        options: ["a", "b"].map(|name| (name.to_owned(), TlsOptions::default())).into(),
        ..TlsConfig::default()
    });
    let acceptor = |name| store.acceptor(name, "file").unwrap();
    let (a, b) = (acceptor(Some("a")), acceptor(Some("b")));
    let mut hosts = Hosts::new(acceptor(None));
    hosts.put("One.test", &a).unwrap();
    hosts.put("one.test.", &a).unwrap();
    hosts.put("two.test", &a).unwrap();
    assert_eq!(
        hosts.put("two.test", &b).unwrap_err(),
        "routers for two.test ask for the TLS options a@file and b@file: the default ones hold"
    );
    hosts.put("two.test", &b).unwrap();
    let name = |host| hosts.of(host).name();
    assert_eq!(name(Some("one.test")), "a@file");
    assert_eq!(name(Some("two.test")), "default");
    assert_eq!(name(Some("three.test")), "default");
    assert_eq!(name(None), "default");
    assert!(hosts.named(Some("three.test")).is_none());

    hosts.put("*.level.test", &a).unwrap();
    hosts.put("x.level.test", &b).unwrap();
    hosts.put("**.deep.test", &b).unwrap();
    let name = |host| hosts.named(Some(host)).map(|acceptor| acceptor.name());
    assert_eq!(name("y.level.test"), Some("a@file"));
    assert_eq!(name("x.level.test"), Some("b@file"));
    assert_eq!(name("y.x.level.test"), None);
    assert_eq!(name("level.test"), None);
    assert_eq!(name("a.b.deep.test"), Some("b@file"));
    assert_eq!(name("b.deep.test"), Some("b@file"));
    assert_eq!(name("deep.test"), None);
}

#[test]
fn faults_of_certificates_are_told_without_their_text() {
    let authority = Authority::new();
    let (cert, key) = authority.sign(&["lb.test"]);
    let text = |text: &str| Pem::Text(text.into());
    let file = |name: &str| Pem::File(name.into());
    let other = authority.sign(&["lb.test"]).1;
    let table = [
        (file("/nowhere/cert.pem"), text(&key), "there is no /nowhere/cert.pem"),
        (text(&cert), file("/nowhere/key.pem"), "there is no /nowhere/key.pem"),
        (text("x"), text(&key), "the PEM text holds no certificate"),
        (text(&cert), text("x"), "the PEM text holds no private key"),
        (text(&cert), text(&cert), "the PEM text holds no private key"),
        (text(&cert), text(&other), "the PEM text isn't the key of the PEM text"),
        (
            text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
            text(&key),
            "the PEM text: no certificate: ",
        ),
    ];
    for (cert, key, fault) in table {
        let certificate = Certificate { cert, key, ocsp: None };
        let found = super::super::check(&certificate).unwrap_err();
        assert!(found.starts_with(fault), "{found}");
    }
}
