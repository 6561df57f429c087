//! What stands between a snapshot and the kernel.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
};

use crate::model::{BackendId, Id, Protocol};

/// Something of the snapshot that the kernel path can't carry out as asked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Obstacle {
    /// `:PORT`, but the interfaces have no address.
    NoAddress {
        /// The entry point.
        entry_point: String,
    },
    /// Another entry point has that address and port already.
    VipTaken {
        /// The entry point that goes without.
        entry_point: String,
        /// What is taken.
        vip: SocketAddr,
        /// Its protocol.
        protocol: Protocol,
    },
    /// No id left for a VIP.
    TooManyVips {
        /// What is left out.
        vip: SocketAddr,
        /// Its protocol.
        protocol: Protocol,
    },
    /// No id left for a backend.
    TooManyBackends {
        /// What is left out.
        backend: BackendId,
        /// `datapath.backends`.
        limit: u32,
    },
    /// More backends take connections than a ring has members or slots.
    RingTooSmall {
        /// The service, of whose backends the first alone are used.
        service: Id,
        /// How many there are.
        backends: usize,
        /// How many fit.
        limit: usize,
    },
    /// No id left for a ring.
    TooManyRings {
        /// The service that goes without.
        service: Id,
    },
    /// A VIP of one family, a service whose backends are all of the other.
    OtherFamily {
        /// The VIP.
        vip: SocketAddr,
        /// Its service.
        service: Id,
    },
    /// Neither pool nor route gives an address of the backend's family to send from.
    NoNatAddress {
        /// The backend.
        backend: BackendId,
    },
    /// The NAT table is full.
    TooManyNatAddresses {
        /// Addresses that found no place.
        addresses: Vec<IpAddr>,
    },
    /// The slots of the interface table where this one may stand are taken.
    IfaceTableFull {
        /// Its name.
        interface: String,
        /// Its index.
        index: u32,
    },
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAddress { entry_point } => write!(
                f,
                "entry point {entry_point} has no address of its own and the interfaces have none; \
                 give it one: `address: \"IP:PORT\"`"
            ),
            Self::VipTaken { entry_point, vip, protocol } => write!(
                f,
                "entry point {entry_point} can't have {vip}/{protocol}: another entry point has it"
            ),
            Self::TooManyVips { vip, protocol } => write!(
                f,
                "{vip}/{protocol} is left out: the kernel holds {} VIPs at most",
                lb_common::vip::MAX_VIPS
            ),
            Self::TooManyBackends { backend, limit } => write!(
                f,
                "backend {} of {} is left out: raise `datapath.backends` over {limit}",
                backend.address, backend.service
            ),
            Self::RingTooSmall { service, backends, limit } => write!(
                f,
                "{service} has {backends} backends, of which {limit} are used: raise `datapath.ringSize` \
                 or split it"
            ),
            Self::TooManyRings { service } => write!(
                f,
                "{service} takes no connections: the kernel holds {} rings at most, those that are \
                 being replaced included",
                lb_common::ring::MAX_RINGS
            ),
            Self::OtherFamily { vip, service } => write!(
                f,
                "{vip} has no backend: those of {service} are all of the other IP version, and lb \
                 doesn't translate between the two"
            ),
            Self::NoNatAddress { backend } => write!(
                f,
                "backend {} of {} is out of reach: the host has no address to send from; add one \
                 of its IP version to `datapath.nat.addresses`",
                backend.address, backend.service
            ),
            Self::TooManyNatAddresses { addresses } => write!(
                f,
                "{} NAT addresses found no place: the kernel has been given too many over time; \
                 `lb detach` and start again",
                addresses.len()
            ),
            Self::IfaceTableFull { interface, index } => write!(
                f,
                "interface {interface} (index {index}) finds no slot beside {} others of like index; \
                 lb can't send by it",
                lb_common::backend::IFACE_PROBES
            ),
        }
    }
}
