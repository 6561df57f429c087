//! Wakes clients whose backend is gone.
//!
//! The programs answer any packet of a flow whose backend has the flag `RESET`
//! with an RST, but a client that waits for an answer sends none. A bare ACK from
//! the VIP, beyond what the client expects, makes it answer with an ACK of its own
//! (RFC 9293 §3.10.7.4, "If an incoming segment is not acceptable"), and that
//! meets the RST, with the right sequence number.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
};

use lb_common::{TcpState, flow::flags};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::{
    Reader,
    error::{KernelError as E, Result},
    flows::FlowRecord,
    packet::{self, ACK},
};

/// `IPPROTO_RAW`: the packets bring their own IP header (`raw(7)`).
const RAW: i32 = 255;

/// Pokes the clients of every TCP flow on `backends`, which the kernel maps must already
/// have marked with `RESET`; how many. Flows that are closed are left alone. Reads the whole
/// table and sends a packet per flow: to be called where blocking is allowed.
///
/// # Errors
/// No raw socket can be opened, or the table can't be read. A client that can't be reached is
/// left out and logged.
pub fn reset_flows(reader: &Reader, backends: &BTreeSet<u32>) -> Result<usize> {
    let sockets = Sockets::open()?;
    let mut names = reader.names()?;
    let mut poked = 0;
    for (_, _, flow) in reader.table.ready(0, reader.table.slots()) {
        let is_wanted =
            backends.contains(&flow.backend) && flow.state & flags::UDP == 0 && is_open(flow.state);
        let Some(record) = is_wanted.then(|| names.record(&flow)).flatten() else { continue };
        match sockets.poke(&record) {
            Ok(()) => poked += 1,
            Err(e) => tracing::debug!("client {} can't be told of its reset: {e}", record.client),
        }
    }
    Ok(poked)
}

fn is_open(state: u32) -> bool {
    !matches!(TcpState::from_word(state), Some(TcpState::Closed | TcpState::Reset) | None)
}

struct Sockets {
    v4: Socket,
    /// Absent where the kernel has no IPv6.
    v6: Option<Socket>,
}

impl Sockets {
    fn open() -> Result<Self> {
        let raw = |domain| Socket::new(domain, Type::RAW, Some(Protocol::from(RAW)));
        let v4 = raw(Domain::IPV4).map_err(E::file("raw socket"))?;
        Ok(Self { v4, v6: raw(Domain::IPV6).ok() })
    }

    fn poke(&self, flow: &FlowRecord) -> std::io::Result<()> {
        let packet = packet::tcp(flow.vip, flow.client, ACK);
        let (socket, port) = match flow.client.ip() {
            IpAddr::V4(_) => (Some(&self.v4), flow.client.port()),
            // A raw IPv6 socket takes a port for a protocol number.
            IpAddr::V6(_) => (self.v6.as_ref(), 0),
        };
        let socket = socket.ok_or_else(|| std::io::Error::from_raw_os_error(libc::EAFNOSUPPORT))?;
        let to = SockAddr::from(SocketAddr::new(flow.client.ip(), port));
        socket.send_to(&packet, &to).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closed_flows_are_left_alone() {
        assert!(is_open(TcpState::Established as u32));
        assert!(is_open(TcpState::New as u32 | flags::PICKED_UP));
        assert!(!is_open(TcpState::Closed as u32 | flags::FIN_CLIENT));
        assert!(!is_open(TcpState::Reset as u32));
    }
}
