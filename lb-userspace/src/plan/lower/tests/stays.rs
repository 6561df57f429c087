//! What stays the same from one view to the next.

use lb_common::vip::NO_RING;
use proptest::prelude::*;

use super::*;
use crate::plan::{FakeSink, MapSink as _, Op, Plan, RingView};

const A: &str = "10.0.0.1:80";
const B: &str = "10.0.0.2:80";
const C: &str = "10.0.0.3:80";

#[test]
fn the_same_snapshot_needs_no_steps() {
    let mut case = Case::web(&[A, B]);
    case.reach(&["10.0.0.1", "10.0.0.2"]);
    let before = case.step();
    assert_eq!(Plan::between(&before, &case.lower().view).ops, []);
}

#[test]
fn the_filter_of_nat_addresses_knows_those_that_were() {
    let mut case = Case::web(&[A]);
    case.reach(&["10.0.0.1"]);
    let before = case.step();
    let has_all = |view: &KernelView| {
        let bits = view.nats.values().map(|nat| lb_common::addr::bit(nat));
        !view.nats.is_empty() && view.config.nat_filter == bits.fold(0, |all, bit| all | bit)
    };
    assert!(has_all(&before), "{before:?}");
    case.service("web", &[]);
    let after = case.step();
    assert!(has_all(&after) && after.config.nat_filter == before.config.nat_filter, "{after:?}");
}

#[test]
fn the_same_ring_is_not_filled_again() {
    let mut case = Case::web(&[A, B]);
    let before = case.step();
    assert!(Arc::ptr_eq(&before.rings[&0], &case.lower().view.rings[&0]));
}

#[test]
fn backends_keep_their_ids_when_one_comes() {
    let mut case = Case::web(&[B]);
    case.step();
    case.service("web", &[A, B]);
    assert_eq!(ids(&case.lower().view), [(B.into(), 0), (A.into(), 1)].into());
}

#[test]
fn backends_keep_their_ids_when_one_goes() {
    let mut case = Case::web(&[A, B]);
    case.step();
    case.service("web", &[B]);
    assert_eq!(ids(&case.lower().view), [(B.into(), 1)].into());
}

#[test]
fn an_id_is_given_again_once_a_plan_has_dropped_it() {
    let mut case = Case::web(&[A, B]);
    case.step();
    case.service("web", &[B, C]);
    assert_eq!(ids(&case.step())[C], 2);
    case.service("web", &[A, B, C]);
    assert_eq!(ids(&case.step())[A], 0);
}

#[test]
fn a_change_of_health_swaps_rings_and_swaps_them_back() {
    let mut case = Case::web(&[A, B]);
    let rings = |view: &KernelView| view.rings.keys().copied().collect::<Vec<_>>();
    assert_eq!(rings(&case.step()), [0]);
    case.backend(A, |b| b.health = state(BackendState::Down));
    assert_eq!(rings(&case.step()), [1]);
    case.backend(A, |b| b.health = state(BackendState::Up));
    assert_eq!(rings(&case.step()), [0]);
}

#[test]
fn a_change_of_health_touches_three_entries() {
    let mut case = Case::web(&[A, B]);
    let before = case.step();
    case.backend(A, |b| b.health = state(BackendState::Down));
    let ops = Plan::between(&before, &case.lower().view).ops;
    let expected =
        matches!(ops[..], [Op::Backend(0, _), Op::Ring(1, _), Op::Vip(0, _), Op::DropRing(0)]);
    assert!(expected, "{ops:?}");
}

#[test]
fn vips_keep_their_ids() {
    let mut case = Case::web(&[A]);
    case.step();
    case.route("alt", "198.51.100.0:80", "web");
    assert_eq!(vips(&case.step()), ["198.51.100.1:80", "198.51.100.0:80"]);
    Arc::make_mut(&mut case.snapshot.routers).remove(&Case::id("web"));
    assert_eq!(case.lower().view.vips.keys().copied().collect::<Vec<_>>(), [1]);
}

#[test]
fn nat_addresses_stay_when_the_source_changes() {
    let mut case = Case::web(&[A]);
    case.reach(&["10.0.0.1"]);
    case.step();
    let source = Some("10.0.0.200".parse().unwrap());
    case.hops().insert("10.0.0.1".parse().unwrap(), NextHop { source, ..hop() });
    let view = case.step();
    assert_eq!((view.nats.len(), entry(&view, A).nat_first), (2, 1));
}

