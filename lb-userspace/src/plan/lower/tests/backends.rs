//! What becomes of a backend and of its way.

use lb_common::backend::flags::{DOWN, RESET, RESOLVED, USED, XDP};

use super::*;
use crate::{
    model::{BackendId, OnDown},
    plan::Obstacle,
};

const A: &str = "10.0.0.1:80";
const B: &str = "10.0.0.2:80";

/// Flags of a backend, and whether it is in the ring.
macro_rules! states {
    ($($name:ident: $edit:expr => $flags:expr, $in_ring:expr;)+) => {
        $(#[test]
        fn $name() {
            let mut case = Case::web(&[A, B]);
            case.backend(A, $edit);
            let view = case.lower().view;
            let id = ids(&view)[A];
            let in_ring = view.rings.values().any(|ring| ring.members.contains(&id));
            assert_eq!((entry(&view, A).flags, in_ring), (USED | $flags, $in_ring));
        })+
    };
}

states! {
    an_unchecked_backend_takes_connections: |_| {} => 0, true;
    one_that_is_up_takes_connections: |b| b.health = state(BackendState::Up) => 0, true;
    a_pending_one_takes_none: |b| b.health = state(BackendState::Pending) => DOWN, false;
    one_that_is_down_takes_none: |b| b.health = state(BackendState::Down) => DOWN, false;
    a_drained_one_keeps_its_flows: |b| b.drained = true => 0, false;
    a_leaving_one_keeps_its_flows: |b| b.leaving = true => 0, false;
    an_expired_one_is_reset: |b| (b.leaving, b.expired) = (true, true) => DOWN | RESET, false;
    a_drained_one_past_its_time_is_reset: |b| (b.drained, b.expired) = (true, true) => DOWN | RESET, false;
    weight_0_takes_no_connections: |b| b.configured_weight = 0 => 0, false;
    an_override_to_0_takes_no_connections: |b| b.weight_override = Some(0) => 0, false;
    an_override_of_0_takes_connections:
        |b| (b.configured_weight, b.weight_override) = (0, Some(1)) => 0, true;
}

#[test]
fn a_dead_backend_resets_its_flows_where_asked_to() {
    let mut case = Case::web(&[A]);
    case.edit("web", |service| service.on_down = OnDown::Reset);
    case.backend(A, |b| b.health = state(BackendState::Down));
    assert_eq!(entry(&case.lower().view, A).flags, USED | DOWN | RESET);
}

#[test]
fn a_pending_backend_never_resets_flows() {
    let mut case = Case::web(&[A]);
    case.edit("web", |service| service.on_down = OnDown::Reset);
    case.backend(A, |b| b.health = state(BackendState::Pending));
    assert_eq!(entry(&case.lower().view, A).flags, USED | DOWN);
}

#[test]
fn the_weight_in_force_is_written() {
    let mut case = Case::web(&[A, B]);
    case.backend(A, |b| b.weight_override = Some(7));
    case.backend(B, |b| b.drained = true);
    let view = case.lower().view;
    assert_eq!((entry(&view, A).weight, entry(&view, B).weight), (7, 0));
}

#[test]
fn the_way_is_that_of_the_next_hop() {
    let mut case = Case::web(&[A]);
    case.reach(&["10.0.0.1"]);
    let entry = entry(&case.lower().view, A);
    assert_eq!(entry.flags, USED | RESOLVED | XDP);
    assert_eq!((entry.ifindex, entry.mtu, entry.vlan), (2, 1400, 0));
    assert_eq!((entry.src_mac, entry.dst_mac), ([2; 6], [9; 6]));
}

#[test]
fn a_next_hop_without_mac_is_unresolved() {
    let mut case = Case::web(&[A]);
    case.reach(&[]);
    case.hops().insert("10.0.0.1".parse().unwrap(), NextHop { mac: None, ..hop() });
    assert_eq!(entry(&case.lower().view, A).flags, USED | XDP);
}

