//! Sees ARP announcements and unsolicited neighbour advertisements.

use std::{
    io::Read,
    net::IpAddr,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use lb_tests::Namespace;
use nix::libc;
use socket2::{Domain, Protocol, Socket, Type};

/// Listens on all interfaces for those who say they hold an address.
pub(crate) struct Sniffer {
    socket: Socket,
    address: IpAddr,
}

impl Sniffer {
    pub(crate) fn start(ns: &Namespace, address: IpAddr) -> Result<Self> {
        let all = i32::from((libc::ETH_P_ALL as u16).to_be());
        let socket =
            ns.run(|| Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(all))))?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket, address })
    }

    /// The MAC of the next announcement.
    pub(crate) async fn next(&self) -> Result<[u8; 6]> {
        let end = Instant::now() + Duration::from_secs(10);
        while Instant::now() < end {
            let mut frame = [0; 2048];
            match (&self.socket).read(&mut frame) {
                Ok(length) => {
                    if let Some(mac) = self.announcement(&frame[..length]) {
                        return Ok(mac);
                    }
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
        bail!("no announcement of {} came in", self.address)
    }

    fn announcement(&self, frame: &[u8]) -> Option<[u8; 6]> {
        let (mac, address, target) = match (self.address, frame.get(12..14)?) {
            (IpAddr::V4(_), [8, 6]) => (22..28, 28..32, 38..42),
            (IpAddr::V6(_), [0x86, 0xdd]) if frame.get(54) == Some(&136) => {
                (80..86, 22..38, 62..78)
            }
            _ => return None,
        };
        let octets = match self.address {
            IpAddr::V4(v4) => v4.octets().to_vec(),
            IpAddr::V6(v6) => v6.octets().to_vec(),
        };
        let ours = frame.get(address)? == octets && frame.get(target)? == octets;
        let mac = frame.get(mac)?.try_into().ok()?;
        ours.then_some(mac)
    }
}
