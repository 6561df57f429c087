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
    worker::{self, Counted, Worker},
};

/// What no connection lives to see.
const FOR_EVER: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Serves a connection of `entry` until it ends, on a task of its own.
///
/// An idle connection keeps the memory of all that its task may come to: where nothing comes before
/// HTTP/1.1, the task is that and nothing else.
pub(crate) fn start(
    socket: TcpStream,
    peer: SocketAddr,
    entry: Arc<Entry>,
    worker: Rc<Worker>,
    counted: Counted,
) {
    let table = entry.table.load_full();
    match socket.local_addr() {
        Ok(local) if table.tcp.is_plain_http() && !tells(&table, peer) => {
            let _best_effort = socket.set_nodelay(true);
            let ends = Ends { source: peer, destination: local };
            let client = Arc::new(client(&entry, &table, ends, peer, None));
            let stream = Stream::Plain(Plain::from(socket));
            worker::spawn(http1::serve(stream, client, entry, worker, Some(counted)));
        }
        _ => worker::spawn(async move {
            let _counted = counted;
            connection(socket, peer, entry, worker).await;
        }),
    }
}

/// Whether a PROXY protocol header comes first.
fn tells(table: &EntryTable, peer: SocketAddr) -> bool {
    table.options.proxy_protocol.as_ref().is_some_and(|from| from.trusts(peer.ip()))
}

/// Finds out what a connection is, and serves it until it ends. Whatever takes memory is in a box.
async fn connection(socket: TcpStream, peer: SocketAddr, entry: Arc<Entry>, worker: Rc<Worker>) {
    let Ok(local) = socket.local_addr() else { return };
    let _best_effort = socket.set_nodelay(true);
    let table = entry.table.load_full();
    let limit = match table.options.timeouts.head {
        Duration::ZERO => FOR_EVER,
        limit => limit,
    };
    let mut ends = Ends { source: peer, destination: local };
    let plain = match tells(&table, peer) {
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
        let stream = Stream::Plain(plain);
        return Box::pin(http1::serve(stream, Arc::new(client), entry, worker, None)).await;
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
        _ => Box::pin(http1::serve(stream, client, entry, worker, None)).await,
    }
}
