//! lb as the client: what it demands of servers, and what it shows them.

use std::{
    fs,
    sync::{Arc, Mutex},
};

use rustls::{
    ClientConfig, DigitallySignedStruct, Error, ServerConfig, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
    server::WebPkiClientVerifier,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Authority, pair, store};
use crate::{
    model::{ClientTls, Id, Pem, Protocol, TlsConfig, Transport},
    proxy::{
        Stream,
        io::Plain,
        tls::{Connector, Store},
    },
};

fn server(authority: &Authority, names: &[&str], uris: &[&str]) -> ServerConfig {
    let (cert, key) = authority.sign_with(names, uris);
    let verifier = WebPkiClientVerifier::builder_with_provider(
        Arc::new(authority.roots()),
        Arc::new(aws_lc_rs::default_provider()),
    );
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier.allow_unauthenticated().build().unwrap())
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(cert.as_bytes()).unwrap()],
            PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
        )
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config
}

fn connector(store: &Store, protocol: Protocol, tls: ClientTls) -> Arc<Connector> {
    store.connector(&Transport { tls, ..Transport::new(Id::new(protocol, "t", "file")) })
}

/// Both sides after a handshake and a byte each way.
async fn meet(
    connector: &Connector,
    config: &Arc<ServerConfig>,
    host: &str,
) -> (Result<Stream, String>, std::io::Result<Stream>) {
    let (near, far) = pair().await;
    let calling = async {
        let mut stream = connector.connect(Plain::from(near), host).await?;
        stream.read_exact(&mut [0]).await?;
        stream.write_all(b"x").await?;
        stream.flush().await?;
        Ok(stream)
    };
    let answering = async {
        let mut stream = Stream::accept(Plain::from(far), Arc::clone(config)).await?;
        stream.write_all(b"x").await?;
        stream.flush().await?;
        stream.read_exact(&mut [0]).await?;
        Ok(stream)
    };
    let (near, far) = tokio::join!(calling, answering);
    (near.map_err(|error: std::io::Error| error.to_string()), far)
}

#[tokio::test]
async fn the_name_and_the_authority_are_checked() {
    let (ours, strangers) = (Authority::new(), Authority::new());
    let store = Store::default();
    let config = Arc::new(server(&ours, &["s.test", "127.0.0.1"], &[]));
    let trusting = ClientTls { root_cas: vec![ours.pem()], ..ClientTls::default() };
    let named = ClientTls { server_name: Some("s.test".to_owned()), ..trusting.clone() };
    let skipping = ClientTls { skip_verify: true, ..ClientTls::default() };
    let other = ClientTls { root_cas: vec![strangers.pem()], ..ClientTls::default() };
    let untrusted = Some("its certificate is from an authority that isn't trusted");
    let table = [
        (&trusting, "s.test", None),
        (&trusting, "127.0.0.1", None),
        (&trusting, "b.test", Some("invalid peer certificate: certificate not valid for name")),
        (&trusting, "b..test", Some("\"b..test\" is no host name")),
        (&named, "b.test", None),
        (&skipping, "b.test", None),
        (&other, "s.test", untrusted),
    ];
    for (tls, host, fault) in table {
        let connector = connector(&store, Protocol::Http, tls.clone());
        let (near, _) = meet(&connector, &config, host).await;
        match (near, fault) {
            (Ok(_), None) => {}
            (Err(found), Some(fault)) => assert!(found.starts_with(fault), "{found}"),
            (found, _) => panic!("{host} with {tls:?}: {found:?}"),
        }
    }
}

#[tokio::test]
async fn a_uri_is_demanded_with_the_chain() {
    let (ours, strangers) = (Authority::new(), Authority::new());
    let store = Store::default();
    let uri = "spiffe://lb.test/api";
    let demanding = |skip_verify| ClientTls {
        root_cas: vec![ours.pem()],
        peer_cert_uri: Some(uri.to_owned()),
        skip_verify,
        ..ClientTls::default()
    };
    let good = server(&ours, &["s.test"], &["spiffe://lb.test/x", uri]);
    let wrong = server(&ours, &["s.test"], &["spiffe://lb.test/other"]);
    let foreign = server(&strangers, &["s.test"], &[uri]);
    for (config, host, skip_verify, passes) in [
        (&good, "s.test", false, true),
        (&good, "b.test", true, true),
        (&good, "b.test", false, false),
        (&wrong, "s.test", false, false),
        (&wrong, "s.test", true, false),
        (&foreign, "s.test", true, false),
    ] {
        let connector = connector(&store, Protocol::Http, demanding(skip_verify));
        let (near, _) = meet(&connector, &Arc::new(config.clone()), host).await;
        assert_eq!(near.is_ok(), passes, "{host} {skip_verify}: {near:?}");
    }
}

