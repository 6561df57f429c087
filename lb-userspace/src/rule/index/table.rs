//! A hash table of eight bytes a key: half of the hash and what it stands for, side by side, so that a
//! look-up touches one cache line. Most look-ups of paths are for prefixes that aren't there: a Bloom
//! filter of two bytes a key, which stays in the cache, answers those. Keys whose halves and places
//! coincide are taken for each other; what is found is asked in any case.

use super::hash::Key;

/// From keys to numbers.
#[derive(Debug)]
pub(super) struct Table {
    /// A power of two of them, at most half in use.
    slots: Box<[(u32, u32)]>,
    /// A power of two of words, for each key two bits in one of them (Putze et al. 2007).
    filter: Box<[u64]>,
}

/// The number of an unused slot.
const UNUSED: u32 = u32::MAX;
/// Then one of a hundred keys that aren't there seems to be.
const KEYS_A_WORD: usize = 4;

impl Table {
    pub(super) fn new(pairs: impl ExactSizeIterator<Item = (Key, u32)>) -> Self {
        let size = (pairs.len() * 2).next_power_of_two();
        let words = pairs.len().div_ceil(KEYS_A_WORD).next_power_of_two();
        let mut table =
            Self { slots: vec![(0, UNUSED); size].into(), filter: vec![0; words].into() };
        for (key, number) in pairs {
            let (word, bits) = table.bits(key);
            table.filter[word] |= bits;
            let mut at = table.place(key);
            while table.slots[at].1 != UNUSED {
                at = (at + 1) & (size - 1);
            }
            table.slots[at] = (half(key), number);
        }
        table
    }

    /// Whether a key may be there; false only if it isn't.
    pub(super) fn may_have(&self, key: Key) -> bool {
        let (word, bits) = self.bits(key);
        self.filter[word] & bits == bits
    }

    /// All numbers of a key: one, unless two keys coincide.
    pub(super) fn get(&self, key: Key) -> impl Iterator<Item = u32> + use<'_> {
        let (from, half) = (self.place(key), half(key));
        let (behind, ahead) = self.slots.split_at(from);
        let used = ahead.iter().chain(behind).take_while(|(_, number)| *number != UNUSED);
        used.filter(move |(other, _)| *other == half).map(|&(_, number)| number)
    }

    fn bits(&self, key: Key) -> (usize, u64) {
        let word = (key >> 12) as usize & (self.filter.len() - 1);
        (word, 1 << (key & 63) | 1 << (key >> 6 & 63))
    }

    fn place(&self, key: Key) -> usize {
        key as usize & (self.slots.len() - 1)
    }
}

fn half(key: Key) -> u32 {
    (key >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_found_and_no_other() {
        let key = |n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(17);
        let table = Table::new((0..10_000_u32).map(|n| (key(u64::from(n)), n)));
        for n in 0..10_000_u32 {
            assert_eq!(table.get(key(u64::from(n))).collect::<Vec<_>>(), [n]);
            assert!(table.may_have(key(u64::from(n))));
        }
        assert!((10_000..90_000).all(|n| table.get(key(n)).count() == 0));
        let seeming = (10_000..90_000).filter(|&n| table.may_have(key(n))).count();
        assert!(seeming < 4_000, "{seeming} of 80,000 seem to be there");
    }

    #[test]
    fn keys_that_coincide_give_both_numbers() {
        let table = Table::new([(7, 1), (7, 2)].into_iter());
        assert_eq!(table.get(7).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(table.get(7 | 1 << 32).count(), 0);
    }

    #[test]
    fn an_empty_table_has_nothing() {
        assert_eq!(Table::new([].into_iter()).get(7).count(), 0);
    }
}
