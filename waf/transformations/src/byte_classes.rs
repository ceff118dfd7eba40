//! Many byte sets asked at once: one pass over a value tells which of up to
//! 128 sets have a byte in it. What the sets are for is the engine's business.

use crate::ByteSet;

/// Up to 128 byte sets, turned into one table by byte: set `n` is bit `n`.
///
/// The cost of a question does not depend on how many sets there are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ByteClasses {
    /// For each byte the sets that have it. 4 KiB: it stays in the first cache.
    table: Box<[u128; 256]>,
    /// The sets that have any byte: what the longest pass can find.
    all: u128,
}

/// How many bytes of a long value are read between two looks at whether every
/// set is found already.
const BLOCK: usize = 256;

impl ByteClasses {
    /// How many sets there may be.
    pub const CAPACITY: usize = u128::BITS as usize;

    /// The table of `sets`: bit `n` of a mask stands for `sets[n]`. Sets beyond
    /// [`CAPACITY`](Self::CAPACITY) are left out; callers split longer lists.
    #[must_use]
    pub fn new(sets: &[ByteSet]) -> Self {
        let mut table = Box::new([0; 256]);
        let mut all = 0;
        for (byte, mask) in (0..=u8::MAX).zip(table.iter_mut()) {
            for (bit, set) in sets.iter().take(Self::CAPACITY).enumerate() {
                *mask |= u128::from(set.contains(byte)) << bit;
            }
            all |= *mask;
        }
        Self { table, all }
    }

    /// The sets of which at least one byte occurs in `bytes`.
    #[must_use]
    pub fn present(&self, bytes: &[u8]) -> u128 {
        let mut found = 0;
        for block in bytes.chunks(BLOCK) {
            found |= self.present_in_block(block);
            if found == self.all {
                break;
            }
        }
        found
    }

    /// The sets that have a byte in common with `present`: the answer of
    /// [`present`](Self::present) for a value that holds exactly those bytes.
    #[must_use]
    pub fn present_in(&self, present: ByteSet) -> u128 {
        present.iter().fold(0, |found, byte| found | self.table[usize::from(byte)])
    }

    /// Four sums that do not wait for each other.
    fn present_in_block(&self, bytes: &[u8]) -> u128 {
        let (groups, rest) = bytes.as_chunks::<4>();
        let mut found = [0; 4];
        for group in groups {
            for (found, &byte) in found.iter_mut().zip(group) {
                *found |= self.table[usize::from(byte)];
            }
        }
        let rest = rest.iter().fold(0, |found, &byte| found | self.table[usize::from(byte)]);
        (found[0] | found[1]) | (found[2] | found[3]) | rest
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
            for length in (0..40).chain([255, 256, 257, 1000]) {
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