#[test]
fn a_ring_read_back_from_the_kernel_keeps_its_id() {
    let mut case = Case::web(&[A, B]);
    case.step();
    let ring = RingView::clone(&case.previous.rings[&0]);
    let vip = VipEntry { ring: 5, ..vip(&case.previous) };
    case.previous.rings = [(5, Arc::new(RingView { recipe: 0, ..ring }))].into();
    case.previous.vips = [(0, vip)].into();
    assert_eq!(Plan::between(&case.previous, &case.lower().view).ops, []);
}

#[test]
fn a_ring_read_back_that_differs_is_filled_anew() {
    let mut case = Case::web(&[A, B]);
    case.step();
    let mut ring = RingView { recipe: 0, ..RingView::clone(&case.previous.rings[&0]) };
    ring.slots.swap(0, 1);
    ring.slots[2] ^= 1;
    case.previous.rings = [(0, Arc::new(ring))].into();
    assert_eq!(vip(&case.lower().view).ring, 1);
}

/// What one backend may be like: absent, or with a weight and a state.
fn backends() -> impl Strategy<Value = Vec<Option<(u32, bool)>>> {
    prop::collection::vec(prop::option::of((0u32..4, any::<bool>())), 6)
}

/// A second service that comes, goes, stays the same or loses its router, and a network that changes.
fn beside(case: &mut Case, what: usize) {
    match what {
        0 => case.service("other", &["10.1.0.1:80", "10.1.0.2:80"]),
        1 => _ = case.snapshot.services.remove(&Case::id("other")),
        2 => case.reach(&["10.0.0.1", "10.1.0.1"]),
        3 => _ = Arc::make_mut(&mut case.snapshot.routers).remove(&Case::id("other")),
        4 if case.snapshot.services.contains_key(&Case::id("other")) => {
            case.route("other", "198.51.100.3:80", "other");
        }
        _ => {}
    }
}

proptest! {
    /// Whatever follows on whatever, no step leaves a loose end, what stays keeps its id, and the
    /// ring of a VIP is never refilled under it.
    #[test]
    fn any_history_is_safe_step_by_step(
        history in prop::collection::vec((backends(), any::<bool>(), 0usize..3, 0usize..6), 1..8),
    ) {
        let mut sink = FakeSink::default();
        let mut lowerer = Lowerer::default();
        let mut case = Case::new();
        case.settings.datapath.ring_size = 13;
        for (backends, second, algorithm, other) in history {
            let names: Vec<String> = (0..6).map(|i| format!("10.0.0.{i}:80")).collect();
            let present = names.iter().zip(&backends).filter(|(_, b)| b.is_some());
            let present: Vec<&str> = present.map(|(name, _)| name.as_str()).collect();
            case.service("web", &present);
            case.edit("web", |service| {
                service.algorithm =
                    [Algorithm::Maglev, Algorithm::RoundRobin, Algorithm::LeastConn][algorithm];
                for (backend, (weight, up)) in service.backends.iter_mut().zip(backends.iter().flatten()) {
                    backend.configured_weight = *weight;
                    backend.health = state(if *up { BackendState::Up } else { BackendState::Down });
                }
            });
            case.route("web", "198.51.100.1:80", "web");
            beside(&mut case, other);
            Arc::make_mut(&mut case.snapshot.routers).remove(&Case::id("alt"));
            if second {
                case.route("alt", "198.51.100.2:80", "web");
            }
            case.previous = sink.view.clone();
            let lowered = case.lower_by(&mut lowerer);
            prop_assert_eq!(&lowered, &case.lower(), "remembering changes nothing");
            let view = lowered.view;
            for op in Plan::between(&sink.view, &view).ops {
                if let Op::Ring(id, _) = &op {
                    prop_assert!(sink.view.vips.values().all(|vip| vip.ring != *id));
                }
                sink.apply(&op).unwrap();
            }
            prop_assert_eq!(&sink.view, &view);
            for (address, id) in ids(&case.previous) {
                let now = ids(&view).get(&address).copied();
                prop_assert!(now.is_none_or(|now| now == id), "{address} was {id}, is {now:?}");
            }
            let usable = backends.iter().flatten().any(|&(weight, up)| weight > 0 && up);
            let web = lb_common::hash::text(Case::id("web").to_string().as_bytes());
            let mut vips = view.vips.values().filter(|vip| vip.service == web);
            prop_assert!(vips.all(|vip| (vip.ring != NO_RING) == usable));
        }
    }
}
