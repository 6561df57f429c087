//! Two CPUs that meet the same new flows at the same time.

use std::{collections::HashSet, net::SocketAddr, sync::Barrier};

use lb_common::vip::algorithm;
use nix::{
    sched::{CpuSet, sched_setaffinity},
    unistd::Pid,
};

use super::{
    kit::{Action, CLIENT_IF, Hook, Way, World, row_of},
    wire::flag,
};

/// Keeps this thread on a CPU.
pub(super) fn pin(cpu: usize) {
    let mut set = CpuSet::new();
    set.set(cpu).expect("a CPU");
    sched_setaffinity(Pid::from_raw(0), &set).expect("two CPUs");
}

/// Rows of a table for so many connections.
macro_rules! races {
    ($($name:ident: $hook:ident, $connections:literal, $row:expr;)+) => {$(
        #[test]
        fn $name() -> anyhow::Result<()> {
            row_of(Hook::$hook, $connections, $row)
        }
    )+};
}

races! {
    tcp_flows_are_made_once: Xdp, 65_536, |w| made_once(w, Way::Tcp4);
    ipv6_tcp_flows_are_made_once: Xdp, 65_536, |w| made_once(w, Way::Tcp6);
    udp_flows_are_made_once: Xdp, 65_536, |w| made_once(w, Way::Udp4);
    udp_flows_are_made_once_by_tc: Tc, 65_536, |w| made_once(w, Way::Udp4);
    half_open_flows_are_evicted_in_good_order: Xdp, 256, evicted;
}

/// Both CPUs see every flow as the same one: one backend, one NAT port, counted once. Backends
/// rotate on each CPU by itself, and most ports have to be translated.
fn made_once(w: &mut World, way: Way) {
    w.serve(way, algorithm::ROUND_ROBIN, &[11, 12, 13]);
    let clients: Vec<SocketAddr> = (0..4000).map(|n| client(way, n)).collect();
    let [one, other] = both_send(w, way, &clients);
    for (at, client) in clients.iter().enumerate() {
        // A packet that met a flow half-written was dropped, and is sent again by its client.
        let again = |(action, out): &(Action, Vec<u8>)| match action {
            Action::Redirect => out.clone(),
            _ => w.out(CLIENT_IF, &way.from(*client, flag::SYN).build()).1,
        };
        assert_eq!(again(&one[at]), again(&other[at]), "{client}");
    }
    let flows = w.flows();
    let distinct: HashSet<_> = flows.iter().map(|flow| flow.client).collect();
    assert_eq!((flows.len(), distinct.len()), (clients.len(), clients.len()));
    in_good_order(w);
}

/// More flows than there is room for: what is left is whole, and counted right.
fn evicted(w: &mut World) {
    w.serve(Way::Tcp4, algorithm::ROUND_ROBIN, &[11, 12, 13]);
    let clients: Vec<SocketAddr> = (0..8000).map(|n| client(Way::Tcp4, n)).collect();
    both_send(w, Way::Tcp4, &clients);
    assert!(w.entries().1 <= 1024);
    assert!(w.flow_count() > 900, "{}", w.flow_count());
    in_good_order(w);
}

/// No port is used twice towards one backend, and each backend's count is that of its flows.
fn in_good_order(w: &World) {
    let flows = w.flows();
    let ways: HashSet<_> = flows.iter().map(|flow| (flow.backend, flow.nat)).collect();
    assert_eq!(ways.len(), flows.len());
    for id in [11, 12, 13] {
        let there = flows.iter().filter(|flow| flow.backend_id == id).count() as u64;
        assert_eq!(w.counters(id).active, there);
    }
}

/// Each of two CPUs sends a SYN of every client, in the same order: what became of each.
fn both_send(w: &World, way: Way, clients: &[SocketAddr]) -> [Vec<(Action, Vec<u8>)>; 2] {
    let frames: Vec<_> = clients.iter().map(|c| way.from(*c, flag::SYN).build()).collect();
    let start = Barrier::new(2);
    let send = &|cpu| {
        pin(cpu);
        start.wait();
        frames.iter().map(|frame| w.out(CLIENT_IF, frame)).collect::<Vec<_>>()
    };
    std::thread::scope(|scope| {
        [0, 1].map(|cpu| scope.spawn(move || send(cpu))).map(|t| t.join().expect("a thread"))
    })
}

/// Forty hosts share a hundred ports.
fn client(way: Way, n: u32) -> SocketAddr {
    let host = n / 100 + 1;
    let ip = match way.client().ip() {
        std::net::IpAddr::V4(_) => [192, 0, 2, host as u8].into(),
        std::net::IpAddr::V6(_) => [0x2001, 0xdb8, 1, 0, 0, 0, 0, host as u16].into(),
    };
    SocketAddr::new(ip, 4000 + (n % 100) as u16)
}
