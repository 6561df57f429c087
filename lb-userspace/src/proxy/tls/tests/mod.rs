//! Real handshakes over loopback, with certificates made here.

mod client;
mod hello;
mod options;
mod store;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SanType};
use rustls::{
    ClientConfig, ProtocolVersion, RootCertStore,
    client::Resumption,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::{Acceptor, Failure, Store};
use crate::{
    model::{Certificate, Pem, TlsConfig, TlsOptions},
    proxy::{Stream, TlsSession, io::Plain},
};

/// Patience, never a measure.
const LONG: Duration = Duration::from_secs(30);

static AUTHORITIES: AtomicU32 = AtomicU32::new(0);

/// A certificate authority.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        // Authorities of one name are taken for the same.
        let number = AUTHORITIES.fetch_add(1, Relaxed);
        params.distinguished_name.push(DnType::CommonName, format!("authority {number}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn pem(&self) -> Pem {
        Pem::Text(self.text().into())
    }

    fn text(&self) -> String {
        pem("CERTIFICATE", self.0.der())
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        roots
    }

    /// Chain and key as PEM.
    fn sign(&self, names: &[&str]) -> (String, String) {
        self.sign_with(names, &[])
    }

    fn sign_with(&self, names: &[&str], uris: &[&str]) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params =
            CertificateParams::new(names.iter().map(|n| n.to_string()).collect::<Vec<_>>())
                .unwrap();
        let uris = uris.iter().map(|uri| SanType::URI((*uri).try_into().unwrap()));
        params.subject_alt_names.extend(uris);
        let signed = params.signed_by(&key, &self.0).unwrap();
        (pem("CERTIFICATE", signed.der()), pem("PRIVATE KEY", &key.serialize_der()))
    }

    fn certificate(&self, names: &[&str]) -> Certificate {
        let (cert, key) = self.sign(names);
        Certificate { cert: Pem::Text(cert.into()), key: Pem::Text(key.into()), ocsp: None }
    }
}

/// RFC 7468, in one long line.
pub(in crate::proxy) fn pem(label: &str, der: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for part in der.chunks(3) {
        let bits = part.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte));
        let bits = bits << (8 * (3 - part.len()));
        for place in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * place)) as usize & 63];
            text.push(if place <= part.len() { char::from(digit) } else { '=' });
        }
    }
    format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n")
}

fn of_file(tls: TlsConfig) -> BTreeMap<String, Arc<TlsConfig>> {
    BTreeMap::from([("file".to_owned(), Arc::new(tls))])
}

/// A store that serves `tls`.
fn store(tls: TlsConfig) -> Store {
    let store = Store::default();
    store.apply(&of_file(tls));
    store
}

/// The acceptor of one certificate for lb.test under options `x`.
fn with_options(authority: &Authority, options: TlsOptions) -> (Store, Arc<Acceptor>) {
    let store = store(TlsConfig {
        certificates: vec![authority.certificate(&["lb.test"])],
        options: BTreeMap::from([("x".to_owned(), options)]),
        ..TlsConfig::default()
    });
    let acceptor = store.acceptor(Some("x"), "file").unwrap();
    (store, acceptor)
}

async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (client, listener.accept().await.unwrap().0)
}

/// A client that trusts this authority, and never resumes a session.
fn client(roots: RootCertStore) -> ClientConfig {
    let mut config = client_with(roots, rustls::ALL_VERSIONS, None);
    config.resumption = Resumption::disabled();
    config
}

fn client_with(
    roots: RootCertStore,
    versions: &[&'static rustls::SupportedProtocolVersion],
    own: Option<(String, String)>,
) -> ClientConfig {
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots);
    match own {
        None => builder.with_no_client_auth(),
        Some((cert, key)) => builder
            .with_client_auth_cert(
                vec![CertificateDer::from_pem_slice(cert.as_bytes()).unwrap()],
                PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
            )
            .unwrap(),
    }
}

/// What both sides got of a handshake and four bytes each way.
struct Met {
    client: std::io::Result<Stream>,
    server: Result<TlsSession, Failure>,
}

impl Met {
    fn leaf(&self) -> CertificateDer<'static> {
        let stream = self.client.as_ref().expect("the client's handshake");
        stream.tls().unwrap().peer_certificates().unwrap()[0].clone().into_owned()
    }

    fn version(&self) -> Option<ProtocolVersion> {
        self.client.as_ref().unwrap().tls().unwrap().protocol_version()
    }

    /// Both sides failed; why, as the server has it.
    fn failure(self) -> Failure {
        assert!(self.client.is_err(), "the client is content");
        self.server.expect_err("the server is content")
    }
}

/// Has a client call `name`.
async fn meet(acceptor: &Acceptor, config: &Arc<ClientConfig>, name: &str) -> Met {
    let (near, far) = pair().await;
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let calling = async {
        let mut stream = Stream::connect(Plain::from(near), Arc::clone(config), name).await?;
        stream.write_all(b"ping").await?;
        stream.flush().await?;
        let mut answer = [0; 4];
        stream.read_exact(&mut answer).await?;
        Ok(stream)
    };
    let answering = async {
        let (mut stream, session) = acceptor.accept(Plain::from(far), LONG).await?;
        let mut question = [0; 4];
        let talk = async {
            stream.read_exact(&mut question).await?;
            stream.write_all(b"pong").await?;
            stream.flush().await
        };
        match talk.await {
            Ok(()) => Ok(session),
            Err(error) => Err(Failure::from(&error)),
        }
    };
    let (client, server) = tokio::join!(calling, answering);
    Met { client, server }
}
