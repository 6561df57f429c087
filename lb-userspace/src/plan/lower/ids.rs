//! Ids that stay with what they name.

use std::{collections::HashMap, collections::HashSet, hash::Hash};

/// Gives ids: the one that an object had, or the lowest that nothing has or had a moment ago.
pub(super) struct Ids<K, T> {
    known: HashMap<K, u32>,
    is_taken: T,
    next: u32,
    limit: u32,
}

impl<K: Hash + Eq> Ids<K, ()> {
    /// `previous`: who has which id now. Ids are below `limit`.
    pub(super) fn new(
        previous: impl IntoIterator<Item = (K, u32)>,
        limit: u32,
    ) -> Ids<K, impl Fn(u32) -> bool> {
        let known: HashMap<K, u32> = previous.into_iter().filter(|(_, id)| *id < limit).collect();
        let taken: HashSet<u32> = known.values().copied().collect();
        Ids { known, is_taken: move |id| taken.contains(&id), next: 0, limit }
    }

    /// As [`Ids::new`], told by [`Ids::know`] who has what.
    pub(super) fn beside<T: Fn(u32) -> bool>(is_taken: T, limit: u32) -> Ids<K, T> {
        Ids { known: HashMap::new(), is_taken, next: 0, limit }
    }
}

impl<K: Hash + Eq, T: Fn(u32) -> bool> Ids<K, T> {
    /// Ids below it are given.
    pub(super) fn limit(&self) -> u32 {
        self.limit
    }

    /// More of what has an id already.
    pub(super) fn know(&mut self, previous: impl IntoIterator<Item = (K, u32)>) {
        let limit = self.limit;
        self.known.extend(previous.into_iter().filter(|(_, id)| *id < limit));
    }

    /// The id of `key`; `None` when there are none left.
    pub(super) fn get(&mut self, key: K) -> Option<u32> {
        if let Some(&id) = self.known.get(&key) {
            return Some(id);
        }
        let id = (self.next..self.limit).find(|id| !(self.is_taken)(*id))?;
        self.next = id + 1;
        self.known.insert(key, id);
        Some(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_objects_keep_their_ids() {
        let mut ids = Ids::new([("a", 7), ("b", 0)], 10);
        assert_eq!([ids.get("b"), ids.get("a")], [Some(0), Some(7)]);
    }

    #[test]
    fn new_objects_get_the_lowest_free_ids() {
        let mut ids = Ids::new([("a", 1)], 10);
        assert_eq!(["b", "c", "b"].map(|key| ids.get(key)), [Some(0), Some(2), Some(0)]);
    }

    #[test]
    fn ids_of_the_forgotten_rest_until_they_are_dropped() {
        let mut ids = Ids::new([("gone", 0)], 10);
        assert_eq!(ids.get("new"), Some(1));
        assert_eq!(Ids::new([("new", 1)], 10).get("newer"), Some(0));
    }

    #[test]
    fn none_are_left_at_the_limit() {
        let mut ids = Ids::new([("a", 0)], 2);
        assert_eq!([ids.get("b"), ids.get("c")], [Some(1), None]);
    }

    #[test]
    fn ids_beyond_a_lowered_limit_are_given_anew() {
        assert_eq!(Ids::new([("a", 5)], 2).get("a"), Some(0));
    }
}
