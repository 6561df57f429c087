//! A connection that was just accepted, and whom it is for.

use std::{net::SocketAddr, rc::Rc, sync::Arc, time::Duration};

use tokio::net::TcpStream;

use super::{
    Client, TlsSession, http1, http2,
    io::{Plain, Stream},
    observe,
    proxy_protocol::{self, Ends},
    relay::Tools,
    table::{Entry, EntryTable},
    tcp::{self, Arrival},
    worker::Worker,
};

/// What no connection lives to see.
const FOR_EVER: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Serves a connection of `entry` until it ends.
///
/// What comes before HTTP/1.1 or in its place is in boxes: an idle connection keeps the memory of
/// the largest of what stands here side by side.
pub(crate) async fn connection(
    socket: TcpStream,
    peer: SocketAddr,
    entry: Arc<Entry>,
    worker: Rc<Worker>,
) {
    let Ok(local) = socket.local_addr() else { return };
    let _best_effort = socket.set_nodelay(true);
    let table = entry.table.load_full();
    let limit = match table.options.timeouts.head {
        Duration::ZERO => FOR_EVER,
        limit => limit,
    };
    let mut ends = Ends { source: peer, destination: local };
    let tells = table.options.proxy_protocol.as_ref().is_some_and(|from| from.trusts(peer.ip()));
    let plain = match tells {
        false => Plain::from(socket),
        true => match Box::pin(proxy_protocol::accept(socket, limit)).await {
            Ok((plain, told)) => {
                ends = told.unwrap_or(ends);
                plain
            }
            Err(_) => return observe::refused(&entry, "proxy_header"),
        },
    };
    if table.tcp.is_plain_http() {
        let client = client(&entry, &table, ends, peer, None);
        drop(table);
        return http1::serve(Stream::Plain(plain), Arc::new(client), entry, worker).await;
    }
    match Box::pin(tcp::arrive(plain, ends, &table.tcp, limit)).await {
        Arrival::Http(stream, session) => {
            let client = client(&entry, &table, ends, peer, session);
            drop(table);
            http(stream, client, entry, worker).await;
        }
        Arrival::Tcp(route, connection) => {
            drop(table);
            let tools =
                Tools { buffers: &worker.buffers, pipes: &worker.pipes, cuts: &worker.cuts };
            Box::pin(tcp::serve(connection, route, tools)).await;
        }
        Arrival::Refused(refusal) => observe::refused(&entry, refusal.label()),
    }
}

/// Whose `X-Forwarded-*` are believed is decided by who is connected, not by whom a PROXY header
/// names.
fn client(
    entry: &Entry,
    table: &EntryTable,
    ends: Ends,
    peer: SocketAddr,
    session: Option<TlsSession>,
) -> Client {
    Client {
        peer: ends.source,
        address: ends.source.ip().to_canonical().to_string().into(),
        local: ends.destination,
        entry_point: Arc::clone(&entry.name),
        is_trusted: table.options.forwarded.trusts(peer.ip()),
        tls: session.map(Arc::new),
    }
}

/// Speaks the protocol that ALPN agreed on.
async fn http(stream: Stream, client: Client, entry: Arc<Entry>, worker: Rc<Worker>) {
    let client = Arc::new(client);
    match stream.alpn() {
        Some(b"h2") => Box::pin(http2::serve(stream, client, entry, worker)).await,
        _ => http1::serve(stream, client, entry, worker).await,
    }
}
