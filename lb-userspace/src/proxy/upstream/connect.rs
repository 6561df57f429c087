//! A new connection to a server.

use std::{io, net::SocketAddr, time::Duration};

use tokio::net::TcpStream;

use super::Conn;
use crate::proxy::{
    alarm::{Alarm, Elapsed},
    io::{Plain, Stream},
    tls::Connector,
};

/// Why a server can't be reached.
#[derive(Debug)]
pub(crate) enum ConnectError {
    /// Refused, no route, no descriptors.
    Io(io::Error),
    /// No answer, or a handshake that takes too long.
    Timeout,
    /// The handshake failed.
    Tls(io::Error),
}

impl ConnectError {
    /// The label of the counter.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::Io(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                "connection_refused"
            }
            Self::Io(_) => "connect_failed",
            Self::Timeout => "connect_timeout",
            Self::Tls(error) => {
                tracing::debug!("TLS towards a server: {error}");
                "server_tls_failed"
            }
        }
    }
}

/// Connects, with TLS where `tls` says so, within `patience`.
///
/// # Errors
/// See [`ConnectError`].
pub(crate) async fn connect(
    address: SocketAddr,
    tls: Option<(&Connector, &str)>,
    alarm: &Alarm,
    patience: Duration,
) -> Result<Conn, ConnectError> {
    alarm.set(patience);
    let connecting = async {
        let tcp = TcpStream::connect(address).await.map_err(ConnectError::Io)?;
        tcp.set_nodelay(true).map_err(ConnectError::Io)?;
        match tls {
            None => Ok(Stream::from(tcp)),
            Some((tls, host)) => {
                tls.connect(Plain::from(tcp), host).await.map_err(ConnectError::Tls)
            }
        }
    };
    let done = alarm.guard(connecting).await;
    alarm.clear();
    match done {
        Err(Elapsed) => Err(ConnectError::Timeout),
        Ok(stream) => Ok(Conn::new(stream?)),
    }
}
