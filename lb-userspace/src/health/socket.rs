//! Sockets of checks: their source ports never collide with a NAT flow.
//!
//! The kernel's `IP_LOCAL_PORT_RANGE` narrows `ip_local_port_range` but can't
//! leave it, so each socket is bound to a port of [`super::PORTS`] in turn.
//! `SO_REUSEADDR` lets checks of different servers share one. They close by
//! RST, so that no TIME_WAIT holds a port.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    time::Duration,
};

use socket2::{Domain, Socket, Type};
use tokio::net::{TcpSocket, TcpStream};

use super::PORTS;

/// Hands out source ports in turn.
#[derive(Debug, Default)]
pub(crate) struct Ports {
    next: AtomicU32,
}

impl Ports {
    /// Connects to `address` from a port of [`PORTS`].
    ///
    /// # Errors
    /// Those of the operating system; `EADDRINUSE` or `EADDRNOTAVAIL` when no port was free.
    pub(crate) async fn connect(&self, address: SocketAddr) -> io::Result<TcpStream> {
        let mut last = io::Error::from_raw_os_error(libc::EADDRINUSE);
        for _ in PORTS.0..=PORTS.1 {
            let socket = match bound(address, self.take()) {
                Ok(socket) => socket,
                Err(error) if is_taken(&error) => {
                    last = error;
                    continue;
                }
                Err(error) => return Err(error),
            };
            match socket.connect(address).await {
                Err(error) if is_taken(&error) => last = error,
                done => return done,
            }
        }
        Err(last)
    }

    fn take(&self) -> u16 {
        let count = u32::from(PORTS.1 - PORTS.0) + 1;
        PORTS.0 + (self.next.fetch_add(1, Relaxed) % count) as u16
    }
}

/// Another socket holds the port, or the whole connection.
fn is_taken(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EADDRINUSE | libc::EADDRNOTAVAIL))
}

fn bound(address: SocketAddr, port: u16) -> io::Result<TcpSocket> {
    let any: IpAddr = match address {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), None)?;
    socket.set_reuse_address(true)?;
    socket.set_linger(Some(Duration::ZERO))?;
    socket.set_tcp_nodelay(true)?;
    socket.bind(&SocketAddr::new(any, port).into())?;
    Ok(TcpSocket::from_std_stream(socket.into()))
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    async fn listener(address: &str) -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    #[tokio::test]
    async fn the_source_port_is_of_the_own_range() {
        let (_open, address) = listener("127.0.0.1:0").await;
        let stream = Ports::default().connect(address).await.unwrap();
        let port = stream.local_addr().unwrap().port();
        assert!((PORTS.0..=PORTS.1).contains(&port), "{port}");
    }

    #[tokio::test]
    async fn ipv6_takes_the_same_range() {
        let (_open, address) = listener("[::1]:0").await;
        let stream = Ports::default().connect(address).await.unwrap();
        let port = stream.local_addr().unwrap().port();
        assert!((PORTS.0..=PORTS.1).contains(&port), "{port}");
    }

    #[tokio::test]
    async fn two_servers_may_share_a_source_port() {
        let (_one, first) = listener("127.0.0.1:0").await;
        let (_two, second) = listener("127.0.0.1:0").await;
        let (a, b) = (Ports::default(), Ports::default());
        let at = 77;
        a.next.store(at, Relaxed);
        b.next.store(at, Relaxed);
        let one = a.connect(first).await.unwrap();
        let two = b.connect(second).await.unwrap();
        assert_eq!(one.local_addr().unwrap().port(), two.local_addr().unwrap().port());
    }

    #[tokio::test]
    async fn a_port_held_towards_the_same_server_is_passed_over() {
        let (_open, address) = listener("127.0.0.1:0").await;
        let (a, b) = (Ports::default(), Ports::default());
        a.next.store(99, Relaxed);
        b.next.store(99, Relaxed);
        let one = a.connect(address).await.unwrap();
        let two = b.connect(address).await.unwrap();
        assert_eq!(one.local_addr().unwrap().port(), PORTS.0 + 99);
        assert_eq!(two.local_addr().unwrap().port(), PORTS.0 + 100);
    }

    #[tokio::test]
    async fn more_checks_of_one_server_than_ports_leave_none_behind() {
        let (open, address) = listener("127.0.0.1:0").await;
        let accepting = tokio::spawn(async move {
            loop {
                drop(open.accept().await);
            }
        });
        let ports = Ports::default();
        for _ in 0..2 * (PORTS.1 - PORTS.0) {
            drop(ports.connect(address).await.unwrap());
        }
        accepting.abort();
    }
}
