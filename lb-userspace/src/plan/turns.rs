//! Who comes next, by weight, in an order that nobody's leaving disturbs.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
};

/// Ticks (log 2) in which a member of weight `w` takes `w` turns.
const PERIOD_BITS: u32 = 40;

/// An endless sequence of indices in which each comes up as often as its weight says.
///
/// Each member accumulates its weight at every tick, starting from half a
/// threshold, and takes a turn when it has a whole one: its turns fall at
/// `(k + 1/2) / weight` periods. Those times depend on nobody else, so that
/// without one member the rest follow each other as before. Ties go to the
/// heavier, then to the lower index.
pub(super) struct Turns {
    /// When each class comes next, and which it is.
    queue: BinaryHeap<Reverse<(u64, usize)>>,
    /// Members of equal weight, which always come one after the other.
    classes: Vec<Class>,
    /// The class whose turn it is, and how many of it have had theirs.
    current: (usize, usize),
}

struct Class {
    step: u64,
    members: Vec<usize>,
}

impl Turns {
    /// `weights`: each from 1 to 65,535. Weights below `least` get their first turn before all others.
    pub(super) fn new(weights: impl IntoIterator<Item = u32>, least: u64) -> Self {
        let mut by_weight: BTreeMap<Reverse<u32>, Vec<usize>> = BTreeMap::new();
        for (index, weight) in weights.into_iter().enumerate() {
            by_weight.entry(Reverse(weight.max(1))).or_default().push(index);
        }
        let mut turns = Self { queue: BinaryHeap::new(), classes: Vec::new(), current: (0, 0) };
        for (Reverse(weight), members) in by_weight {
            let step = (1 << PERIOD_BITS) / u64::from(weight);
            let first = if u64::from(weight) < least { 0 } else { step / 2 };
            turns.queue.push(Reverse((first, turns.classes.len())));
            turns.classes.push(Class { step, members });
        }
        turns.advance();
        turns
    }

    /// Takes the next class from the queue and puts it back for its next turn.
    fn advance(&mut self) {
        if let Some(mut top) = self.queue.peek_mut() {
            let Reverse((time, class)) = &mut *top;
            self.current = (*class, 0);
            *time += self.classes[*class].step;
        }
    }
}

impl Iterator for Turns {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let (class, had) = self.current;
        let members = &self.classes.get(class)?.members;
        let index = members[had];
        self.current.1 += 1;
        if self.current.1 == members.len() {
            self.advance();
        }
        Some(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(weights: &[u32], n: usize) -> Vec<usize> {
        Turns::new(weights.iter().copied(), 0).take(n).collect()
    }

    #[test]
    fn equal_weights_take_turns_in_order() {
        assert_eq!(first(&[7, 7, 7], 7), [0, 1, 2, 0, 1, 2, 0]);
    }

    #[test]
    fn heavy_ones_come_more_often() {
        assert_eq!(first(&[1, 4, 1], 7), [1, 1, 0, 2, 1, 1, 1]);
    }

    #[test]
    fn nobody_gives_an_empty_sequence() {
        assert_eq!(first(&[], 3), [0usize; 0]);
    }

    #[test]
    fn without_one_the_others_keep_their_order() {
        let with = first(&[5, 3, 65_535, 1, 3], 200_000).into_iter().filter(|&i| i != 2);
        let renamed: Vec<usize> = with.map(|i| if i > 2 { i - 1 } else { i }).take(20).collect();
        assert_eq!(renamed, first(&[5, 3, 1, 3], 20));
    }

    #[test]
    fn the_lightest_come_first_once_where_asked_to() {
        assert_eq!(Turns::new([100, 1], 2).take(4).collect::<Vec<_>>(), [1, 0, 0, 0]);
    }
}
