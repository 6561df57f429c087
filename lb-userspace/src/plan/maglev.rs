//! Maglev rings (Eisenbud et al., "Maglev: A Fast and Reliable Software Network
//! Load Balancer", NSDI 2016, §3.4), filled by accumulated weights.
//!
//! Each backend walks its own permutation of the slots and claims the next free
//! one at each of its turns. Turns come by weight and in an order that doesn't
//! depend on who else is there (see [`super::turns::Turns`]), so that a backend
//! that leaves moves few slots of the others.

use lb_common::hash;

use super::turns::Turns;

/// A slot that nobody has claimed yet; no index, as a ring has fewer members.
const FREE: u16 = u16::MAX;

/// A backend as the ring sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// What it is known by on every host: [`identity`] of its address.
    pub identity: u64,
    /// 1 to 65,535.
    pub weight: u32,
}

/// Identity of a backend in rings: the hash of `address:port`, the same for every
/// service, host and version, so that several balancers compute the same ring.
pub fn identity(address: std::net::SocketAddr) -> u64 {
    hash::text(address.to_string().as_bytes())
}

/// Fills a ring: for each of `slots` slots an index into `members`. Every member
/// gets at least one slot while there are enough of them. `slots`, from 3 to 65,537,
/// is rounded down to a prime; no members make an empty ring. The order of `members`
/// changes the indices alone.
pub fn ring(members: &[Member], slots: u32) -> Vec<u16> {
    let slots = prime_up_to(slots);
    if members.is_empty() {
        return Vec::new();
    }
    let mut order: Vec<u16> = (0..members.len() as u16).collect();
    order.sort_by_key(|&index| members[usize::from(index)].identity);
    let mut walks: Vec<Walk> =
        order.iter().map(|&index| Walk::new(members[usize::from(index)].identity, slots)).collect();
    let mut ring = vec![FREE; slots as usize];
    for turn in turns(members, &order, slots).take(slots as usize) {
        let slot = walks[turn].claim(&ring, slots);
        ring[slot] = order[turn];
    }
    ring
}

/// Turns of the members in the given order. One whose share is less than half
/// a slot would get none: it claims its single slot first.
fn turns(members: &[Member], order: &[u16], slots: u32) -> Turns {
    let weight = |index: &u16| members[usize::from(*index)].weight.clamp(1, 65_535);
    let total: u64 = order.iter().map(|index| u64::from(weight(index))).sum();
    Turns::new(order.iter().map(weight), total.div_ceil(2 * u64::from(slots)))
}

/// A backend's way through its permutation: `offset, offset + skip, …` modulo a prime.
struct Walk {
    next: u32,
    skip: u32,
}

impl Walk {
    fn new(identity: u64, slots: u32) -> Self {
        Self {
            next: hash::index(identity, slots),
            skip: 1 + hash::index(hash::finish(identity ^ 0x9e37_79b9_7f4a_7c15), slots - 1),
        }
    }

    /// The next free slot. The caller knows that there is one.
    fn claim(&mut self, ring: &[u16], slots: u32) -> usize {
        loop {
            let slot = self.next as usize;
            // Modulo by minimum: the branch would be mispredicted half the time.
            let ahead = self.next + self.skip;
            self.next = ahead.min(ahead.wrapping_sub(slots));
            if ring[slot] == FREE {
                return slot;
            }
        }
    }
}

/// The largest prime that is at most `n`; 3 where there is none from 3 on.
pub fn prime_up_to(n: u32) -> u32 {
    let is_prime = |n: u32| (2..).take_while(|d| d * d <= n).all(|d| !n.is_multiple_of(d));
    (3..=n.min(lb_common::ring::RING_SLOTS as u32)).rev().find(|&n| is_prime(n)).unwrap_or(3)
}

#[cfg(test)]
mod tests {
    use lb_common::ring::{RING_MEMBERS, RING_SLOTS};
    use proptest::prelude::*;

    use super::*;

    const SLOTS: u32 = RING_SLOTS as u32;

    fn members(n: usize, weight: impl Fn(usize) -> u32) -> Vec<Member> {
        let address = |i: usize| format!("10.{}.{}.{}:80", i >> 16, i >> 8 & 255, i & 255);
        (0..n)
            .map(|i| Member { identity: identity(address(i).parse().unwrap()), weight: weight(i) })
            .collect()
    }

    fn counts(ring: &[u16], members: usize) -> Vec<u32> {
        let mut counts = vec![0; members];
        for &slot in ring {
            counts[usize::from(slot)] += 1;
        }
        counts
    }

    /// Share of all slots, in percent, that change hands between two that stay when `gone` leaves.
    fn unrelated_moves(before: &[Member], gone: usize) -> f64 {
        let mut after = before.to_vec();
        after.remove(gone);
        let old = ring(before, SLOTS).into_iter().map(usize::from);
        let new = ring(&after, SLOTS).into_iter().map(usize::from);
        let named = new.map(|index| if index >= gone { index + 1 } else { index });
        let moved = old.zip(named).filter(|&(old, new)| old != gone && old != new).count();
        moved as f64 * 100.0 / f64::from(SLOTS)
    }

