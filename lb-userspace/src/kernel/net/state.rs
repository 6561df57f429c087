//! What the watcher is told and what it tells.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::IpAddr,
};

use crate::{
    model::{InterfaceChoice, Mode},
    plan::NetView,
};

use super::{AttachMode, Link};

/// What the watcher is to look after.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wanted {
    /// Addresses of the kernel path's backends.
    pub backends: BTreeSet<IpAddr>,
    /// `datapath.interfaces`.
    pub interfaces: InterfaceChoice,
    /// `datapath.mode`.
    pub mode: Mode,
    /// Addresses of the VIPs: those that lb has put on an interface are left
    /// out of `NetView::addresses`.
    pub vips: BTreeSet<IpAddr>,
    /// Sources of NAT that flows have: replies to them come in by the interfaces that hold
    /// them, wherever the routes to backends lead by now.
    pub nats: BTreeSet<IpAddr>,
    /// Indices of interfaces where lb's native XDP program is attached now.
    pub native: BTreeSet<u32>,
    /// By interface index: why the kernel refused XDP there. TC is taken instead,
    /// from then on: until the interface vanishes, `mode` changes, or it is in `native`.
    pub refused: BTreeMap<u32, String>,
}

/// The network as of now.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NetState {
    /// What plans are made from.
    pub view: NetView,
    /// Every interface of the namespace, by index.
    pub links: BTreeMap<u32, Link>,
    /// Where lb is to be attached, by interface index.
    pub attach: BTreeMap<u32, AttachPoint>,
    /// Configured interfaces that can't be attached to now, by name, with the reason.
    pub unusable: BTreeMap<String, String>,
    /// Backends that the kernel path can't reach now, with the reason.
    pub obstacles: BTreeMap<IpAddr, Obstacle>,
    /// Every address of the host, by interface index and address.
    pub host_addresses: BTreeMap<(u32, IpAddr), HostAddress>,
}

impl NetState {
    /// The view for plans, with native XDP attached at these indices and
    /// nowhere else: what has just been attached needn't come back by way of
    /// [`Wanted::native`] before packets are sent there.
    pub fn view_with(&self, native: &BTreeSet<u32>) -> NetView {
        let mut view = self.view.clone();
        for (index, iface) in &mut view.ifaces {
            iface.xdp = native.contains(index);
        }
        view
    }
}

/// An address of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostAddress {
    /// Bits of its network.
    pub prefix: u8,
    /// Whether it is usable: neither tentative nor found to be a duplicate.
    pub usable: bool,
}

/// An interface to attach to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttachPoint {
    /// Its index: a new one when an interface vanished and returned.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// What comes in there.
    pub role: Role,
    /// How.
    pub mode: AttachMode,
    /// Beside XDP, TC too: for packets that leave by an interface XDP can't redirect to.
    pub also_tc: bool,
    /// Why so, in half a sentence: `veth hands over GSO frames and unfinished checksums`.
    pub reason: String,
    /// What the operator asked for and didn't get.
    pub error: Option<String>,
}

/// What comes in on an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Clients' packets to VIPs: named in the configuration, or of a default
    /// route. Backends may be there too.
    Vip,
    /// Only backends' replies.
    Backend,
}

impl Role {
    /// The name shown.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Vip => "vip",
            Self::Backend => "backend",
        }
    }
}

/// Why the kernel path can't reach a backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// It is this host itself.
    Local,
    /// The host has no route to it.
    NoRoute,
    /// The route rejects: `blackhole`, `prohibit`, ….
    Rejected {
        /// The type of the route.
        kind: String,
    },
    /// The kernel would not say.
    Unasked {
        /// Its answer.
        error: String,
    },
    /// The route wraps packets (MPLS, SRv6, IP tunnel by route).
    Encapsulated,
    /// The route leaves by an interface that is gone, or not known yet.
    NoInterface {
        /// Its index.
        index: u32,
    },
    /// The route leaves by an interface without Ethernet frames.
    NotEthernet {
        /// The interface.
        interface: String,
    },
    /// The next hop has not answered (yet).
    Unresolved {
        /// Its address.
        next_hop: IpAddr,
        /// Where it was asked for.
        interface: String,
    },
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local => f.write_str(
                "the address is this host's own: the kernel path reaches only backends beyond an interface",
            ),
            Self::NoRoute => f.write_str("the host has no route to it"),
            Self::Rejected { kind } => write!(f, "the host's route to it is of type {kind}"),
            Self::Unasked { error } => f.write_str(error),
            Self::Encapsulated => {
                f.write_str("its route wraps packets (`encap`), which the kernel path doesn't do")
            }
            Self::NoInterface { index } => {
                write!(f, "its route leaves by an interface that is gone (index {index})")
            }
            Self::NotEthernet { interface } => {
                write!(f, "its route leaves by {interface}, which carries no Ethernet frames")
            }
            Self::Unresolved { next_hop, interface } => {
                let protocol = if next_hop.is_ipv4() { "ARP" } else { "neighbour discovery" };
                write!(f, "its next hop {next_hop} on {interface} doesn't answer {protocol}")
            }
        }
    }
}
