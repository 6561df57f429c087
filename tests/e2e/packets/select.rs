//! Which backend a new flow gets: every algorithm, in exact counts.

use std::collections::BTreeMap;

use lb_common::{addr::from_ip, hash, vip::algorithm};
use lb_userspace::{model::ChoiceKey, plan::rotation};

use super::{
    kit::{Way, World, both, ring, xdp},
    race,
    wire::flag,
};

const WAY: Way = Way::Tcp4;

both! {
    fn round_robin_goes_a_b_c_a(w) {
        w.serve(WAY, algorithm::ROUND_ROBIN, &[11, 12, 13]);
        assert_eq!(picks(w, 7), [11, 12, 13, 11, 12, 13, 11]);
    }
    fn round_robin_counts_no_packets_of_known_flows(w) {
        w.serve(WAY, algorithm::ROUND_ROBIN, &[11, 12, 13]);
        assert_eq!(pick(w, 1), 11);
        for _ in 0..5 {
            assert_eq!(pick(w, 1), 11);
        }
        assert_eq!(pick(w, 2), 12);
    }
    fn round_robin_begins_anew_on_a_shorter_ring(w) {
        w.serve(WAY, algorithm::ROUND_ROBIN, &[11, 12, 13]);
        assert_eq!(picks(w, 3), [11, 12, 13]);
        w.serve(WAY, algorithm::ROUND_ROBIN, &[11, 12]);
        assert_eq!((pick(w, 10), pick(w, 11)), (11, 12));
    }
    fn two_vips_rotate_apart(w) {
        w.serve(WAY, algorithm::ROUND_ROBIN, &[11, 12]);
        w.set_vip(Way::Tcp6, |vip| vip.algorithm = algorithm::ROUND_ROBIN);
        assert_eq!(pick(w, 1), 11);
        w.up(&Way::Tcp6.up(flag::SYN));
        assert_eq!(pick(w, 2), 12);
    }
    fn weights_of_40_20_40_are_exact_over_one_turn(w) {
        weighted(w, &[40, 20, 40], 5, [2, 1, 2]);
    }
    fn weights_of_3_1_1_are_exact_over_two_turns(w) {
        weighted(w, &[3, 1, 1], 10, [6, 2, 2]);
    }
    fn least_conn_of_10_5_and_8_takes_the_5(w) {
        busy(w, &[(11, 10), (12, 5), (13, 8)], &[1, 1, 1]);
        assert_eq!(pick(w, 1), 12);
    }
    fn least_conn_evens_out(w) {
        busy(w, &[(11, 3), (12, 0), (13, 1)], &[1, 1, 1]);
        assert_eq!(counted(&picks(w, 5)), BTreeMap::from([(12, 3), (13, 2)]));
        assert_eq!(counted(&picks_from(w, 100, 3)), BTreeMap::from([(11, 1), (12, 1), (13, 1)]));
    }
    fn least_conn_divides_by_weight(w) {
        busy(w, &[(11, 10), (12, 5), (13, 8)], &[40, 1, 10]);
        assert_eq!(pick(w, 1), 11);
    }
    fn least_conn_counts_what_ended_no_more(w) {
        busy(w, &[(11, 1), (12, 1), (13, 0)], &[1, 1, 1]);
        assert_eq!(pick(w, 1), 13);
        let flow = w.flow(WAY.client_at(1));
        assert_eq!(w.counters(13).active, 1);
        assert_eq!(flow.backend_id, 13);
    }
    fn source_hash_keeps_a_client_on_its_server(w) {
        w.serve(WAY, algorithm::SOURCE_HASH, &[11, 12, 13, 14]);
        let first = pick(w, 1);
        assert!(picks(w, 40).iter().all(|id| *id == first));
    }
    fn source_hash_spreads_clients(w) {
        w.serve(WAY, algorithm::SOURCE_HASH, &[11, 12, 13, 14]);
        let key = w.lane.config().choice_key;
        for host in 1..100u8 {
            let client = ([192, 0, 2, host], 9).into();
            let slot = hash::index(hash::source(&key, &from_ip([192, 0, 2, host].into())), 4);
            assert_eq!(w.connect(WAY, client).backend_id, 11 + slot);
        }
    }
    fn source_hash_keeps_an_ipv6_client_on_its_server(w) {
        w.serve(Way::Tcp6, algorithm::SOURCE_HASH, &[11, 12, 13, 14]);
        let client = |port| Way::Tcp6.client_at(port);
        let first = w.connect(Way::Tcp6, client(1)).backend_id;
        for port in 2..30 {
            assert_eq!(w.connect(Way::Tcp6, client(port)).backend_id, first);
        }
    }
    fn maglev_follows_the_ring(w) {
        let slots: Vec<u32> = (0..97).map(|slot| 11 + slot * slot % 5).collect();
        w.serve(WAY, algorithm::MAGLEV, &slots);
        for port in 1..100 {
            assert_eq!(pick(w, port), slots[maglev_slot(w, port, 97)], "port {port}");
        }
    }
    fn another_key_chooses_otherwise_and_known_flows_stay(w) {
        w.serve(WAY, algorithm::MAGLEV, &[11, 12, 13, 14, 15]);
        let before = picks(w, 50);
        let tables = w.lane.config().hash_key;
        w.set_config(|config| config.choice_key = ChoiceKey::from_secret("another secret of all").unwrap().0);
        assert_eq!(picks(w, 50), before, "known flows");
        assert_eq!(w.lane.config().hash_key, tables);
        w.lane.forget_flows().unwrap();
        let after = picks(w, 50);
        assert_ne!(after, before);
        for (pick, port) in after.iter().zip(1..) {
            assert_eq!(*pick, [11, 12, 13, 14, 15][maglev_slot(w, port, 5)], "port {port}");
        }
    }
    fn maglev_sends_a_flow_that_was_forgotten_to_the_same_backend(w) {
        w.serve(WAY, algorithm::MAGLEV, &[11, 12, 13, 14, 15]);
        let before = picks(w, 50);
        w.lane.forget_flows().unwrap();
        assert_eq!(picks(w, 50), before);
    }
    fn maglev_of_the_largest_ring_follows_it(w) {
        let slots: Vec<u32> = (0..65_537).map(|slot| 11 + slot % 7).collect();
        w.serve(WAY, algorithm::MAGLEV, &slots);
        for port in 1..60 {
            assert_eq!(pick(w, port), slots[maglev_slot(w, port, 65_537)], "port {port}");
        }
    }
    fn random_takes_all_of_them_by_weight(w) {
        w.serve(WAY, algorithm::RANDOM, &[11, 12, 12, 12]);
        let picked = counted(&picks(w, 400));
        // 100 are to be expected of one, 300 of the other, with a deviation of 8.7.
        assert!((40..=160).contains(&picked[&11]), "{picked:?}");
        assert_eq!(picked[&11] + picked[&12], 400);
    }
    fn one_backend_is_every_algorithms_choice(w) {
        for algorithm in 0..=algorithm::RANDOM {
            w.serve(WAY, algorithm, &[11]);
            assert_eq!(pick(w, 100 + algorithm as u16), 11);
        }
    }
}

