//! A set of bytes: character classes of patterns, ranges of `validateByteRange`.

/// Any subset of the 256 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct ByteSet([u64; 4]);

impl ByteSet {
    /// The set of no byte.
    pub(crate) const EMPTY: Self = Self([0; 4]);
    /// The set of all bytes.
    pub(crate) const ALL: Self = Self([u64::MAX; 4]);

    /// The set of one byte.
    pub(crate) fn of(byte: u8) -> Self {
        let mut set = Self::EMPTY;
        set.insert(byte);
        set
    }

    /// The set of the bytes for which a test holds.
    pub(crate) fn matching(test: impl Fn(u8) -> bool) -> Self {
        let mut set = Self::EMPTY;
        (0..=255).filter(|&byte| test(byte)).for_each(|byte| set.insert(byte));
        set
    }

    /// Adds one byte.
    pub(crate) fn insert(&mut self, byte: u8) {
        self.0[usize::from(byte >> 6)] |= 1 << (byte & 63);
    }

    /// Adds the bytes from `first` to `last`, both included.
    pub(crate) fn insert_range(&mut self, first: u8, last: u8) {
        (first..=last).for_each(|byte| self.insert(byte));
    }

    /// Whether the byte belongs to the set.
    #[inline]
    pub(crate) fn contains(&self, byte: u8) -> bool {
        self.0[usize::from(byte >> 6)] & (1 << (byte & 63)) != 0
    }

    /// The bytes of either set.
    pub(crate) fn union(self, other: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] | other.0[i]))
    }

    /// All other bytes.
    pub(crate) fn complement(self) -> Self {
        Self(self.0.map(|word| !word))
    }

    /// With the other case of each ASCII letter.
    pub(crate) fn fold_case(self) -> Self {
        // `A` to `Z` in the word of the bytes from 64 to 127; the small letters are 32 places above.
        const CAPITALS: u64 = 0x07ff_fffe;
        let letters = self.0[1];
        let mut folded = self;
        folded.0[1] |= (letters & CAPITALS) << 32 | letters >> 32 & CAPITALS;
        folded
    }

    /// Its bytes in ascending order.
    pub(crate) fn bytes(self) -> impl Iterator<Item = u8> {
        self.0.into_iter().enumerate().flat_map(|(index, mut word)| {
            std::iter::from_fn(move || {
                let bit = (word != 0).then(|| word.trailing_zeros() as usize)?;
                word &= word - 1;
                Some((64 * index + bit) as u8)
            })
        })
    }

    /// Number of [`Self::ranges`].
    pub(crate) fn range_count(&self) -> usize {
        let mut before = 0;
        let starts = self.0.iter().map(|word| {
            let starts = word & !(word << 1 | before);
            before = word >> 63;
            starts.count_ones() as usize
        });
        starts.sum()
    }

    /// Maximal runs of bytes, first and last included, in ascending order.
    pub(crate) fn ranges(&self) -> Vec<(u8, u8)> {
        let mut ranges: Vec<(u8, u8)> = Vec::new();
        for byte in self.bytes() {
            match ranges.last_mut() {
                Some((_, last)) if byte > 0 && *last == byte - 1 => *last = byte,
                _ => ranges.push((byte, byte)),
            }
        }
        ranges
    }
}

#[cfg(test)]
mod tests {
    use super::ByteSet;

    #[test]
    fn ranges_join_neighbours() {
        let mut set = ByteSet::of(b'a');
        set.insert_range(b'b', b'd');
        set.insert(255);
        assert_eq!(set.ranges(), [(b'a', b'd'), (255, 255)]);
        assert_eq!(set.range_count(), 2);
        assert_eq!(set.bytes().collect::<Vec<_>>(), [b'a', b'b', b'c', b'd', 255]);
        assert_eq!(ByteSet::matching(|byte| byte == 63 || byte == 64).range_count(), 1);
        assert_eq!((ByteSet::ALL.range_count(), ByteSet::EMPTY.range_count()), (1, 0));
        assert_eq!(set.complement().complement(), set);
        assert!(set.fold_case().contains(b'C'));
    }
}
