//! VIPs, what they select from, and the settings.

use lb_common::vip::{NO_RING, algorithm, flags};

use super::*;
use crate::{
    model::{ChoiceKey, OnEmpty, ReturnPath},
    plan::Obstacle,
};

const A: &str = "10.0.0.1:80";
const B: &str = "10.0.0.2:80";

macro_rules! algorithms {
    ($($name:ident: $algorithm:ident => $number:ident, $slots:expr;)+) => {
        $(#[test]
        fn $name() {
            let mut case = Case::web(&[A, B, "10.0.0.3:80"]);
            case.edit("web", |service| service.algorithm = Algorithm::$algorithm);
            case.backend(A, |b| b.configured_weight = 2);
            let view = case.lower().view;
            assert_eq!((vip(&view).algorithm, vip(&view).ring_len), (algorithm::$number, $slots));
        })+
    };
}

algorithms! {
    maglev_fills_a_whole_ring: Maglev => MAGLEV, 65_537;
    source_hash_fills_a_whole_ring: SourceHash => SOURCE_HASH, 65_537;
    round_robin_needs_a_slot_for_each_share: RoundRobin => ROUND_ROBIN, 4;
    random_needs_a_slot_for_each_share: Random => RANDOM, 4;
    least_conn_needs_a_slot_for_each_of_few_backends: LeastConn => LEAST_CONN, 3;
}

#[test]
fn a_vip_is_what_the_entry_point_says() {
    let vip = vip(&Case::web(&[A]).lower().view);
    assert_eq!(to_ip(&vip.addr).to_string(), "198.51.100.1");
    assert_eq!((vip.port, vip.proto, vip.flags), (80u16.to_be(), 6, flags::USED));
    assert_eq!(vip.service, lb_common::hash::text(b"tcp/web@file"));
}

#[test]
fn without_backend_there_is_no_ring() {
    let mut case = Case::web(&[A]);
    case.backend(A, |b| b.health = state(BackendState::Down));
    let view = case.lower().view;
    assert_eq!((vip(&view).ring, vip(&view).ring_len, vip(&view).flags), (NO_RING, 0, flags::USED));
    assert!(view.rings.is_empty());
}

#[test]
fn an_empty_service_drops_where_asked_to() {
    let mut case = Case::web(&[]);
    case.edit("web", |service| service.on_empty = OnEmpty::Drop);
    assert_eq!(vip(&case.lower().view).flags, flags::USED | flags::EMPTY_DROP);
}

#[test]
fn routers_of_the_proxy_are_not_the_kernels() {
    let mut case = Case::web(&[A]);
    Arc::make_mut(&mut case.snapshot.routers).get_mut(&Case::id("web")).unwrap().path = Path::Proxy;
    let view = case.lower().view;
    assert!(view.vips.is_empty() && view.backends.is_empty());
}

#[test]
fn a_port_alone_stands_for_every_address() {
    let mut case = Case::web(&[A]);
    case.route("web", ":80", "web");
    case.net.addresses = ["192.0.2.1", "2001:db8::7"].map(|ip| ip.parse().unwrap()).to_vec();
    let Lowered { view, obstacles } = case.lower();
    assert_eq!(vips(&view), ["192.0.2.1:80", "2001:db8::7:80"]);
    let other = "[2001:db8::7]:80".parse().unwrap();
    assert_eq!(obstacles, [Obstacle::OtherFamily { vip: other, service: Case::id("web") }]);
}

#[test]
fn a_port_alone_without_addresses_is_an_obstacle() {
    let mut case = Case::web(&[A]);
    case.route("web", ":80", "web");
    assert_eq!(case.lower().obstacles, [Obstacle::NoAddress { entry_point: "web".into() }]);
}

#[test]
fn an_address_written_out_comes_before_a_port_alone() {
    let mut case = Case::web(&[A]);
    case.service("all", &[B]);
    case.route("all", ":80", "all");
    case.net.addresses = ["192.0.2.1", "198.51.100.1"].map(|ip| ip.parse().unwrap()).to_vec();
    let Lowered { view, obstacles } = case.lower();
    let services: Vec<u64> = view.vips.values().map(|vip| vip.service).collect();
    assert_eq!(vips(&view), ["198.51.100.1:80", "192.0.2.1:80"]);
    assert_eq!(
        services,
        ["tcp/web@file", "tcp/all@file"].map(|s| lb_common::hash::text(s.as_bytes()))
    );
    assert_eq!(obstacles, []);
}

