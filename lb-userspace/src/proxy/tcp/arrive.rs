//! What a connection wants, from its first bytes. The order in which routers are asked is
//! Traefik's: HTTPS routers for the host, TCP routers for it, then those of either kind for every
//! host.

use std::{io, sync::Arc, time::Duration};

use bytes::{Buf, Bytes, BytesMut};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{Connection, Refusal, Route, Table, Tls};
use crate::{
    proxy::{
        Stream, TlsSession,
        io::Plain,
        proxy_protocol::Ends,
        tls::{
            Acceptor,
            hello::{Hello, Peeked, peek},
        },
    },
    rule,
};

/// What a client of PostgreSQL asks for TLS with, and what says yes (PostgreSQL's "SSL session
/// encryption").
pub(super) const POSTGRES: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];
pub(super) const POSTGRES_YES: u8 = b'S';

/// The alert `unrecognized_name` (RFC 6066 §3).
const UNRECOGNIZED_NAME: [u8; 7] = [21, 3, 3, 0, 2, 2, 112];
/// Raw bytes that a ClientHello may take, cut into however many records.
const MAX_RAW: usize = 64 << 10;

/// Whose a connection is.
#[derive(Debug)]
pub(crate) enum Arrival {
    /// HTTP's: the engine goes on.
    Http(Stream, Option<TlsSession>),
    /// A TCP router's.
    Tcp(Arc<Route>, Connection),
    /// Nobody's; it was counted, and is closed.
    Refused(Refusal),
}

/// Finds out. The first bytes, and a handshake, may take `limit` each.
pub(crate) async fn arrive(plain: Plain, ends: Ends, table: &Table, limit: Duration) -> Arrival {
    let arrival = match early(table, ends) {
        // The server may be the one to speak first: nothing is waited for.
        Some(route) => {
            let stream = Stream::Plain(plain);
            Arrival::Tcp(route, Connection { stream, ends, is_postgres: false })
        }
        None => sort(plain, ends, table, limit).await,
    };
    if let Arrival::Refused(refusal) = &arrival {
        table.stats.refuse(*refusal);
    }
    arrival
}

/// The router that takes every connection, where nobody at the entry point speaks TLS.
fn early(table: &Table, ends: Ends) -> Option<Arc<Route>> {
    if table.has_tls() {
        return None;
    }
    table.plain.find(&subject(ends, &Hello::default())).cloned()
}

fn subject(ends: Ends, hello: &Hello) -> rule::Connection<'_> {
    rule::Connection {
        client: ends.source.ip(),
        server_name: hello.server_name.as_deref(),
        alpn: &hello.alpn,
    }
}

async fn sort(plain: Plain, ends: Ends, table: &Table, limit: Duration) -> Arrival {
    let (tcp, ahead) = plain.into_parts();
    let mut first = First { tcp, bytes: BytesMut::from(&ahead[..]) };
    let patience = tokio::time::Instant::now() + limit;
    match tokio::time::timeout_at(patience, first.read(table)).await {
        Ok(Ok(Peeked::Hello(hello))) => table.secured(first, &hello, ends, limit, false).await,
        Ok(Ok(Peeked::Other)) if first.is_postgres() && table.has_tcp_tls() => {
            first.bytes.advance(POSTGRES.len());
            let reading = first.upgrade(table);
            match tokio::time::timeout_at(patience, reading).await {
                Ok(Ok(Peeked::Hello(hello))) => {
                    table.secured(first, &hello, ends, limit, true).await
                }
                Ok(Ok(_)) => Arrival::Refused(Refusal::Malformed),
                _ => Arrival::Refused(Refusal::Silent),
            }
        }
        Ok(Ok(Peeked::Other)) => table.in_clear(first, ends),
        Ok(Ok(_)) => Arrival::Refused(Refusal::Malformed),
        _ => Arrival::Refused(Refusal::Silent),
    }
}

/// The first bytes of a connection.
struct First {
    tcp: TcpStream,
    bytes: BytesMut,
}

