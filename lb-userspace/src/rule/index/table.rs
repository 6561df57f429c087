//! A hash table of one byte a slot, as Abseil's Swiss tables have it, so that it stays in the cache:
//! eight slots are looked at together. What is in a slot is kept by whoever asks. Keys that seem the
//! same are taken for each other; what is found is asked in any case.

use super::hash::Key;

/// From keys to slots.
#[derive(Debug)]
pub(super) struct Table {
    /// By slot a byte of its key, or [`UNUSED`]; a whole group is unused behind the last.
    tags: Box<[u8]>,
    /// Slots that keys begin at: the others are for what finds those behind its own in use.
    places: u32,
}

const UNUSED: u8 = 0;
/// Tags that are compared at once.
const GROUP: usize = 8;

impl Table {
    /// Gives each key a slot; they are returned in the order of the keys.
    pub(super) fn new(keys: impl ExactSizeIterator<Item = Key>) -> (Self, Vec<u32>) {
        // Three of four are in use: a key that isn't there has met the first unused one soon.
        let places = (keys.len() + keys.len() / 3 + 1) as u32;
        let mut tags = vec![UNUSED; places as usize + GROUP];
        let slots = keys.map(|key| {
            let mut slot = place(key, places);
            while tags[slot] != UNUSED {
                slot += 1;
            }
            tags[slot] = tag(key);
            tags.resize(tags.len().max(slot + 1 + GROUP), UNUSED);
            slot as u32
        });
        let slots = slots.collect();
        (Self { tags: tags.into(), places }, slots)
    }

    /// How many slots there are.
    pub(super) fn size(&self) -> usize {
        self.tags.len()
    }

    /// The slots that may be a key's: one where it is there, rarely one where it isn't.
    pub(super) fn get(&self, key: Key) -> Slots<'_> {
        let mut slots = Slots {
            tags: &self.tags,
            wanted: u64::from(tag(key)) * EACH,
            at: place(key, self.places),
            hits: 0,
            is_last: false,
        };
        slots.look();
        slots
    }
}

/// What [`Table::get`] finds.
pub(super) struct Slots<'a> {
    tags: &'a [u8],
    /// The key's tag in each byte.
    wanted: u64,
    /// The first slot of the group at hand.
    at: usize,
    /// The highest bit of each byte in it that is the key's tag, and wasn't told yet.
    hits: u64,
    /// Whether the group has an unused slot: keys aren't kept beyond one.
    is_last: bool,
}

impl Slots<'_> {
    fn look(&mut self) {
        let group = self.tags[self.at..].first_chunk::<GROUP>();
        let group = group.map_or(0, |tags| u64::from_le_bytes(*tags));
        let unused = zeroes(group);
        let before = (unused & unused.wrapping_neg()).wrapping_sub(1);
        self.hits = zeroes(group ^ self.wanted) & before;
        self.is_last = unused != 0;
    }
}

impl Iterator for Slots<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        while self.hits == 0 {
            if self.is_last {
                return None;
            }
            self.at += GROUP;
            self.look();
        }
        let byte = self.hits.trailing_zeros() / 8;
        self.hits &= self.hits - 1;
        Some(self.at as u32 + byte)
    }
}

/// The lowest bit of each byte.
const EACH: u64 = 0x0101_0101_0101_0101;

/// The highest bit of each byte that is zero; above the first of them perhaps of one that is 1 too.
const fn zeroes(word: u64) -> u64 {
    word.wrapping_sub(EACH) & !word & (EACH << 7)
}

/// Where a key's slots begin.
fn place(key: Key, places: u32) -> usize {
    (((key & 0xffff_ffff) * u64::from(places)) >> 32) as usize
}

/// A byte of the key that has no part in its place.
fn tag(key: Key) -> u8 {
    ((key >> 56) as u8).max(UNUSED + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(keys: &[Key]) -> (Table, Vec<u32>) {
        Table::new(keys.iter().copied())
    }

    #[test]
    fn every_key_is_found_and_few_others() {
        let key = |n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(17);
        let (table, slots) = table(&(0..10_000).map(key).collect::<Vec<_>>());
        for n in 0..10_000 {
            assert!(table.get(key(n)).any(|slot| slot == slots[n as usize]));
        }
        let mut all = slots.clone();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), slots.len(), "each key has a slot of its own");
        assert!(all.iter().all(|slot| (*slot as usize) < table.size()));
        // A tag of 255 is met by chance in each of some slots.
        let seeming = (10_000..90_000).filter(|&n| table.get(key(n)).count() > 0).count();
        assert!(seeming < 4_000, "{seeming} of 80,000 seem to be there");
    }

    #[test]
    fn keys_that_coincide_have_both_slots() {
        let (table, slots) = table(&[7, 7]);
        assert_eq!(table.get(7).collect::<Vec<_>>(), slots);
        assert_eq!(table.get(7 | 1 << 60).count(), 0);
    }

    #[test]
    fn keys_of_the_last_place_are_found_behind_it() {
        let last = [0xffff_ffff; 30].map(|key: u64| key | 5 << 56);
        let (table, slots) = table(&last);
        assert_eq!(table.get(last[0]).collect::<Vec<_>>(), slots);
    }

    #[test]
    fn an_empty_table_has_nothing() {
        assert_eq!(table(&[]).0.get(7).count(), 0);
    }
}
