//! What a NIC does to frames before XDP sees them, by `SIOCETHTOOL`
//! (`ETHTOOL_GFLAGS` of linux/ethtool.h: the features of old, in one word).

use std::os::fd::AsRawFd;

use nix::libc;
use socket2::{Domain, Socket, Type};

const ETHTOOL_GFLAGS: u32 = 0x25;
const ETH_FLAG_RXVLAN: u32 = 1 << 8;
const ETH_FLAG_LRO: u32 = 1 << 15;

/// What matters to XDP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Offloads {
    /// `rx-vlan-hw-parse`.
    pub(crate) strips_vlan: bool,
    /// `rx-lro`.
    pub(crate) merges: bool,
}

/// Reads them. An interface that doesn't tell has none.
pub(crate) fn offloads(name: &str) -> Offloads {
    let flags = get_flags(name).unwrap_or(0);
    Offloads { strips_vlan: flags & ETH_FLAG_RXVLAN != 0, merges: flags & ETH_FLAG_LRO != 0 }
}

/// `struct ethtool_value`.
#[repr(C)]
struct Value {
    cmd: u32,
    data: u32,
}

fn get_flags(name: &str) -> Option<u32> {
    // Any socket does; this one belongs to the network namespace of this thread.
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None).ok()?;
    let mut value = Value { cmd: ETHTOOL_GFLAGS, data: 0 };
    let mut request = libc::ifreq {
        ifr_name: [0; libc::IFNAMSIZ],
        ifr_ifru: libc::__c_anonymous_ifr_ifru { ifru_data: (&raw mut value).cast() },
    };
    if name.len() >= libc::IFNAMSIZ {
        return None;
    }
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from.cast_signed();
    }
    // SAFETY: `request` is a valid ifreq whose data points to an ethtool_value
    // that lives until the call returns; ETHTOOL_GFLAGS writes no more than that.
    let result =
        unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCETHTOOL as _, &raw mut request) };
    (result == 0).then_some(value.data)
}
