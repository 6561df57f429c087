//! Real sockets on loopback, both sides of TLS.

use std::{
    io::{ErrorKind, IoSlice},
    sync::Arc,
};

use bytes::Bytes;
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{PrivateKeyDer, ServerName},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::LocalSet,
};

use super::{Plain, Stream};

async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (client, listener.accept().await.unwrap().0)
}

fn configs(version: &'static rustls::SupportedProtocolVersion) -> (ClientConfig, ServerConfig) {
    let made = rcgen::generate_simple_self_signed(["lb.test".to_owned()]).unwrap();
    let provider = Arc::new(aws_lc_rs::default_provider());
    let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let mut server = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[version])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let mut client = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    client.alpn_protocols = vec![b"http/1.1".to_vec()];
    (client, server)
}

/// Client and server with TLS between them.
async fn tls_pair(version: &'static rustls::SupportedProtocolVersion) -> (Stream, Stream) {
    let (client, server) = configs(version);
    let (near, far) = pair().await;
    let name = ServerName::try_from("lb.test").unwrap();
    let (near, far) = tokio::join!(
        Stream::connect(Plain::from(near), Arc::new(client), name),
        Stream::accept(Plain::from(far), Arc::new(server)),
    );
    (near.unwrap(), far.unwrap())
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 31 + at / 251) as u8).collect()
}

/// Sends `sent` from one side while the other reads to the end.
async fn carry(mut from: Stream, mut to: Stream, sent: Vec<u8>) -> Vec<u8> {
    let local = LocalSet::new();
    let sending = local.spawn_local(async move {
        from.write_all(&sent).await.unwrap();
        from.shutdown().await.unwrap();
        from
    });
    let mut got = Vec::new();
    local.run_until(to.read_to_end(&mut got)).await.unwrap();
    local.run_until(sending).await.unwrap();
    got
}

#[tokio::test]
async fn megabytes_arrive_as_sent() {
    let sent = pattern(3_000_001);
    let (near, far) = pair().await;
    assert!(carry(near.into(), far.into(), sent.clone()).await == sent, "in the clear");
    for version in rustls::ALL_VERSIONS {
        let (near, far) = tls_pair(version).await;
        assert!(carry(near, far, sent.clone()).await == sent, "up by {version:?}");
        let (near, far) = tls_pair(version).await;
        assert!(carry(far, near, sent.clone()).await == sent, "down by {version:?}");
    }
}

#[tokio::test]
async fn what_was_read_ahead_comes_first() {
    let (mut near, far) = pair().await;
    near.write_all(b" world").await.unwrap();
    let mut stream = Stream::with_prefix(far, Bytes::from_static(b"hello"));
    assert!(stream.tcp().is_none() && stream.has_buffered());
    stream.readable().await.unwrap();
    let mut got = [0; 3];
    assert_eq!(stream.try_read(&mut got).unwrap(), 3);
    assert_eq!(&got, b"hel");
    assert_eq!(stream.try_read(&mut got).unwrap(), 2);
    assert!(stream.tcp().is_some() && !stream.has_buffered());
    let mut rest = [0; 6];
    stream.read_exact(&mut rest).await.unwrap();
    assert_eq!(&rest, b" world");
}

#[tokio::test]
async fn a_client_hello_read_ahead_is_shaken_hands_with() {
    let (client, server) = configs(&rustls::version::TLS13);
    let (near, mut far) = pair().await;
    let name = ServerName::try_from("lb.test").unwrap();
    let accepting = async {
        let mut ahead = [0; 100];
        far.read_exact(&mut ahead).await.unwrap();
        let plain = Plain::with_prefix(far, Bytes::copy_from_slice(&ahead));
        Stream::accept(plain, Arc::new(server)).await
    };
    let (near, far) =
        tokio::join!(Stream::connect(Plain::from(near), Arc::new(client), name), accepting);
    assert_eq!(near.unwrap().alpn(), Some(&b"http/1.1"[..]));
    assert!(far.unwrap().tls().is_some());
}

#[tokio::test]
async fn nothing_there_is_no_error() {
    let mut buf = [0; 16];
    let (near, far) = pair().await;
    let mut far = Stream::from(far);
    assert_eq!(far.try_read(&mut buf).unwrap_err().kind(), ErrorKind::WouldBlock);
    drop(near);
    far.readable().await.unwrap();
    assert_eq!(far.try_read(&mut buf).unwrap(), 0);

    let (mut near, mut far) = tls_pair(&rustls::version::TLS13).await;
    assert_eq!(far.try_read(&mut buf).unwrap_err().kind(), ErrorKind::WouldBlock);
    near.write_all(b"ping").await.unwrap();
    near.flush().await.unwrap();
    let count = loop {
        far.readable().await.unwrap();
        match far.try_read(&mut buf[..3]) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            done => break done.unwrap(),
        }
    };
    assert_eq!(&buf[..count], b"pin");
    assert!(far.has_buffered(), "the fourth byte is decrypted already");
    far.readable().await.unwrap();
    assert_eq!(far.try_read(&mut buf).unwrap(), 1);
}

#[tokio::test]
async fn several_slices_are_one_message() {
    for version in rustls::ALL_VERSIONS {
        let (mut near, mut far) = tls_pair(version).await;
        let slices = [IoSlice::new(b"head "), IoSlice::new(b""), IoSlice::new(b"and body")];
        assert_eq!(near.write_vectored(&slices).await.unwrap(), 13);
        near.flush().await.unwrap();
        let mut got = [0; 13];
        far.read_exact(&mut got).await.unwrap();
        assert_eq!(&got, b"head and body");
    }
}

#[tokio::test]
async fn an_end_without_close_notify_is_told_from_a_true_one() {
    let (mut near, mut far) = tls_pair(&rustls::version::TLS13).await;
    near.shutdown().await.unwrap();
    assert_eq!(far.read(&mut [0; 8]).await.unwrap(), 0);

    let (near, mut far) = tls_pair(&rustls::version::TLS13).await;
    drop(near);
    assert_eq!(far.read(&mut [0; 8]).await.unwrap_err().kind(), ErrorKind::UnexpectedEof);
}

#[tokio::test]
async fn a_failed_handshake_names_its_reason_on_both_sides() {
    let (_, server) = configs(&rustls::version::TLS13);
    let (other, _) = configs(&rustls::version::TLS13);
    let (near, far) = pair().await;
    let name = ServerName::try_from("lb.test").unwrap();
    let (near, far) =
        tokio::join!(Stream::connect(Plain::from(near), Arc::new(other), name), async {
            let mut far = Stream::accept(Plain::from(far), Arc::new(server)).await?;
            far.read(&mut [0; 8]).await
        },);
    let reason =
        |error: std::io::Error| *error.into_inner().unwrap().downcast::<rustls::Error>().unwrap();
    let near = reason(near.unwrap_err());
    assert!(matches!(near, rustls::Error::InvalidCertificate(_)), "{near:?}");
    let far = reason(far.unwrap_err());
    assert!(matches!(far, rustls::Error::AlertReceived(_)), "{far:?}");
}
