//! A connection to one of a service's servers.

use std::{
    io,
    time::{Duration, Instant},
};

use socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{
    Connection, Place, Refusal, Upstream,
    arrive::{POSTGRES, POSTGRES_YES},
};
use crate::proxy::{Stream, io::Plain, proxy_protocol};

/// Servers that are tried for one connection.
const ATTEMPTS: usize = 3;
/// A peer that is silent for so long is asked whether it is still there.
const KEEPALIVE: Duration = Duration::from_secs(15);

/// Connects to a server; to the next one where one can't be reached. With the server, and how long
/// half a connection to it lives on.
pub(super) async fn dial(
    upstream: Upstream,
    connection: &Connection,
) -> Result<(Stream, Box<dyn Place>, Duration), Refusal> {
    keep_alive(connection.stream.socket());
    let mut tried = Vec::new();
    for _ in 0..ATTEMPTS {
        let Some(place) = upstream.servers.pick(connection.ends, &tried).await else {
            break;
        };
        if tried.contains(&place.id()) {
            break;
        }
        let began = Instant::now();
        let limit = upstream.transport.dial_timeout;
        let reached = match limit.is_zero() {
            true => reach(&upstream, connection, &*place).await,
            false => {
                match tokio::time::timeout(limit, reach(&upstream, connection, &*place)).await {
                    Ok(reached) => reached,
                    Err(_elapsed) => Err(io::ErrorKind::TimedOut.into()),
                }
            }
        };
        place.reached(reached.is_ok(), began.elapsed());
        match reached {
            Ok(stream) => return Ok((stream, place, upstream.transport.termination_delay)),
            Err(error) => {
                tracing::debug!("{} can't be reached: {error}", place.address());
                tried.push(place.id());
            }
        }
    }
    Err(if tried.is_empty() { Refusal::NoServer } else { Refusal::Unreachable })
}

async fn reach(
    upstream: &Upstream,
    connection: &Connection,
    place: &dyn Place,
) -> io::Result<Stream> {
    let mut tcp = TcpStream::connect(place.address()).await?;
    tcp.set_nodelay(true)?;
    keep_alive(&tcp);
    if let Some(version) = upstream.transport.proxy_protocol {
        tcp.write_all(&proxy_protocol::header(version, connection.ends)).await?;
    }
    if connection.is_postgres {
        tcp.write_all(&POSTGRES).await?;
        if tcp.read_u8().await? != POSTGRES_YES {
            return Err(io::Error::other("the server has no TLS"));
        }
    }
    match place.is_tls() {
        true => upstream.connector.connect(Plain::from(tcp), place.host()).await,
        false => Ok(Stream::from(tcp)),
    }
}

/// Without it, a peer that vanished would hold its connection for ever.
fn keep_alive(tcp: &TcpStream) {
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE);
    let _as_the_host_has_it_then = SockRef::from(tcp).set_tcp_keepalive(&keepalive);
}