    fn assert_few_moves(before: &[Member]) {
        for gone in 0..before.len() {
            let share = unrelated_moves(before, gone);
            assert!(share < 1.0, "{share:.2}% moved when number {gone} left");
        }
    }

    #[test]
    fn one_of_100_equal_backends_leaves_and_few_unrelated_slots_move() {
        assert_few_moves(&members(100, |_| 1));
    }

    #[test]
    fn one_of_100_mixed_backends_leaves_and_few_unrelated_slots_move() {
        assert_few_moves(&members(100, |i| 1 + (i as u32 * 7) % 10));
    }

    #[test]
    fn the_only_heavy_one_of_100_leaves_and_few_unrelated_slots_move() {
        assert!(unrelated_moves(&members(100, |i| if i == 40 { 10 } else { 3 }), 40) < 1.5);
    }

    #[test]
    fn a_backend_that_returns_gets_its_slots_back() {
        let all = members(100, |i| 1 + i as u32 % 3);
        let before = ring(&all, SLOTS);
        assert_eq!(ring(&all, SLOTS), before);
    }

    #[test]
    fn equal_weights_get_equal_shares() {
        for count in counts(&ring(&members(7, |_| 3), SLOTS), 7) {
            assert!(count.abs_diff(SLOTS / 7) <= 1, "{count}");
        }
    }

    #[test]
    fn shares_follow_weights() {
        let members = members(4, |i| [40, 20, 40, 1][i]);
        let counts = counts(&ring(&members, SLOTS), 4);
        for (count, weight) in counts.iter().zip([40, 20, 40, 1]) {
            assert!(count.abs_diff(SLOTS * weight / 101) <= 1, "{counts:?}");
        }
    }

    #[test]
    fn the_lightest_get_a_slot_too() {
        let members = members(200, |i| if i < 100 { 65_535 } else { 1 });
        let counts = counts(&ring(&members, SLOTS), 200);
        assert!(counts[100..].iter().all(|&count| count == 1), "{counts:?}");
    }

    #[test]
    fn the_order_of_members_makes_no_difference() {
        let forward = members(50, |i| 1 + i as u32 % 4);
        let backward: Vec<_> = forward.iter().rev().copied().collect();
        let turned: Vec<u16> = ring(&backward, SLOTS).iter().map(|&index| 49 - index).collect();
        assert_eq!(ring(&forward, SLOTS), turned);
    }

    #[test]
    fn other_ids_of_the_same_backends_make_the_same_ring() {
        let a = identity("192.0.2.1:80".parse().unwrap());
        assert_eq!(a, hash::text(b"192.0.2.1:80"));
    }

    #[test]
    fn one_backend_fills_the_ring() {
        assert_eq!(ring(&members(1, |_| 5), SLOTS), vec![0; RING_SLOTS]);
    }

    #[test]
    fn no_backend_makes_an_empty_ring() {
        assert!(ring(&[], SLOTS).is_empty());
    }

    #[test]
    fn the_most_members_all_get_slots() {
        let members = members(RING_MEMBERS, |i| 1 + i as u32 % 100);
        assert!(counts(&ring(&members, SLOTS), RING_MEMBERS).iter().all(|&count| count > 0));
    }

    #[test]
    fn more_members_than_slots_fill_the_ring_all_the_same() {
        assert_eq!(ring(&members(300, |_| 1), 251).len(), 251);
    }

    #[test]
    fn sizes_are_rounded_down_to_primes() {
        let sizes = [0, 3, 4, 4_096, 65_536, 65_537, u32::MAX];
        assert_eq!(sizes.map(prime_up_to), [3, 3, 3, 4_093, 65_521, 65_537, 65_537]);
    }

    proptest! {
        #[test]
        fn every_slot_is_claimed_by_a_member(
            weights in prop::collection::vec(1u32..=65_535, 1..40),
            slots in 3u32..2_000,
        ) {
            let members = members(weights.len(), |i| weights[i]);
            let ring = ring(&members, slots);
            prop_assert_eq!(ring.len() as u32, prime_up_to(slots));
            prop_assert!(ring.iter().all(|&index| usize::from(index) < members.len()));
        }

        #[test]
        fn shares_are_within_two_slots_of_the_weights(
            weights in prop::collection::vec(1u32..=65_535, 1..40),
        ) {
            let members = members(weights.len(), |i| weights[i]);
            let total: f64 = weights.iter().map(|&w| f64::from(w)).sum();
            let counts = counts(&ring(&members, 4_093), members.len());
            for (count, weight) in counts.iter().zip(&weights) {
                let fair = 4_093.0 * f64::from(*weight) / total;
                prop_assert!((f64::from(*count) - fair).abs() <= 2.0, "{count} for {fair}");
            }
        }
    }
}
