//! What is known about any number of keys, in memory that does not grow: sets of eight entries, each locked by itself.
//!
//! A key that finds its set full takes the place of the entry that weighs least. So a flood of keys drives out first what
//! matters least, and nobody who has much against him.

use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Entries of a set.
pub const WAYS: usize = 8;

/// A table of entries; an empty place is a default entry.
pub struct Sets<T> {
    /// Keyed with a random start, so that nobody can choose keys that share a set.
    hasher: RandomState,
    sets: Box<[Mutex<[T; WAYS]>]>,
}

impl<T: Copy + Default> Sets<T> {
    /// Empty, with this many sets, at least one.
    pub fn new(count: usize) -> Self {
        Self { hasher: RandomState::new(), sets: (0..count.max(1)).map(|_| Mutex::default()).collect() }
    }

    /// What stands for a key in this table.
    pub fn hash(&self, key: impl Hash) -> u64 {
        self.hasher.hash_one(key)
    }

    /// Changes the entry that `is_it` tells, or else an empty one in the place of that with the least `weight`.
    pub fn change<W: Ord, R>(
        &self,
        hash: u64,
        is_it: impl Fn(&T) -> bool,
        weight: impl Fn(&T) -> W,
        change: impl FnOnce(&mut T) -> R,
    ) -> R {
        let mut set = self.lock(hash);
        let place = set.iter().position(is_it).unwrap_or_else(|| {
            let least = set.iter().enumerate().min_by_key(|(_, entry)| weight(entry));
            let place = least.map_or(0, |(place, _)| place);
            set[place] = T::default();
            place
        });
        change(&mut set[place])
    }

    /// Empties the places of all entries of a key that `is_it` tells.
    pub fn forget(&self, hash: u64, is_it: impl Fn(&T) -> bool) {
        self.lock(hash).iter_mut().filter(|entry| is_it(entry)).for_each(|entry| *entry = T::default());
    }

    /// All places, the empty ones among them.
    #[cfg(test)]
    pub fn entries(&self) -> Vec<T> {
        let locked = |set: &Mutex<[T; WAYS]>| *set.lock().unwrap_or_else(PoisonError::into_inner);
        self.sets.iter().flat_map(locked).collect()
    }

    fn lock(&self, hash: u64) -> MutexGuard<'_, [T; WAYS]> {
        self.sets[hash as usize % self.sets.len()].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> std::fmt::Debug for Sets<T> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Sets").field("sets", &self.sets.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lightest_entry_makes_room() {
        let sets = Sets::<(u64, u64)>::new(1);
        let add = |key: u64, weight: u64| {
            sets.change(
                key,
                |entry| entry.0 == key,
                |entry| entry.1,
                |entry| {
                    *entry = (key, entry.1 + weight);
                    entry.1
                },
            )
        };
        for key in 1..=8 {
            assert_eq!(add(key, 10 * key), 10 * key);
        }
        assert_eq!(add(1, 90), 100, "it is found again");
        assert_eq!(add(9, 5), 5);
        let keys = || {
            let mut keys: Vec<u64> = sets.entries().iter().map(|entry| entry.0).collect();
            keys.sort_unstable();
            keys
        };
        assert_eq!(keys(), [1, 3, 4, 5, 6, 7, 8, 9], "the second was the lightest");
        sets.forget(1, |entry| entry.0 == 1);
        assert_eq!(keys(), [0, 3, 4, 5, 6, 7, 8, 9]);
    }
}
