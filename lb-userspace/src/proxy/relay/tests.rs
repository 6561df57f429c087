//! Real sockets, both sides; TLS on neither, one or both.

use std::{
    cell::{Cell, RefCell},
    sync::Arc,
};

use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
};

use super::*;
use crate::proxy::io::Plain;

const LONG: Duration = Duration::from_secs(60);

#[derive(Default)]
struct Counted(Cell<(u64, u64)>);

impl Meter for Counted {
    fn passed(&self, from_client: u64, to_client: u64) {
        let (up, down) = self.0.get();
        self.0.set((up + from_client, down + to_client));
    }
}

async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (near, listener.accept().await.unwrap().0)
}

/// Two ends with TLS between them, or without.
async fn ends(is_tls: bool) -> (Stream, Stream) {
    let (near, far) = pair().await;
    if !is_tls {
        return (near.into(), far.into());
    }
    let made = rcgen::generate_simple_self_signed(["lb.test".to_owned()]).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let key = rustls::pki_types::PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let server = rustls::ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let client = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let (near, far) = tokio::join!(
        Stream::connect(Plain::from(near), Arc::new(client), "lb.test".try_into().unwrap()),
        Stream::accept(Plain::from(far), Arc::new(server)),
    );
    (near.unwrap(), far.unwrap())
}

/// A client, a server, and the relay between them.
struct Setting {
    client: Stream,
    server: Stream,
    inner: RefCell<Option<(Stream, Stream)>>,
    buffers: Buffers,
    pipes: Pipes,
    cuts: Cuts,
    counted: Counted,
}

impl Setting {
    async fn new(client_tls: bool, server_tls: bool) -> Self {
        let (client, near) = ends(client_tls).await;
        let (far, server) = ends(server_tls).await;
        Self {
            client,
            server,
            inner: RefCell::new(Some((near, far))),
            buffers: Buffers::default(),
            pipes: Pipes::default(),
            cuts: Cuts::default(),
            counted: Counted::default(),
        }
    }
}

macro_rules! relayed {
    ($setting:ident, $delay:expr) => {{
        let (mut near, mut far) = $setting.inner.take().expect("once");
        let tools =
            Tools { buffers: &$setting.buffers, pipes: &$setting.pipes, cuts: &$setting.cuts };
        let counted = &$setting.counted;
        async move { relay(&mut near, &mut far, $delay, tools, None, counted).await }
    }};
}

fn pattern(len: usize, seed: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 31 + at / 251 + seed) as u8).collect()
}

async fn send(stream: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) {
    stream.write_all(bytes).await.unwrap();
    stream.shutdown().await.unwrap();
}

