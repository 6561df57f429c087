//! A hash table of four bytes a slot, so that it stays in the cache: what a key stands for, and as much
//! of the key's hash as there is room beside it. Most look-ups of paths are for prefixes that aren't
//! there: a Bloom filter of two bytes a key answers those. Keys that seem the same are taken for each
//! other; what is found is asked in any case.

use super::hash::Key;

/// From keys to numbers.
#[derive(Debug)]
pub(super) struct Table {
    /// A power of two of them, at most two thirds in use: above `bits` a part of the key, below the
    /// number.
    slots: Box<[u32]>,
    bits: u32,
    /// A power of two of words, for each key two bits in one of them (Putze et al. 2007).
    filter: Box<[u64]>,
}

/// An unused slot: no number is that large.
const UNUSED: u32 = u32::MAX;
/// Then one of a hundred keys that aren't there seems to be.
const KEYS_A_WORD: usize = 4;

impl Table {
    pub(super) fn new(pairs: &[(Key, u32)]) -> Self {
        let largest = pairs.iter().map(|&(_, number)| number).max().unwrap_or_default();
        let size = (pairs.len() + pairs.len() / 2 + 1).next_power_of_two();
        let words = pairs.len().div_ceil(KEYS_A_WORD).next_power_of_two();
        let mut table = Self {
            // One more than the largest: a slot whose bits are all set is an unused one.
            bits: u32::BITS - (largest + 1).leading_zeros(),
            slots: vec![UNUSED; size].into(),
            filter: vec![0; words].into(),
        };
        for &(key, number) in pairs {
            let (word, bits) = table.filtered(key);
            table.filter[word] |= bits;
            let mut at = key as usize & (size - 1);
            while table.slots[at] != UNUSED {
                at = (at + 1) & (size - 1);
            }
            table.slots[at] = table.mark(key) | number;
        }
        table
    }

    /// Whether a key may be there; false only if it isn't.
    pub(super) fn may_have(&self, key: Key) -> bool {
        let (word, bits) = self.filtered(key);
        self.filter[word] & bits == bits
    }

    /// All numbers of a key: one, unless two keys seem the same.
    pub(super) fn get(&self, key: Key) -> impl Iterator<Item = u32> + use<'_> {
        let (mark, numbers) = (self.mark(key), (1 << self.bits) - 1);
        let place = key as usize & (self.slots.len() - 1);
        let (behind, ahead) = self.slots.split_at(place);
        let used = ahead.iter().chain(behind).take_while(|slot| **slot != UNUSED);
        used.filter(move |slot| **slot & !numbers == mark).map(move |slot| slot & numbers)
    }

    fn filtered(&self, key: Key) -> (usize, u64) {
        let word = (key >> 12) as usize & (self.filter.len() - 1);
        (word, 1 << (key & 63) | 1 << (key >> 6 & 63))
    }

    fn mark(&self, key: Key) -> u32 {
        (key >> 32) as u32 & !((1 << self.bits) - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_found_and_no_other() {
        let key = |n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(17);
        let table = Table::new(&(0..10_000).map(|n| (key(u64::from(n)), n)).collect::<Vec<_>>());
        for n in 0..10_000_u32 {
            assert!(table.get(key(u64::from(n))).any(|found| found == n));
            assert!(table.may_have(key(u64::from(n))));
        }
        // 14 bits are left for the number, 18 for the key: a few of 80,000 may seem to be there.
        let found = (10_000..90_000).filter(|&n| table.get(key(n)).count() > 0).count();
        assert!(found < 20, "{found} of 80,000 are found");
        let seeming = (10_000..90_000).filter(|&n| table.may_have(key(n))).count();
        assert!(seeming < 4_000, "{seeming} of 80,000 seem to be there");
    }

    #[test]
    fn keys_that_coincide_give_both_numbers() {
        let table = Table::new(&[(7, 1), (7, 2)]);
        assert_eq!(table.get(7).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(table.get(7 | 1 << 40).count(), 0);
    }

    #[test]
    fn an_empty_table_has_nothing() {
        assert_eq!(Table::new(&[]).get(7).count(), 0);
    }
}