#[test]
fn without_native_xdp_packets_are_left_to_tc() {
    let mut case = Case::web(&[A]);
    case.reach(&["10.0.0.1"]);
    case.net.ifaces.get_mut(&2).unwrap().xdp = false;
    assert_eq!(entry(&case.lower().view, A).flags, USED | RESOLVED);
}

#[test]
fn without_a_route_nothing_but_the_backend_is_known() {
    let lowered = Case::web(&[A]).lower();
    assert_eq!(entry(&lowered.view, A).flags, USED);
    assert_eq!(lowered.obstacles, []);
}

#[test]
fn a_vlan_is_kept() {
    let mut case = Case::web(&[A]);
    case.hops().insert("10.0.0.1".parse().unwrap(), NextHop { vlan: 0x1007, ..hop() });
    assert_eq!(entry(&case.lower().view, A).vlan, 0x1007);
}

#[test]
fn the_route_gives_the_nat_address() {
    let mut case = Case::web(&[A, B]);
    case.reach(&["10.0.0.1", "10.0.0.2"]);
    let view = case.lower().view;
    assert_eq!(view.nats, [(0, lb_common::addr::from_ip("10.0.0.100".parse().unwrap()))].into());
    assert_eq!((entry(&view, A).nat_first, entry(&view, A).nat_count), (0, 1));
    assert_eq!((entry(&view, B).nat_first, entry(&view, B).nat_count), (0, 1));
}

#[test]
fn the_pool_gives_the_nat_addresses_of_the_family() {
    let mut case = Case::web(&[A, "[2001:db8::1]:80"]);
    case.reach(&["10.0.0.1"]);
    let hop6 = NextHop { source: Some("2001:db8::100".parse().unwrap()), ..hop() };
    case.hops().insert("2001:db8::1".parse().unwrap(), hop6);
    let pool = ["10.1.0.1", "10.1.0.2"].map(|ip| ip.parse().unwrap());
    case.settings.datapath.nat.addresses = pool.to_vec();
    let view = case.lower().view;
    assert_eq!(view.nats.len(), 3);
    assert_eq!((entry(&view, A).nat_first, entry(&view, A).nat_count), (0, 2));
    let six = entry(&view, "2001:db8::1:80");
    assert_eq!((six.nat_first, six.nat_count), (2, 1));
}

#[test]
fn a_route_without_source_is_an_obstacle() {
    let mut case = Case::web(&[A]);
    case.hops().insert("10.0.0.1".parse().unwrap(), NextHop { source: None, ..hop() });
    let Lowered { view, obstacles } = case.lower();
    let backend = BackendId { service: Case::id("web"), address: A.parse().unwrap() };
    assert_eq!(obstacles, [Obstacle::NoNatAddress { backend }]);
    assert_eq!(entry(&view, A).nat_count, 0);
}

#[test]
fn backends_over_the_limit_are_left_out() {
    let mut case = Case::web(&[A, B]);
    case.settings.datapath.backends = 1;
    let Lowered { view, obstacles } = case.lower();
    assert_eq!(ids(&view).len(), 1);
    let backend = BackendId { service: Case::id("web"), address: B.parse().unwrap() };
    assert_eq!(obstacles, [Obstacle::TooManyBackends { backend, limit: 1 }]);
    assert_eq!(view.rings.values().next().unwrap().members, [0]);
}

#[test]
fn one_address_in_two_services_is_two_backends() {
    let mut case = Case::web(&[A]);
    case.service("mail", &[A]);
    case.route("mail", "198.51.100.1:25", "mail");
    assert_eq!(case.lower().view.backends.len(), 2);
}

#[test]
fn services_that_nothing_routes_to_stay_out() {
    let mut case = Case::web(&[A]);
    case.service("idle", &[B]);
    assert_eq!(ids(&case.lower().view).len(), 1);
}

#[test]
fn a_service_that_was_routed_to_keeps_its_backends() {
    let mut case = Case::web(&[A]);
    case.service("next", &[B]);
    case.step();
    case.route("web", "198.51.100.1:80", "next");
    assert_eq!(ids(&case.lower().view), [(A.into(), 0), (B.into(), 1)].into());
}
