//! Many byte sets asked at once: one pass over a value tells which of up to
//! 128 sets have a byte in it. What the sets are for is the engine's business.

use crate::ByteSet;

/// Up to 128 byte sets, turned into one table by byte: set `n` is bit `n`.
///
/// The cost of a question does not depend on how many sets there are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ByteClasses {
    /// For each byte the sets that have it, the first 64 in the first word: as
    /// two words the compiler joins them in one vector register, which it does
    /// not do with a `u128`. 4 KiB: it stays in the first cache.
    table: Box<[[u64; 2]; 256]>,
}

/// From this length on it is faster to learn first which bytes occur.
/// Measured.
const LONG: usize = 512;

impl ByteClasses {
    /// How many sets there may be.
    pub const CAPACITY: usize = u128::BITS as usize;

    /// The table of `sets`: bit `n` of a mask stands for `sets[n]`. Sets beyond
    /// [`CAPACITY`](Self::CAPACITY) are left out; callers split longer lists.
    #[must_use]
    pub fn new(sets: &[ByteSet]) -> Self {
        let mut table = Box::new([[0; 2]; 256]);
        for (byte, words) in (0..=u8::MAX).zip(table.iter_mut()) {
            for (number, set) in sets.iter().take(Self::CAPACITY).enumerate() {
                words[number / 64] |= u64::from(set.contains(byte)) << (number % 64);
            }
        }
        Self { table }
    }

    /// The sets of which at least one byte occurs in `bytes`.
    #[must_use]
    pub fn present(&self, bytes: &[u8]) -> u128 {
        if bytes.len() < LONG {
            self.join(bytes.iter().copied())
        } else {
            self.present_in(ByteSet::occurring_in(bytes))
        }
    }

    /// The sets that have a byte in common with `present`: the answer of
    /// [`present`](Self::present) for a value that holds exactly those bytes.
    #[must_use]
    pub fn present_in(&self, present: ByteSet) -> u128 {
        self.join(present.iter())
    }

    #[inline]
    fn join(&self, bytes: impl Iterator<Item = u8>) -> u128 {
        let [low, high] = bytes.fold([0, 0], |found: [u64; 2], byte| {
            let [low, high] = self.table[usize::from(byte)];
            [found[0] | low, found[1] | high]
        });
        u128::from(high) << 64 | u128::from(low)
    }
}

#[cfg(test)]
mod tests {
    use super::ByteClasses;
    use crate::ByteSet;

    /// The sets that meet `bytes`, one after the other.
    fn naive(sets: &[ByteSet], bytes: &[u8]) -> u128 {
        let present = ByteSet::of(bytes);
        (0..sets.len()).fold(0, |found, bit| found | u128::from(sets[bit].intersects(present)) << bit)
    }

    #[test]
    fn agrees_with_asking_each_set() {
        let mut random = 0x9e37_79b9_7f4a_7c15u64;
        let mut next = || {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random
        };
        for count in [0, 1, 3, 64, 127, 128] {
            let sets: Vec<ByteSet> = (0..count)
                .map(|_| {
                    let bytes: Vec<u8> = (0..next() % 6).map(|_| next() as u8).collect();
                    ByteSet::of(&bytes)
                })
                .collect();
            let classes = ByteClasses::new(&sets);
            for length in (0..40).chain([511, 512, 513, 1000]) {
                let bytes: Vec<u8> = (0..length).map(|_| next() as u8).collect();
                let expected = naive(&sets, &bytes);
                assert_eq!(classes.present(&bytes), expected, "{count} sets, {length} bytes");
                assert_eq!(classes.present_in(ByteSet::of(&bytes)), expected);
            }
        }
    }

    #[test]
    fn sets_beyond_the_capacity_are_left_out() {
        let classes = ByteClasses::new(&[ByteSet::of(b"a"); ByteClasses::CAPACITY + 5]);
        assert_eq!((classes.present(b"xa"), classes.present(b"x")), (u128::MAX, 0));
    }
}
