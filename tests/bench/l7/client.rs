//! Clients that neither wrk nor h2load is: handshakes without end, and connections that do nothing.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use lb_tests::Namespace;
use rustls::{
    ClientConfig, DigitallySignedStruct, SignatureScheme,
    client::{
        Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Handshakes under way at a time.
const AT_A_TIME: usize = 8;

/// Connects, shakes hands in full, asks once and closes, for so many seconds; how often.
pub(crate) fn handshakes(ns: &Namespace, target: SocketAddr, seconds: u64) -> Result<u64> {
    let config = Arc::new(tls()?);
    ns.run(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let until = Instant::now() + Duration::from_secs(seconds);
        runtime.block_on(async {
            let workers = (0..AT_A_TIME).map(|_| {
                let config = Arc::clone(&config);
                tokio::spawn(async move {
                    let mut count = 0u64;
                    while Instant::now() < until {
                        once(target, &config).await?;
                        count += 1;
                    }
                    Ok::<_, anyhow::Error>(count)
                })
            });
            let mut count = 0;
            for worker in workers.collect::<Vec<_>>() {
                count += worker.await??;
            }
            Ok(count)
        })
    })
}

async fn once(target: SocketAddr, config: &Arc<ClientConfig>) -> Result<()> {
    let tcp = tokio::net::TcpStream::connect(target).await?;
    tcp.set_nodelay(true)?;
    let name = ServerName::try_from("bench.test")?;
    let connector = tokio_rustls::TlsConnector::from(Arc::clone(config));
    let mut stream = connector.connect(name, tcp).await.context("shaking hands")?;
    ensure!(
        stream.get_ref().1.handshake_kind() == Some(rustls::HandshakeKind::Full),
        "a handshake that was not full"
    );
    stream
        .write_all(b"GET /small HTTP/1.1\r\nHost: bench.test\r\nConnection: close\r\n\r\n")
        .await?;
    let mut answer = Vec::with_capacity(1024);
    // Not every server ends TLS in order.
    let _end = stream.read_to_end(&mut answer).await;
    ensure!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
    Ok(())
}

/// TLS 1.3 with X25519, and no session kept: each handshake is the same, whoever the server is.
fn tls() -> Result<ClientConfig> {
    let provider = CryptoProvider {
        kx_groups: vec![aws_lc_rs::kx_group::X25519],
        ..aws_lc_rs::default_provider()
    };
    let algorithms = provider.signature_verification_algorithms;
    let builder = ClientConfig::builder_with_provider(Arc::new(provider));
    let mut config = builder
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody(algorithms)))
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// Believes every certificate, whose signature is verified all the same.
#[derive(Debug)]
struct Anybody(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, cert, signed, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, cert, signed, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}

/// Opens so many connections, one request on each, and calls `look` while they idle.
pub(crate) fn idle<T>(
    ns: &Namespace,
    target: SocketAddr,
    count: usize,
    look: impl FnOnce() -> Result<T>,
) -> Result<T> {
    let open = Mutex::new(Vec::with_capacity(count));
    ns.run(|| -> Result<()> {
        let mut open = open.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        for _ in 0..count {
            open.push(asked(target)?);
        }
        Ok(())
    })?;
    std::thread::sleep(Duration::from_secs(1));
    look()
}

fn asked(target: SocketAddr) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(target)?;
    stream.write_all(b"GET /small HTTP/1.1\r\nHost: bench.test\r\n\r\n")?;
    let (mut answer, mut filled) = ([0; 2048], 0);
    // Its body is 132 dots at its end.
    while !answer[..filled].ends_with(&[b'.'; 132]) {
        let read = stream.read(&mut answer[filled..])?;
        ensure!(read > 0, "closed after {}", String::from_utf8_lossy(&answer[..filled]));
        filled += read;
    }
    Ok(stream)
}
