//! The weights of a step.

/// Weights under which `percent` of what both groups get goes to the second, shared within each as
/// configured; others keep their share. A group that is configured with nothing but 0 is shared
/// evenly. In the order given: `from`, `to`, `others`.
pub fn weights(
    from: &[u32],
    to: &[u32],
    others: &[u32],
    percent: u32,
) -> (Vec<u32>, Vec<u32>, Vec<u32>) {
    let sum = |group: &[u32]| group.iter().map(|&weight| u128::from(weight)).sum::<u128>();
    // What both have of all, which a group of zeros adds nothing to.
    let both = (sum(from) + sum(to)).max(1);
    let even = |group: &[u32]| match sum(group) {
        0 => vec![1; group.len()],
        _ => group.to_vec(),
    };
    let (from, to) = (even(from), even(to));
    let (sum_from, sum_to, percent) = (sum(&from), sum(&to), u128::from(percent.min(100)));
    let scale = |group: &[u32], by: u128| -> Vec<u128> {
        group.iter().map(|&weight| u128::from(weight) * by).collect()
    };
    let mut all = scale(&from, sum_to * both * (100 - percent));
    all.extend(scale(&to, sum_from * both * percent));
    all.extend(scale(others, sum_from * sum_to * 100));
    let mut all = reduced(&all);
    let rest = all.split_off(from.len() + to.len());
    let second = all.split_off(from.len());
    (all, second, rest)
}

/// The same proportions in numbers up to 65,535; what isn't 0 stays above it.
fn reduced(all: &[u128]) -> Vec<u32> {
    const MOST: u128 = 65_535;
    let common = all.iter().copied().fold(0, gcd).max(1);
    let largest = all.iter().max().copied().unwrap_or_default() / common;
    let fit = |weight: u128| {
        let weight = weight / common;
        let fitting = if largest > MOST { weight * MOST / largest } else { weight };
        if weight > 0 { fitting.max(1) } else { 0 }
    };
    all.iter().map(|&weight| u32::try_from(fit(weight)).unwrap_or(u32::MAX)).collect()
}

fn gcd(a: u128, b: u128) -> u128 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    macro_rules! cases {
        ($($test:ident: $from:expr, $to:expr, $others:expr, $percent:expr
            => $a:expr, $b:expr, $c:expr;)+) => {
            $(#[test]
            fn $test() {
                let expected = ($a.to_vec(), $b.to_vec(), $c.to_vec());
                assert_eq!(weights(&$from, &$to, &$others, $percent), expected);
            })+
        };
    }

    cases! {
        a_tenth: [1], [1], [0; 0], 10 => [9], [1], [0; 0];
        half: [90], [10], [0; 0], 50 => [1], [1], [0; 0];
        all: [1], [1], [0; 0], 100 => [0], [1], [0; 0];
        nothing: [1], [1], [0; 0], 0 => [1], [0], [0; 0];
        new_part_is_configured_with_zero: [100], [0], [0; 0], 10 => [9], [1], [0; 0];
        groups_of_two_sizes: [1, 1], [1], [0; 0], 50 => [1, 1], [2], [0; 0];
        weights_within_a_group_stay: [3, 1], [1, 1], [0; 0], 50 => [3, 1], [2, 2], [0; 0];
        others_keep_their_share: [1], [1], [2], 50 => [1], [1], [2];
        others_keep_their_share_at_a_tenth: [1], [1], [2], 10 => [9], [1], [10];
        others_beside_a_new_part: [2], [0], [2], 50 => [1], [1], [2];
    }

    proptest! {
        #[test]
        fn share_is_right(
            from in prop::collection::vec(0_u32..100, 1..5),
            to in prop::collection::vec(0_u32..100, 1..5),
            percent in 1_u32..100,
        ) {
            let (a, b, _) = weights(&from, &to, &[], percent);
            let (a, b): (u32, u32) = (a.iter().sum(), b.iter().sum());
            let share = f64::from(b) * 100.0 / f64::from(a + b);
            prop_assert!((share - f64::from(percent)).abs() < 0.5, "{share} {percent}");
        }
    }
}