async fn receive(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> Vec<u8> {
    let mut got = Vec::new();
    stream.read_to_end(&mut got).await.unwrap();
    got
}

#[tokio::test]
async fn megabytes_arrive_as_sent_both_ways_at_once() {
    for (client_tls, server_tls) in [(false, false), (true, false), (false, true), (true, true)] {
        let setting = Setting::new(client_tls, server_tls).await;
        let (up, down) = (pattern(5_000_003, 1), pattern(7_000_001, 2));
        let relaying = relayed!(setting, LONG);
        let (mut client_in, mut client_out) = tokio::io::split(setting.client);
        let (mut server_in, mut server_out) = tokio::io::split(setting.server);
        let (ended, got_up, got_down, (), ()) = tokio::join!(
            relaying,
            receive(&mut server_in),
            receive(&mut client_in),
            send(&mut client_out, &up),
            send(&mut server_out, &down),
        );
        ended.unwrap();
        assert!(got_up == up && got_down == down, "TLS {client_tls} {server_tls}");
        assert_eq!(setting.counted.0.get(), (5_000_003, 7_000_001));
    }
}

#[tokio::test]
async fn questions_and_answers_of_every_size() {
    for is_tls in [false, true] {
        let setting = Setting::new(is_tls, false).await;
        let relaying = relayed!(setting, LONG);
        let (mut client, mut server) = (setting.client, setting.server);
        let talking = async move {
            // Small, larger than a buffer, larger than a pipe, and small again.
            for len in [1, 100, SMALL - 1, SMALL, SMALL + 1, 70_000, 600_000, 5, 70_000, 1] {
                let question = pattern(len, len);
                let mut got = vec![0; len];
                let (sent, read) = tokio::join!(
                    async { client.write_all(&question).await.and(client.flush().await) },
                    server.read_exact(&mut got),
                );
                sent.unwrap();
                read.unwrap();
                assert!(got == question, "{len} up");
                let (sent, read) =
                    tokio::join!(server.write_all(&question), client.read_exact(&mut got),);
                sent.unwrap();
                read.unwrap();
                assert!(got == question, "{len} down");
            }
        };
        let (ended, ()) = tokio::join!(relaying, talking);
        ended.unwrap();
    }
}

#[tokio::test]
async fn what_was_read_ahead_goes_first() {
    let (client, near) = pair().await;
    let (far, server) = pair().await;
    let mut near = Stream::with_prefix(near, b"hello, "[..].into());
    let mut far = Stream::from(far);
    let (buffers, pipes, cuts, counted) = Default::default();
    let tools = Tools { buffers: &buffers, pipes: &pipes, cuts: &cuts };
    let (mut client, mut server) = (client, server);
    let talking = async {
        client.write_all(b"world").await.unwrap();
        client.shutdown().await.unwrap();
        assert_eq!(receive(&mut server).await, b"hello, world");
        server.shutdown().await.unwrap();
    };
    let counted: &Counted = &counted;
    let (ended, ()) = tokio::join!(relay(&mut near, &mut far, LONG, tools, None, counted), talking);
    ended.unwrap();
}

#[tokio::test]
async fn half_a_connection_lives_on_while_it_moves() {
    let setting = Setting::new(false, false).await;
    let relaying = relayed!(setting, Duration::from_millis(400));
    let (mut client, mut server) = (setting.client, setting.server);
    let talking = async {
        client.write_all(b"all I ask").await.unwrap();
        client.shutdown().await.unwrap();
        assert_eq!(receive(&mut server).await, b"all I ask");
        for _ in 0..5 {
            // Altogether longer than the delay, each time shorter.
            tokio::time::sleep(Duration::from_millis(150)).await;
            server.write_all(b"x").await.unwrap();
        }
        server.shutdown().await.unwrap();
        assert_eq!(receive(&mut client).await, b"xxxxx");
    };
    let (ended, ()) = tokio::join!(relaying, talking);
    ended.unwrap();
}

#[tokio::test]
async fn half_a_connection_that_is_silent_is_ended() {
    let setting = Setting::new(false, false).await;
    let relaying = relayed!(setting, Duration::from_millis(100));
    let (mut client, mut server) = (setting.client, setting.server);
    let talking = async {
        server.write_all(b"bye").await.unwrap();
        server.shutdown().await.unwrap();
        assert_eq!(receive(&mut client).await, b"bye");
        // The client stays silent; the server hears of the end all the same.
        assert_eq!(receive(&mut server).await, b"");
    };
    let (ended, ()) = tokio::time::timeout(LONG, async { tokio::join!(relaying, talking) })
        .await
        .expect("it doesn't wait for the client");
    ended.unwrap();
}

#[tokio::test]
async fn a_reset_reaches_the_other_side() {
    for (from_client, bytes) in [(true, 0), (false, 0), (true, 100_000), (false, 100_000)] {
        let setting = Setting::new(false, false).await;
        let relaying = relayed!(setting, LONG);
        let (mut breaking, mut other) = match from_client {
            true => (setting.client, setting.server),
            false => (setting.server, setting.client),
        };
        let talking = async move {
            let mut got = vec![0; bytes];
            let (sent, read) =
                tokio::join!(async { breaking.write_all(&pattern(bytes, 0)).await }, async {
                    other.read_exact(&mut got).await
                });
            sent.unwrap();
            read.unwrap();
            breaking.reset_on_drop();
            drop(breaking);
            other.read_u8().await.unwrap_err().kind()
        };
        let (ended, heard) = tokio::join!(relaying, talking);
        assert_eq!(heard, io::ErrorKind::ConnectionReset);
        match ended.unwrap_err() {
            Broken::Client(_) => assert!(from_client),
            Broken::Server(_) => assert!(!from_client),
        }
    }
}

#[tokio::test]
async fn a_receiver_that_waits_holds_the_sender_up() {
    for is_tls in [false, true] {
        let setting = Setting::new(is_tls, false).await;
        let relaying = relayed!(setting, LONG);
        let (mut client, mut server) = (setting.client, setting.server);
        let sent = vec![7; 64 << 20];
        let took = Cell::new(0);
        let sending = async {
            while took.get() < sent.len() {
                let rest = &sent[took.get()..];
                took.set(
                    took.get() + client.write(&rest[..rest.len().min(1 << 16)]).await.unwrap(),
                );
            }
            client.shutdown().await.unwrap();
        };
        let receiving = async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            let waiting = took.get();
            assert!(waiting < sent.len() / 2, "{waiting} bytes are on their way to nobody");
            let got = receive(&mut server).await;
            server.shutdown().await.unwrap();
            got
        };
        let (ended, (), got) = tokio::join!(relaying, sending, receiving);
        ended.unwrap();
        assert!(got == sent);
    }
}
