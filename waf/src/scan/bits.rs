//! A set of small numbers, one bit each.

/// Numbers from 0 to a bound that is fixed when the set is made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bits {
    words: Vec<u64>,
}

impl Bits {
    /// The empty set of numbers below `bound`.
    pub(crate) fn new(bound: usize) -> Self {
        Self { words: vec![0; bound.div_ceil(64)] }
    }

    /// Adds a number below the bound; others are ignored.
    pub(crate) fn insert(&mut self, number: usize) {
        if let Some(word) = self.words.get_mut(number / 64) {
            *word |= 1 << (number % 64);
        }
    }

    /// Takes a number out.
    pub(crate) fn remove(&mut self, number: usize) {
        if let Some(word) = self.words.get_mut(number / 64) {
            *word &= !(1 << (number % 64));
        }
    }

    /// The numbers in it, the smallest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = usize> {
        let empty = Self::default();
        std::iter::successors(self.next_in_either(&empty, 0), move |last| {
            self.next_in_either(&empty, last + 1)
        })
    }

    /// Whether the number is in the set.
    #[inline]
    pub(crate) fn contains(&self, number: usize) -> bool {
        self.words.get(number / 64).is_some_and(|word| word >> (number % 64) & 1 == 1)
    }

    /// Whether the bound is `bound`, to the next multiple of 64.
    pub(crate) fn holds(&self, bound: usize) -> bool {
        self.words.len() == bound.div_ceil(64)
    }

    /// Empties the set and gives it another bound.
    pub(crate) fn reset(&mut self, bound: usize) {
        self.words.clear();
        self.words.resize(bound.div_ceil(64), 0);
    }

    /// The smallest number, at least `from`, that is in either set.
    pub(crate) fn next_in_either(&self, other: &Self, from: usize) -> Option<usize> {
        let mut word = from / 64;
        let mut keep = u64::MAX << (from % 64);
        let words = self.words.len().max(other.words.len());
        let get = |bits: &Self, word: usize| bits.words.get(word).copied().unwrap_or(0);
        while word < words {
            let found = (get(self, word) | get(other, word)) & keep;
            if found != 0 {
                return Some(word * 64 + found.trailing_zeros() as usize);
            }
            keep = u64::MAX;
            word += 1;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::Bits;

    #[test]
    fn finds_what_was_inserted() {
        let mut left = Bits::new(200);
        let mut right = Bits::new(10);
        left.insert(0);
        left.insert(199);
        left.insert(500);
        right.insert(3);
        assert!(left.contains(199) && !left.contains(198) && !left.contains(500));
        let mut from = 0;
        let mut found = Vec::new();
        while let Some(next) = left.next_in_either(&right, from) {
            found.push(next);
            from = next + 1;
        }
        assert_eq!(found, [0, 3, 199]);
        assert_eq!(left.iter().collect::<Vec<_>>(), [0, 199]);
        left.remove(199);
        left.remove(500);
        assert_eq!(left.iter().collect::<Vec<_>>(), [0]);
    }
}
