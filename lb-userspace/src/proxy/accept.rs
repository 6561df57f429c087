//! A connection that was just accepted: whom it is for is decided by its first bytes.

use std::{net::SocketAddr, rc::Rc, sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::net::TcpStream;

use super::{
    Client, TlsSession, http1, http2,
    io::{Plain, Stream},
    observe,
    table::{Entry, EntryTable},
    tls::hello::{self, Peeked},
    worker::Worker,
};

/// Longest wait for a ClientHello and the handshake behind it.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Serves a connection of `entry` until it ends.
pub(crate) async fn connection(
    tcp: TcpStream,
    peer: SocketAddr,
    entry: Arc<Entry>,
    worker: Rc<Worker>,
) {
    let Ok(local) = tcp.local_addr() else { return };
    let _best_effort = tcp.set_nodelay(true);
    let table = entry.table.load_full();
    let client = Client {
        peer,
        local,
        entry_point: Arc::clone(&entry.name),
        is_trusted: table.options.forwarded.trusts(peer.ip()),
        tls: None,
    };
    if table.tls.is_none() {
        drop(table);
        return http1::serve(Stream::from(tcp), Arc::new(client), entry, worker).await;
    }
    let Ok(peeked) = tokio::time::timeout(HANDSHAKE, peek(&tcp)).await else {
        return observe::refused(&entry, "hello_timeout");
    };
    let Some((seen, peeked)) = peeked else { return };
    let plain = Plain::with_prefix(tcp, seen);
    match peeked {
        Peeked::Hello(hello) => {
            secure(plain, hello.server_name.as_deref(), &table, client, entry, worker).await;
        }
        Peeked::Malformed(_) => observe::refused(&entry, "bad_hello"),
        _ => http1::serve(Stream::Plain(plain), Arc::new(client), entry, worker).await,
    }
}

async fn secure(
    plain: Plain,
    server_name: Option<&str>,
    table: &EntryTable,
    client: Client,
    entry: Arc<Entry>,
    worker: Rc<Worker>,
) {
    let Some(hosts) = &table.tls else { return };
    match hosts.of(server_name).accept(plain, HANDSHAKE).await {
        Ok((stream, session)) => http(stream, Some(session), client, entry, worker).await,
        Err(failure) => observe::refused(&entry, failure.label()),
    }
}

/// Speaks the protocol that ALPN agreed on.
pub(crate) async fn http(
    stream: Stream,
    session: Option<TlsSession>,
    client: Client,
    entry: Arc<Entry>,
    worker: Rc<Worker>,
) {
    let client = Arc::new(Client { tls: session.map(Arc::new), ..client });
    match stream.alpn() {
        Some(b"h2") => http2::serve(stream, client, entry, worker).await,
        _ => http1::serve(stream, client, entry, worker).await,
    }
}

/// Reads until the first bytes tell what they are. `None`: the client is gone.
async fn peek(tcp: &TcpStream) -> Option<(Bytes, Peeked)> {
    let mut seen = Vec::with_capacity(2048);
    loop {
        tcp.readable().await.ok()?;
        match tcp.try_read_buf(&mut seen) {
            Ok(0) => return None,
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => continue,
            Err(_) => return None,
        }
        match hello::peek(&seen) {
            Peeked::More => {}
            peeked => return Some((seen.into(), peeked)),
        }
    }
}
