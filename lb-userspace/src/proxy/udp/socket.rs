//! A socket on which clients are answered from the address that they talk to, be it one of many.

use std::{
    cell::RefCell,
    io::{self, IoSlice, IoSliceMut},
    net::{IpAddr, SocketAddr, UdpSocket as StdSocket},
    os::fd::AsRawFd,
};

use nix::{
    cmsg_space,
    libc::{in_addr, in_pktinfo, in6_addr, in6_pktinfo},
    sys::socket::{
        ControlMessage, ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, sendmsg,
        setsockopt, sockopt,
    },
};
use socket2::{Domain, Protocol, SockRef, Socket as Socket2, Type};
use tokio::{io::Interest, net::UdpSocket};

use super::Client;
use crate::proxy::proxy_protocol::Ends;

/// An entry point's socket.
#[derive(Debug)]
pub(crate) struct Socket {
    inner: UdpSocket,
    address: SocketAddr,
    /// Room for the address that a datagram was sent to, where the socket has every address.
    control: Option<RefCell<Vec<u8>>>,
}

impl Socket {
    /// Takes over a socket of [`bind`]. Within a runtime.
    ///
    /// # Errors
    /// Those of the operating system.
    pub(crate) fn new(socket: StdSocket) -> io::Result<Self> {
        let address = socket.local_addr()?;
        let control = match address.ip() {
            ip if !ip.is_unspecified() => None,
            IpAddr::V4(_) => {
                setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?;
                Some(RefCell::new(cmsg_space!(in_pktinfo)))
            }
            IpAddr::V6(_) => {
                setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?;
                Some(RefCell::new(cmsg_space!(in6_pktinfo)))
            }
        };
        Ok(Self { inner: UdpSocket::from_std(socket)?, address, control })
    }

    /// Who talks to whom.
    pub(super) fn ends(&self, (source, local): Client) -> Ends {
        let ip = local.unwrap_or(self.address.ip());
        Ends { source, destination: SocketAddr::new(ip, self.address.port()) }
    }

    /// Waits for a datagram.
    pub(crate) async fn readable(&self) -> io::Result<()> {
        self.inner.readable().await
    }

    /// A datagram's length, who sent it, and to which address where that isn't the socket's.
    pub(crate) fn try_receive(
        &self,
        buffer: &mut [u8],
    ) -> io::Result<(usize, SocketAddr, Option<IpAddr>)> {
        let Some(control) = &self.control else {
            let (count, client) = self.inner.try_recv_from(buffer)?;
            return Ok((count, client, None));
        };
        let mut control = control.borrow_mut();
        self.inner.try_io(Interest::READABLE, || {
            let fd = self.inner.as_raw_fd();
            let mut into = [IoSliceMut::new(buffer)];
            let flags = MsgFlags::MSG_DONTWAIT;
            let message = recvmsg::<SockaddrStorage>(fd, &mut into, Some(&mut control), flags)?;
            let client = message.address.as_ref().and_then(address);
            let client = client.ok_or(io::ErrorKind::InvalidData)?;
            let local = message.cmsgs()?.find_map(|control| match control {
                ControlMessageOwned::Ipv4PacketInfo(info) => {
                    Some(IpAddr::from(u32::from_be(info.ipi_addr.s_addr).to_be_bytes()))
                }
                ControlMessageOwned::Ipv6PacketInfo(info) => {
                    Some(IpAddr::from(info.ipi6_addr.s6_addr))
                }
                _ => None,
            });
            Ok((message.bytes, client, local))
        })
    }

    /// Sends a datagram to a client, from the address that it talks to.
    pub(crate) fn try_send(
        &self,
        bytes: &[u8],
        client: SocketAddr,
        local: Option<IpAddr>,
    ) -> io::Result<usize> {
        let Some(local) = local else {
            return SockRef::from(&self.inner).send_to(bytes, &client.into());
        };
        let (v4, v6);
        let control = match local {
            IpAddr::V4(ip) => {
                let ipi_spec_dst = in_addr { s_addr: u32::from_ne_bytes(ip.octets()) };
                v4 = in_pktinfo { ipi_ifindex: 0, ipi_spec_dst, ipi_addr: in_addr { s_addr: 0 } };
                ControlMessage::Ipv4PacketInfo(&v4)
            }
            IpAddr::V6(ip) => {
                let ipi6_addr = in6_addr { s6_addr: ip.octets() };
                // A link-local address means something on its link alone.
                let scope = match client {
                    SocketAddr::V6(client) if ip.is_unicast_link_local() => client.scope_id(),
                    _ => 0,
                };
                v6 = in6_pktinfo { ipi6_addr, ipi6_ifindex: scope };
                ControlMessage::Ipv6PacketInfo(&v6)
            }
        };
        let to = SockaddrStorage::from(client);
        let into = [IoSlice::new(bytes)];
        let flags = MsgFlags::MSG_DONTWAIT;
        Ok(sendmsg(self.inner.as_raw_fd(), &into, &[control], flags, Some(&to))?)
    }
}

fn address(storage: &SockaddrStorage) -> Option<SocketAddr> {
    match (storage.as_sockaddr_in(), storage.as_sockaddr_in6()) {
        (Some(v4), _) => Some((*v4).into()),
        (_, Some(v6)) => Some((*v6).into()),
        _ => None,
    }
}

/// A socket beside those of the other workers. An address that the host doesn't have yet is taken
/// as well: it may come.
pub(super) fn bind(address: SocketAddr) -> io::Result<StdSocket> {
    let socket = Socket2::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified())?;
        socket.set_freebind_v6(true)?;
    } else {
        socket.set_freebind_v4(true)?;
    }
    socket.bind(&address.into())?;
    Ok(socket.into())
}
