//! `mode: http` with `scheme: https`.

use std::{net::SocketAddr, sync::Arc};

use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
};
use tokio::{io::AsyncWriteExt, net::TcpListener};
use tokio_rustls::TlsAcceptor;

use super::{answer, check_with, head, http::asking};
use crate::{
    health::{probe::Host, tls::Tls},
    model::CheckKind,
};

/// A TLS server with a certificate for `names`; tells the SNI of each connection in `X-Sni`.
async fn tls_server(names: &[&str]) -> (SocketAddr, CertificateDer<'static>) {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    let certificate = made.cert.der().clone();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let sni = stream.get_ref().1.server_name().unwrap_or("none").to_owned();
            let asked = head(&mut stream).await;
            assert!(asked.starts_with("GET / HTTP/1.1"), "{asked}");
            let status = if sni == "none" { "201 Created" } else { "202 Accepted" };
            let _ = stream.write_all(&answer(status, "", "")).await;
            let _ = stream.shutdown().await;
        }
    });
    (address, certificate)
}

fn trusting(certificate: CertificateDer<'static>) -> Host {
    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    Host { ports: Default::default(), tls: Tls::trusting(roots) }
}

#[tokio::test]
async fn a_trusted_certificate_passes_and_sni_is_the_hostname() {
    let (address, certificate) = tls_server(&["www.example"]).await;
    let kind = asking!(tls: Some(true), hostname: Some("www.example".into()));
    let result = check_with(&kind, "127.0.0.1", address, &trusting(certificate)).await;
    assert_eq!(result.unwrap(), "202 Accepted");
}

#[tokio::test]
async fn without_a_hostname_the_servers_name_is_asked_for() {
    let (address, certificate) = tls_server(&["db.example"]).await;
    let kind = asking!(tls: Some(true));
    let result = check_with(&kind, "db.example", address, &trusting(certificate)).await;
    assert_eq!(result.unwrap(), "202 Accepted");
}

#[tokio::test]
async fn an_address_is_checked_against_the_certificate_without_sni() {
    let (address, certificate) = tls_server(&["127.0.0.1"]).await;
    let kind = asking!(tls: Some(true));
    let result = check_with(&kind, "127.0.0.1", address, &trusting(certificate)).await;
    assert_eq!(result.unwrap(), "201 Created");
}

#[tokio::test]
async fn a_certificate_for_another_name_fails() {
    let (address, certificate) = tls_server(&["other.example"]).await;
    let kind = asking!(tls: Some(true), hostname: Some("www.example".into()));
    let result = check_with(&kind, "127.0.0.1", address, &trusting(certificate)).await;
    let error = result.unwrap_err();
    assert!(
        error.starts_with("TLS: invalid peer certificate: certificate not valid for name"),
        "{error}"
    );
}

#[tokio::test]
async fn an_unknown_authority_fails() {
    let (address, _) = tls_server(&["www.example"]).await;
    let (_, another) = tls_server(&["www.example"]).await;
    let kind = asking!(tls: Some(true), hostname: Some("www.example".into()));
    let error = check_with(&kind, "127.0.0.1", address, &trusting(another)).await.unwrap_err();
    assert!(error.starts_with("TLS: invalid peer certificate"), "{error}");
}

#[tokio::test]
async fn this_hosts_authorities_do_not_trust_a_self_made_certificate() {
    let (address, _) = tls_server(&["www.example"]).await;
    let kind = asking!(tls: Some(true), hostname: Some("www.example".into()));
    let here = Host { ports: Default::default(), tls: Tls::default() };
    let error = check_with(&kind, "127.0.0.1", address, &here).await.unwrap_err();
    assert!(error.starts_with("TLS: invalid peer certificate"), "{error}");
}

#[tokio::test]
async fn a_server_that_answers_tls_in_plain_text_fails() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(&answer("400 Bad Request", "", "plain HTTP here")).await.unwrap();
        head(&mut stream).await;
    });
    let (_, certificate) = tls_server(&["www.example"]).await;
    let kind = asking!(tls: Some(true), hostname: Some("www.example".into()));
    let error = check_with(&kind, "127.0.0.1", address, &trusting(certificate)).await.unwrap_err();
    assert!(error.starts_with("TLS: received corrupt message"), "{error}");
}