#[test]
fn two_entry_points_of_one_address_are_an_obstacle() {
    let mut case = Case::web(&[A]);
    case.route("web2", "198.51.100.1:80", "web");
    let taken = Obstacle::VipTaken {
        entry_point: "web2".into(),
        vip: "198.51.100.1:80".parse().unwrap(),
        protocol: Protocol::Tcp,
    };
    assert_eq!(case.lower().obstacles, [taken]);
}

#[test]
fn two_vips_of_one_service_share_its_ring() {
    let mut case = Case::web(&[A, B]);
    case.route("alt", "198.51.100.2:80", "web");
    let view = case.lower().view;
    assert_eq!((view.vips.len(), view.rings.len()), (2, 1));
}

#[test]
fn each_family_selects_among_its_own() {
    let mut case = Case::web(&[A, "[2001:db8::1]:80"]);
    case.route("six", "[2001:db8::80]:80", "web");
    let Lowered { view, obstacles } = case.lower();
    let members: Vec<_> = view.rings.values().map(|ring| ring.members.clone()).collect();
    assert_eq!(members, [[0], [1]]);
    assert_eq!(obstacles, []);
}

#[test]
fn a_mapped_address_is_ipv4() {
    let mut case = Case::web(&[A]);
    case.route("web", "[::ffff:198.51.100.1]:80", "web");
    let Lowered { view, obstacles } = case.lower();
    assert_eq!((vips(&view), obstacles), (vec!["198.51.100.1:80".to_owned()], vec![]));
}

#[test]
fn the_ring_size_is_the_configured_prime() {
    let mut case = Case::web(&[A]);
    case.settings.datapath.ring_size = 4_093;
    assert_eq!(vip(&case.lower().view).ring_len, 4_093);
}

#[test]
fn more_backends_than_slots_are_an_obstacle() {
    let mut case = Case::web(&[A, B, "10.0.0.3:80", "10.0.0.4:80"]);
    case.settings.datapath.ring_size = 3;
    let Lowered { view, obstacles } = case.lower();
    let small = Obstacle::RingTooSmall { service: Case::id("web"), backends: 4, limit: 3 };
    assert_eq!(obstacles, [small]);
    assert_eq!((view.rings[&0].members.len(), view.backends.len()), (3, 4));
}

#[test]
fn settings_are_the_configured_ones() {
    let mut case = Case::web(&[A]);
    case.reach(&["10.0.0.1"]);
    case.net.host_ports = (32_768, 60_999);
    case.settings.datapath.return_path = ReturnPath::Route;
    let config = case.lower().view.config;
    assert_eq!((config.est_buckets, config.half_buckets, config.hz), (8, 2, 250));
    assert_eq!((config.nat_port_first, config.nat_port_last), (1_024, 32_767));
    assert_eq!((config.host_port_first, config.host_port_last), (32_768, 60_999));
    assert_eq!(config.flags, lb_common::config::flags::RETURN_ROUTE);
    assert_eq!(config.min_mtu, 1_400);
}

macro_rules! jiffies {
    ($($name:ident: $duration:expr => $jiffies:expr;)+) => {
        $(#[test]
        fn $name() {
            let mut case = Case::new();
            case.settings.datapath.timeouts.udp = $duration;
            assert_eq!(case.lower().view.config.udp, $jiffies);
        })+
    };
}

jiffies! {
    seconds_are_counted_in_jiffies: Duration::from_secs(120) => 30_000;
    parts_of_a_jiffy_are_rounded_up: Duration::from_millis(5) => 2;
    no_time_is_one_jiffy: Duration::ZERO => 1;
    longer_than_can_be_counted_is_as_long_as_can: Duration::MAX => u32::MAX / 2;
}

#[test]
fn without_interfaces_every_packet_is_checked_for_length() {
    assert_eq!(Case::new().lower().view.config.min_mtu, 0);
}

#[test]
fn choices_go_by_the_configured_key_then_by_that_of_all_nodes_then_by_the_hosts_own() {
    let key = |secret: &str| ChoiceKey::from_secret(secret);
    let mut case = Case::web(&["10.0.0.1:80"]);
    assert_eq!(case.lower().view.config.choice_key, Case::OWN_KEY);
    case.snapshot.agreed = key("the nodes' own secret");
    assert_eq!(Some(ChoiceKey(case.lower().view.config.choice_key)), case.snapshot.agreed);
    case.settings.datapath.hash_key = key("a configured secret");
    let configured = ChoiceKey(case.lower().view.config.choice_key);
    assert_eq!(Some(configured), case.settings.datapath.hash_key);
}
