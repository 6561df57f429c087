//! UDP clients of [`crate::server::UdpEcho`].

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    time::Duration,
};

use anyhow::{Context, Result, ensure};

use super::Spread;

/// A socket connected to a server, so that ICMP errors are seen.
#[derive(Debug)]
pub struct Pinger {
    /// The socket.
    pub socket: UdpSocket,
}

impl Pinger {
    /// A socket with a port of its own.
    pub fn new(address: SocketAddr) -> Result<Self> {
        let any: IpAddr = match address {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let socket = UdpSocket::bind((any, 0))?;
        socket.connect(address)?;
        socket.set_read_timeout(Some(Duration::from_secs(5)))?;
        Ok(Self { socket })
    }

    /// Sends a payload, compares what comes back and returns the server's name.
    pub fn ping(&self, payload: &[u8]) -> Result<String> {
        self.socket.send(payload).context("sending a datagram")?;
        let mut buffer = vec![0; 65_536];
        let n = self.socket.recv(&mut buffer).context("waiting for the echo")?;
        let colon = buffer[..n].iter().position(|&byte| byte == b':').context("no name")?;
        ensure!(&buffer[colon + 1..n] == payload, "the echo differs from what was sent");
        Ok(String::from_utf8_lossy(&buffer[..colon]).into_owned())
    }
}

/// `count` datagrams, each from a socket of its own.
pub fn spread(address: SocketAddr, count: usize) -> Result<Spread> {
    let mut spread = Spread::new();
    for n in 0..count {
        let name = Pinger::new(address)?.ping(format!("datagram {n}").as_bytes());
        *spread.entry(name.with_context(|| format!("datagram {n}"))?).or_default() += 1;
    }
    Ok(spread)
}