impl First {
    /// Reads until it is known what they are; never [`Peeked::More`].
    async fn read(&mut self, table: &Table) -> io::Result<Peeked> {
        loop {
            let peeked = peek(&self.bytes);
            let is_postgres_yet = !self.bytes.is_empty() && POSTGRES.starts_with(&self.bytes);
            match peeked {
                Peeked::Other if is_postgres_yet && !self.is_postgres() && table.has_tcp_tls() => {}
                Peeked::More if self.bytes.len() > MAX_RAW => {
                    return Ok(Peeked::Malformed("the ClientHello is too long"));
                }
                Peeked::More => {}
                done => return Ok(done),
            }
            // No buffer is held for a connection that is silent.
            self.tcp.readable().await?;
            self.bytes.reserve(2048);
            if self.tcp.read_buf(&mut self.bytes).await? == 0 {
                return match self.bytes.is_empty() {
                    true => Err(io::ErrorKind::UnexpectedEof.into()),
                    // Half a ClientHello is none; a few bytes of something else are what they are.
                    false if self.bytes[0] == 22 => Ok(Peeked::Malformed("it ended")),
                    false => Ok(Peeked::Other),
                };
            }
        }
    }

    fn is_postgres(&self) -> bool {
        self.bytes.starts_with(&POSTGRES)
    }

    /// Grants TLS, and reads what follows.
    async fn upgrade(&mut self, table: &Table) -> io::Result<Peeked> {
        self.tcp.write_all(&[POSTGRES_YES]).await?;
        self.read(table).await
    }

    fn plain(self) -> Plain {
        // Copied to a memory of its size: a long-lived connection doesn't keep the larger one.
        Plain::with_prefix(self.tcp, Bytes::copy_from_slice(&self.bytes))
    }
}

impl Table {
    fn in_clear(&self, first: First, ends: Ends) -> Arrival {
        let route = self.plain.find(&subject(ends, &Hello::default())).cloned();
        let stream = Stream::Plain(first.plain());
        match route {
            Some(route) => Arrival::Tcp(route, Connection { stream, ends, is_postgres: false }),
            None if self.has_http => Arrival::Http(stream, None),
            None => Arrival::Refused(Refusal::NoRouter),
        }
    }

    async fn secured(
        &self,
        first: First,
        hello: &Hello,
        ends: Ends,
        limit: Duration,
        is_postgres: bool,
    ) -> Arrival {
        let name = hello.server_name.as_deref();
        let hosts = self.hosts.as_ref().filter(|_| !is_postgres);
        let of_host = hosts.and_then(|hosts| hosts.named(name));
        let route = self.secure.find(&subject(ends, hello)).cloned();
        match (of_host, route, hosts) {
            (Some(acceptor), ..) => http(first, acceptor, limit).await,
            (None, Some(route), _) if is_postgres || !route.is_catch_all || !self.https_for_all => {
                tcp(first, route, ends, limit, is_postgres).await
            }
            (None, _, Some(hosts)) => http(first, hosts.of(name), limit).await,
            (None, Some(route), None) => tcp(first, route, ends, limit, is_postgres).await,
            (None, None, None) => {
                // The client is told; whether it listens is no matter.
                let _told = first.tcp.try_write(&UNRECOGNIZED_NAME);
                Arrival::Refused(Refusal::NoRouter)
            }
        }
    }
}

async fn http(first: First, acceptor: &Arc<Acceptor>, limit: Duration) -> Arrival {
    match acceptor.accept(first.plain(), limit).await {
        Ok((stream, session)) => Arrival::Http(stream, Some(session)),
        Err(_counted) => Arrival::Refused(Refusal::Tls),
    }
}

async fn tcp(
    first: First,
    route: Arc<Route>,
    ends: Ends,
    limit: Duration,
    is_postgres: bool,
) -> Arrival {
    let plain = first.plain();
    let stream = match &route.tls {
        Tls::Terminate(acceptor) => match acceptor.accept(plain, limit).await {
            Ok((stream, _session)) => stream,
            Err(_counted) => return Arrival::Refused(Refusal::Tls),
        },
        Tls::Passthrough | Tls::None => Stream::Plain(plain),
    };
    let is_postgres = is_postgres && matches!(route.tls, Tls::Passthrough);
    Arrival::Tcp(route, Connection { stream, ends, is_postgres })
}
