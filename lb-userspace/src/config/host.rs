//! What the host's own sockets use of the ports.

use std::{fs, path::Path};

/// Ports that the host's sockets choose from, as far as they matter to NAT.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostPorts {
    /// `net.ipv4.ip_local_port_range`: first and last; `None` where it can't be read.
    pub local: Option<(u16, u16)>,
    /// `net.ipv4.ip_local_reserved_ports`: ranges the kernel never chooses from.
    pub reserved: Vec<(u16, u16)>,
}

impl HostPorts {
    /// Reads both from `/proc/sys` of this network namespace.
    pub fn read() -> Self {
        let ipv4 = Path::new("/proc/sys/net/ipv4");
        let text = |name: &str| fs::read_to_string(ipv4.join(name)).unwrap_or_default();
        Self::parse(&text("ip_local_port_range"), &text("ip_local_reserved_ports"))
    }

    /// From the two files' texts: `32768\t60999` and `8080,9000-9100`.
    pub fn parse(range: &str, reserved: &str) -> Self {
        let mut ports = range.split_whitespace().map_while(|port| port.parse().ok());
        let local = ports.next().zip(ports.next());
        let reserved = reserved.trim().split(',').filter_map(|part| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            Some((first.trim().parse().ok()?, last.trim().parse().ok()?))
        });
        Self { local, reserved: reserved.collect() }
    }

    /// The first stretch of `first..=last` that the host's sockets choose from too.
    pub fn overlap(&self, first: u16, last: u16) -> Option<(u16, u16)> {
        let local = self.local?;
        let taken = |port: &u16| {
            (local.0..=local.1).contains(port)
                && !self.reserved.iter().any(|range| (range.0..=range.1).contains(port))
        };
        let start = (first..=last).find(taken)?;
        let end = (start..=last).take_while(taken).last()?;
        Some((start, end))
    }
}
