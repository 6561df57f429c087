//! Tables of a weighted rotation: `roundRobin` reads them with a cursor,
//! `random` and `leastConn` from a random start.

use std::{cmp::Reverse, collections::BTreeMap};

use lb_common::vip::LEAST_CONN_WINDOW;

/// A table in which index `i` stands `weights[i]` times, spread as evenly as can be:
/// smooth weighted round-robin, as nginx introduced it in 1.3.1.
///
/// Its length is the sum of the weights over their greatest common divisor where
/// that fits `slots`, so that one way round is exact. Otherwise shares are rounded to
/// whole slots, at least one each while there are enough. `weights`: each 1 to 65,535.
pub fn table(weights: &[u32], slots: u32) -> Vec<u16> {
    let weights = fit(weights, slots);
    let total: i64 = weights.iter().map(|&weight| i64::from(weight)).sum();
    let mut classes = Class::all(&weights);
    let mut table = Vec::with_capacity(total as usize);
    for turn in 1..=total {
        let credit = |class: &&mut Class| (class.credit(turn, total), Reverse(class.head()));
        if let Some(class) = classes.iter_mut().max_by_key(credit) {
            table.push(class.head());
            class.taken += 1;
        }
    }
    table
}

/// Members of equal weight: they take their turns one after the other, so that it is enough to
/// compare classes, of which there are at most 362 when the weights add up to 65,537.
struct Class {
    weight: i64,
    members: Vec<u16>,
    taken: usize,
}

impl Class {
    fn all(weights: &[u32]) -> Vec<Self> {
        let mut by_weight: BTreeMap<u32, Vec<u16>> = BTreeMap::new();
        for (index, &weight) in weights.iter().enumerate() {
            by_weight.entry(weight).or_default().push(index as u16);
        }
        let class = |(weight, members)| Self { weight: i64::from(weight), members, taken: 0 };
        by_weight.into_iter().map(class).collect()
    }

    /// Whose turn it is.
    fn head(&self) -> u16 {
        self.members[self.taken % self.members.len()]
    }

    /// What that one has gained by now, its weight each turn, less what its turns cost.
    fn credit(&self, turn: i64, total: i64) -> i64 {
        turn * self.weight - (self.taken / self.members.len()) as i64 * total
    }
}

/// As [`table`], for least connections, which compares a window of
/// [`LEAST_CONN_WINDOW`] neighbours: few backends alternate whatever their
/// weights, so that every window holds them all and the comparison, which
/// divides by weight, is exact.
pub fn least_conn(weights: &[u32], slots: u32) -> Vec<u16> {
    if weights.len() <= LEAST_CONN_WINDOW as usize {
        (0..weights.len() as u16).collect()
    } else {
        table(weights, slots)
    }
}

/// Weights whose sum is at most `slots` (or one each for the first `slots` of
/// them), in the same proportions.
fn fit(weights: &[u32], slots: u32) -> Vec<u32> {
    let divisor = weights.iter().copied().fold(0, gcd).max(1);
    let total: u64 = weights.iter().map(|&weight| u64::from(weight)).sum();
    if total / u64::from(divisor) <= u64::from(slots) {
        return weights.iter().map(|weight| weight / divisor).collect();
    }
    let rest = u64::from(slots).saturating_sub(weights.len() as u64);
    let small = weights.iter().filter(|&&weight| u64::from(weight) * rest < total).count();
    // Those whose share is less than a slot get one all the same, the others share what is left.
    let shared = u64::from(slots).saturating_sub(small as u64);
    let scale = |&weight: &u32| (u64::from(weight) * shared / total).max(1) as u32;
    weights.iter().take(slots as usize).map(scale).collect()
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SLOTS: u32 = 65_537;

    fn counts(table: &[u16], n: usize) -> Vec<u32> {
        let mut counts = vec![0; n];
        for &index in table {
            counts[usize::from(index)] += 1;
        }
        counts
    }

    macro_rules! rotations {
        ($($name:ident: $weights:expr => $table:expr;)+) => {
            $(#[test]
            fn $name() {
                assert_eq!(table(&$weights, SLOTS), $table);
            })+
        };
    }

    rotations! {
        equal_weights_rotate_a_b_c: [1, 1, 1] => [0, 1, 2];
        equal_larger_weights_rotate_a_b_c: [9, 9, 9] => [0, 1, 2];
        double_weight_rotates_a_b_c_a: [2, 1, 1] => [0, 1, 2, 0];
        weights_40_20_40_share_exactly: [40, 20, 40] => [0, 2, 1, 0, 2];
        heavy_ones_are_not_bunched: [5, 1, 1] => [0, 0, 1, 0, 2, 0, 0];
        light_ones_are_not_bunched: [4, 1, 1, 1, 1] => [0, 1, 0, 2, 3, 0, 4, 0];
        one_backend_stands_alone: [65_535] => [0];
        no_backend_makes_an_empty_table: [] => [0u16; 0];
    }

    #[test]
    fn a_sum_that_just_fits_is_exact() {
        assert_eq!(counts(&table(&[65_535, 2], SLOTS), 2), [65_535, 2]);
    }

    #[test]
    fn a_sum_that_does_not_fit_is_proportional() {
        let weights = [65_535, 65_534, 1];
        assert_eq!(counts(&table(&weights, SLOTS), 3), [32_768, 32_767, 1]);
    }

    #[test]
    fn more_backends_than_slots_fill_the_table_all_the_same() {
        assert_eq!(table(&[1; 10], 7), [0, 1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn few_backends_alternate_for_least_connections() {
        assert_eq!(least_conn(&[10, 1, 1], SLOTS), [0, 1, 2]);
        assert_eq!(least_conn(&[10, 1, 1, 3], SLOTS), [0, 1, 2, 3]);
    }

    #[test]
    fn more_backends_come_by_weight_for_least_connections() {
        assert_eq!(counts(&least_conn(&[4, 2, 2, 2, 2], SLOTS), 5), [2, 1, 1, 1, 1]);
    }

    proptest! {
        #[test]
        fn windows_of_up_to_four_backends_hold_them_all(
            weights in prop::collection::vec(1u32..=65_535, 1..=4),
            start in 0usize..4,
        ) {
            let table = least_conn(&weights, SLOTS);
            let mut window: Vec<u16> = table.iter().copied().cycle()
                .skip(start).take(LEAST_CONN_WINDOW as usize).collect();
            window.sort_unstable();
            window.dedup();
            prop_assert_eq!(window.len(), weights.len());
        }

        #[test]
        fn one_way_round_is_exact_where_it_fits(
            weights in prop::collection::vec(1u32..=100, 1..20),
            factor in 1u32..=300,
        ) {
            let scaled: Vec<u32> = weights.iter().map(|weight| weight * factor).collect();
            let divisor = weights.iter().copied().fold(0, gcd);
            let exact: Vec<u32> = weights.iter().map(|weight| weight / divisor).collect();
            prop_assert_eq!(counts(&table(&scaled, SLOTS), weights.len()), exact);
        }

        #[test]
        fn tables_fit_and_leave_nobody_out(
            weights in prop::collection::vec(1u32..=65_535, 1..100),
            slots in 100u32..1_000,
        ) {
            let table = table(&weights, slots);
            prop_assert!(table.len() <= slots as usize);
            prop_assert!(counts(&table, weights.len()).iter().all(|&count| count > 0));
        }
    }
}
