//! The standard view: a VIP of each protocol and family, each with one backend.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use lb_common::{
    BackendEntry, IfaceEntry, KernelConfig, VipEntry,
    addr::from_ip,
    backend::{IFACE_SLOTS, IFACE_XDP},
};
use lb_userspace::plan::{KernelView, RingView};

use super::{BACKEND_IF, BACKEND_SIDE_MAC, CLIENT_IF, CLIENT_SIDE_MAC, NEXT_HOP_MAC, Way};
use crate::kernel::kit::{backend_entry, vip_entry};

/// NAT addresses, by index.
pub(super) const NATS: [&str; 2] = ["10.0.1.1", "fd00:1::1"];

pub(super) fn standard(config: KernelConfig) -> KernelView {
    let mut view = KernelView {
        config,
        nats: (0..).zip(NATS.map(|ip| from_ip(ip.parse().expect("an address")))).collect(),
        ifaces: BTreeMap::from([
            iface(CLIENT_IF, CLIENT_SIDE_MAC),
            iface(BACKEND_IF, BACKEND_SIDE_MAC),
        ]),
        ..KernelView::default()
    };
    for way in Way::ALL {
        view.backends.insert(way.id(), backend(way.backend(), way.proto()));
        view.rings.insert(way.id(), ring(&[way.id()]));
        view.vips.insert(way.id(), vip(way.vip(), way.proto(), way.id(), 1));
    }
    view.with_nat_filter()
}

/// A backend behind the usual next hop.
pub(in crate::packets) fn backend(at: SocketAddr, proto: u8) -> BackendEntry {
    let entry = backend_entry(at, proto.into(), BACKEND_IF, NEXT_HOP_MAC, BACKEND_SIDE_MAC);
    BackendEntry { nat_first: u16::from(at.is_ipv6()), ..entry }
}

pub(in crate::packets) fn vip(at: SocketAddr, proto: u8, ring: u32, ring_len: u32) -> VipEntry {
    vip_entry(at, proto.into(), ring, ring_len)
}

/// A ring in which each slot names its backend.
pub(in crate::packets) fn ring(slots: &[u32]) -> Arc<RingView> {
    let mut members = slots.to_vec();
    members.sort_unstable();
    members.dedup();
    let index = |id| members.binary_search(id).expect("a member") as u16;
    let slots = slots.iter().map(index).collect();
    Arc::new(RingView { members, slots, recipe: 0 })
}

fn iface(ifindex: u32, mac: [u8; 6]) -> (u32, IfaceEntry) {
    (ifindex & (IFACE_SLOTS - 1), IfaceEntry { ifindex, mtu: 1500, mac, flags: IFACE_XDP })
}
