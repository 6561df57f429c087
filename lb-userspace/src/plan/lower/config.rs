//! Settings of the data path.

use std::time::Duration;

use lb_common::{KernelConfig, config::flags};

use super::KernelFacts;
use crate::{
    model::{ReturnPath, Snapshot},
    plan::NetView,
};

pub(super) fn lower(snapshot: &Snapshot, net: &NetView, facts: &KernelFacts) -> KernelConfig {
    let datapath = &snapshot.settings.datapath;
    let jiffies = |time: Duration| jiffies(time, facts.hz);
    let timeouts = &datapath.timeouts;
    KernelConfig {
        hash_key: facts.hash_key,
        est_buckets: facts.est_buckets,
        half_buckets: facts.half_buckets,
        reply_buckets: facts.reply_buckets,
        flags: match datapath.return_path {
            ReturnPath::Client => 0,
            ReturnPath::Route => flags::RETURN_ROUTE,
        },
        nat_port_first: datapath.nat.ports.0,
        nat_port_last: datapath.nat.ports.1,
        host_port_first: net.host_ports.0,
        host_port_last: net.host_ports.1,
        own_port_first: facts.own_ports.0,
        own_port_last: facts.own_ports.1,
        min_mtu: min_mtu(net),
        hz: facts.hz,
        tcp_established: jiffies(timeouts.tcp_established),
        // One time for both: an unanswered UDP flow stands among the half-open ones.
        half_open: jiffies(timeouts.tcp_half_open.max(timeouts.udp_unanswered)),
        tcp_closing: jiffies(timeouts.tcp_closing),
        tcp_closed: jiffies(timeouts.tcp_closed),
        udp: jiffies(timeouts.udp),
        nat_filter: 0, // known once the backends are
        choice_key: datapath.hash_key.or(snapshot.agreed).map_or(facts.choice_key, |key| key.0),
    }
}

/// Rounded up, at least 1, at most half the range: times are compared by wrapping subtraction.
fn jiffies(time: Duration, hz: u32) -> u32 {
    let jiffies = time.as_nanos().saturating_mul(u128::from(hz)).div_ceil(1_000_000_000);
    jiffies.clamp(1, u128::from(u32::MAX / 2)) as u32
}

/// 0, which means that every packet is checked, where no interface is known.
fn min_mtu(net: &NetView) -> u32 {
    let ifaces = net.ifaces.values().map(|iface| iface.mtu);
    ifaces.chain(net.next_hops.values().map(|hop| hop.mtu)).min().unwrap_or(0)
}