xdp! {
    fn each_cpu_rotates_by_itself_and_both_are_even(w) {
        w.serve(WAY, algorithm::ROUND_ROBIN, &[11, 12]);
        let on = |cpu: usize, ports: std::ops::Range<u16>| {
            race::pin(cpu);
            ports.map(|port| pick(w, port)).collect::<Vec<_>>()
        };
        assert_eq!(on(0, 1..4), [11, 12, 11]);
        assert_eq!(on(1, 11..14), [11, 12, 11]);
        assert_eq!(on(0, 21..23), [12, 11]);
    }
    fn a_ring_that_is_replaced_serves_the_next_flow(w) {
        w.serve(WAY, algorithm::ROUND_ROBIN, &[11]);
        assert_eq!(pick(w, 1), 11);
        w.change(|view| {
            view.rings.insert(51, ring(&[1]));
            view.vips.get_mut(&0).unwrap().ring = 51;
        });
        assert_eq!(pick(w, 2), 1);
    }
}

/// The backend that a SYN from a port of the usual client goes to.
fn pick(w: &World, port: u16) -> u32 {
    w.connect(WAY, WAY.client_at(port)).backend_id
}

fn picks(w: &World, count: u16) -> Vec<u32> {
    picks_from(w, 1, count)
}

fn picks_from(w: &World, first: u16, count: u16) -> Vec<u32> {
    (first..first + count).map(|port| pick(w, port)).collect()
}

fn counted(picks: &[u32]) -> BTreeMap<u32, u32> {
    let mut counts = BTreeMap::new();
    for id in picks {
        *counts.entry(*id).or_insert(0) += 1;
    }
    counts
}

/// Round robin over the daemon's own table of some weights.
fn weighted(w: &mut World, weights: &[u32], flows: u16, wanted: [u32; 3]) {
    let table = rotation::table(weights, 65_537);
    let slots: Vec<u32> = table.iter().map(|index| 11 + u32::from(*index)).collect();
    w.serve(WAY, algorithm::ROUND_ROBIN, &slots);
    let picked = counted(&picks(w, flows));
    assert_eq!(picked, BTreeMap::from([(11, wanted[0]), (12, wanted[1]), (13, wanted[2])]));
}

/// Backends with so many flows already, opened through a VIP of each, then least connections
/// over all of them by these weights.
fn busy(w: &mut World, flows: &[(u32, u16)], weights: &[u32]) {
    for (id, count) in flows {
        w.serve(WAY, algorithm::MAGLEV, &[*id]);
        for port in 0..*count {
            assert_eq!(pick(w, 1000 * *id as u16 + port), *id);
        }
        assert_eq!(w.counters(*id).active, u64::from(*count));
    }
    let table = rotation::least_conn(weights, 65_537);
    let slots: Vec<u32> = table.iter().map(|index| 11 + u32::from(*index)).collect();
    w.serve(WAY, algorithm::LEAST_CONN, &slots);
    for ((id, _), weight) in flows.iter().zip(weights) {
        w.set_backend(*id, |b| b.weight = *weight);
    }
}

/// The slot of a ring that the flow of a port has.
fn maglev_slot(w: &World, port: u16, slots: u32) -> usize {
    let (client, vip) = (WAY.client_at(port), WAY.vip());
    let ports = u32::from(port.to_be()) | u32::from(vip.port().to_be()) << 16;
    let key = w.lane.config().choice_key;
    let hash = hash::flow(&key, &from_ip(client.ip()), &from_ip(vip.ip()), ports, 6);
    hash::index(hash, slots) as usize
}