#[tokio::test]
async fn lb_shows_its_own_certificate() {
    let authority = Authority::new();
    let (cert, key) = authority.sign(&["lb.test"]);
    let tls = ClientTls {
        root_cas: vec![authority.pem()],
        certificates: vec![(Pem::Text(cert.clone().into()), Pem::Text(key.into()))],
        ..ClientTls::default()
    };
    let connector = connector(&Store::default(), Protocol::Http, tls);
    let config = Arc::new(server(&authority, &["s.test"], &[]));
    let (_, far) = meet(&connector, &config, "s.test").await;
    let shown = far.unwrap().tls().unwrap().peer_certificates().unwrap()[0].clone().into_owned();
    assert_eq!(shown, CertificateDer::from_pem_slice(cert.as_bytes()).unwrap());
}

#[tokio::test]
async fn http_offers_its_protocols_and_tcp_none() {
    let authority = Authority::new();
    let store = Store::default();
    let config = Arc::new(server(&authority, &["s.test"], &[]));
    let tls = || ClientTls { root_cas: vec![authority.pem()], ..ClientTls::default() };
    let without_h2 = Transport {
        tls: tls(),
        disable_http2: true,
        ..Transport::new(Id::new(Protocol::Http, "t", "x"))
    };
    for (connector, agreed) in [
        (connector(&store, Protocol::Http, tls()), Some(&b"h2"[..])),
        (store.connector(&without_h2), Some(b"http/1.1")),
        (connector(&store, Protocol::Tcp, tls()), None),
    ] {
        let (near, _) = meet(&connector, &config, "s.test").await;
        assert_eq!(near.unwrap().alpn(), agreed);
    }
}

#[tokio::test]
async fn sessions_are_resumed_and_connectors_shared() {
    let authority = Authority::new();
    let store = Store::default();
    let config = Arc::new(server(&authority, &["s.test"], &[]));
    let mut kinds = Vec::new();
    let mut held = Vec::new();
    for _ in 0..2 {
        let tls = ClientTls { root_cas: vec![authority.pem()], ..ClientTls::default() };
        let connector = connector(&store, Protocol::Http, tls);
        let (near, _) = meet(&connector, &config, "s.test").await;
        kinds.push(near.unwrap().tls().unwrap().handshake_kind().unwrap());
        held.push(connector);
    }
    assert_eq!(kinds, [rustls::HandshakeKind::Full, rustls::HandshakeKind::Resumed]);
    assert!(Arc::ptr_eq(&held[0], &held[1]));
}

#[tokio::test]
async fn authorities_of_servers_are_read_again() {
    let (old, new) = (Authority::new(), Authority::new());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.pem");
    let store = store(TlsConfig::default());
    let tls = ClientTls { root_cas: vec![Pem::File(path.clone())], ..ClientTls::default() };
    let connector = connector(&store, Protocol::Http, tls);
    let config = Arc::new(server(&new, &["s.test"], &[]));
    let (near, _) = meet(&connector, &config, "s.test").await;
    assert!(near.unwrap_err().contains("there is no"));
    fs::write(&path, old.text()).unwrap();
    store.refresh();
    assert!(meet(&connector, &config, "s.test").await.0.is_err());
    fs::write(&path, new.text()).unwrap();
    store.refresh();
    assert!(meet(&connector, &config, "s.test").await.0.is_ok());
}

/// A client that trusts everybody and remembers the OCSP response.
#[derive(Clone, Debug, Default)]
pub(super) struct Stapled(Arc<Mutex<Vec<u8>>>);

impl Stapled {
    pub(super) fn config(&self) -> ClientConfig {
        ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(self.clone()))
            .with_no_client_auth()
    }

    pub(super) fn take(&self) -> Vec<u8> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

impl ServerCertVerifier for Stapled {
    fn verify_server_cert(
        &self,
        _leaf: &CertificateDer<'_>,
        _chain: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        *self.0.lock().unwrap() = ocsp.to_vec();
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
    }
}
