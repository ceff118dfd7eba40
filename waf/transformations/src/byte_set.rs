//! A set of byte values in 256 bits: which bytes a value holds, which bytes a
//! transformation needs. What the sets are for is the engine's business.

/// A set of byte values, one bit each: byte `b` is bit `b % 64` of word `b / 64`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct ByteSet([u64; 4]);

impl ByteSet {
    /// The set without a member.
    pub const EMPTY: Self = Self([0; 4]);

    /// The set of all 256 byte values.
    pub const ALL: Self = Self([u64::MAX; 4]);

    /// The set of the bytes that occur in `bytes`, for lists written in the
    /// program; [`occurring_in`](Self::occurring_in) reads values faster.
    #[must_use]
    pub const fn of(bytes: &[u8]) -> Self {
        let mut words = [0; 4];
        let mut at = 0;
        while at < bytes.len() {
            words[(bytes[at] >> 6) as usize] |= 1 << (bytes[at] & 63);
            at += 1;
        }
        Self(words)
    }

    /// The set of the bytes that occur in `value`: the same as [`of`](Self::of),
    /// at a few gigabytes a second.
    #[must_use]
    pub fn occurring_in(value: &[u8]) -> Self {
        if value.len() < LONG {
            let singles = value.iter().map(|&byte| &SINGLES[usize::from(byte)]);
            singles.fold(Self::EMPTY, |set, single| set.union(*single))
        } else {
            occurring_in_long(value)
        }
    }

    /// The set of the bytes from `first` to `last`, both included.
    #[must_use]
    pub const fn range(first: u8, last: u8) -> Self {
        let mut set = Self::EMPTY;
        let mut byte = first as u16;
        while byte <= last as u16 {
            set = set.with(byte as u8);
            byte += 1;
        }
        set
    }

    /// This set and `byte`.
    #[must_use]
    pub const fn with(self, byte: u8) -> Self {
        let mut words = self.0;
        words[(byte >> 6) as usize] |= 1 << (byte & 63);
        Self(words)
    }

    /// The set of the bytes for which a test holds.
    #[must_use]
    pub fn matching(test: impl Fn(u8) -> bool) -> Self {
        (0..=u8::MAX).filter(|&byte| test(byte)).fold(Self::EMPTY, Self::with)
    }

    /// The bytes of either set.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        let (a, b) = (self.0, other.0);
        Self([a[0] | b[0], a[1] | b[1], a[2] | b[2], a[3] | b[3]])
    }

    /// The bytes of both sets.
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        let (a, b) = (self.0, other.0);
        Self([a[0] & b[0], a[1] & b[1], a[2] & b[2], a[3] & b[3]])
    }

    /// The bytes of this set that are not in `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        self.intersection(other.complement())
    }

    /// The members in groups of eight neighbours, bit by bit.
    #[must_use]
    pub fn eights(self) -> [u8; 32] {
        let mut eights = [0; 32];
        for (word, eights) in self.0.into_iter().zip(eights.as_chunks_mut::<8>().0) {
            *eights = word.to_le_bytes();
        }
        eights
    }

    /// Whether every member is one of `other` too.
    #[must_use]
    pub const fn is_subset(self, other: Self) -> bool {
        self.without(other).is_empty()
    }

    /// The bytes that are not in this set.
    #[must_use]
    pub const fn complement(self) -> Self {
        let a = self.0;
        Self([!a[0], !a[1], !a[2], !a[3]])
    }

    /// Whether `byte` is a member.
    #[must_use]
    pub const fn contains(self, byte: u8) -> bool {
        self.0[(byte >> 6) as usize] >> (byte & 63) & 1 == 1
    }

    /// Whether the two sets have a member in common.
    #[must_use]
    pub const fn intersects(self, other: Self) -> bool {
        let (a, b) = (self.0, other.0);
        (a[0] & b[0]) | (a[1] & b[1]) | (a[2] & b[2]) | (a[3] & b[3]) != 0
    }

    /// Whether there is no member.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        !self.intersects(Self::ALL)
    }

    /// With the other case of each ASCII letter.
    #[must_use]
    pub const fn fold_case(self) -> Self {
        // `A` to `Z` in the word of the bytes from 64 to 127; the small letters are 32 places above.
        const CAPITALS: u64 = 0x07ff_fffe;
        let mut words = self.0;
        let letters = words[1];
        words[1] |= (letters & CAPITALS) << 32 | letters >> 32 & CAPITALS;
        Self(words)
    }

    /// The members in ascending order.
    pub fn iter(self) -> impl Iterator<Item = u8> {
        (0..4u8).flat_map(move |index| {
            let mut word = self.0[usize::from(index)];
            std::iter::from_fn(move || {
                let byte = (word != 0).then(|| index << 6 | word.trailing_zeros() as u8)?;
                word &= word - 1;
                Some(byte)
            })
        })
    }

    /// Number of [`ranges`](Self::ranges).
    #[must_use]
    pub fn range_count(self) -> usize {
        let mut before = 0;
        let starts = self.0.iter().map(|word| {
            let starts = word & !(word << 1 | before);
            before = word >> 63;
            starts.count_ones() as usize
        });
        starts.sum()
    }

    /// Maximal runs of members, first and last included, in ascending order.
    #[must_use]
    pub fn ranges(self) -> Vec<(u8, u8)> {
        let mut ranges: Vec<(u8, u8)> = Vec::new();
        for byte in self.iter() {
            match ranges.last_mut() {
                Some((_, last)) if byte > 0 && *last == byte - 1 => *last = byte,
                _ => ranges.push((byte, byte)),
            }
        }
        ranges
    }

    /// The four words, for those who keep sets in an arena of their own.
    #[must_use]
    pub const fn words(self) -> [u64; 4] {
        self.0
    }

    /// The set with these words, as [`words`](Self::words) gives them.
    #[must_use]
    pub const fn from_words(words: [u64; 4]) -> Self {
        Self(words)
    }
}

/// From this length on, marking bytes and then gathering the marks is faster
/// than joining a set of 32 bytes for each byte. Measured.
const LONG: usize = 256;

/// The set of each byte alone.
static SINGLES: [ByteSet; 256] = {
    let mut singles = [ByteSet::EMPTY; 256];
    let mut byte = 0;
    while byte < 256 {
        singles[byte] = ByteSet::EMPTY.with(byte as u8);
        byte += 1;
    }
    singles
};

fn occurring_in_long(value: &[u8]) -> ByteSet {
    let mut marks = [0_u8; 256];
    let (groups, rest) = value.as_chunks::<8>();
    for group in groups {
        // One load for eight bytes.
        let group = u64::from_le_bytes(*group);
        for place in 0..8 {
            marks[usize::from((group >> (8 * place)) as u8)] = 1;
        }
    }
    for &byte in rest {
        marks[usize::from(byte)] = 1;
    }
    let mut words = [0; 4];
    for (at, marks) in marks.as_chunks::<8>().0.iter().enumerate() {
        // The product brings the lowest bit of byte `n` to bit `56 + n`.
        let bits = u64::from_le_bytes(*marks).wrapping_mul(0x0102_0408_1020_4080) >> 56;
        words[at / 8] |= bits << (8 * (at % 8));
    }
    ByteSet(words)
}

#[cfg(test)]
mod tests {
    use super::{ByteSet, LONG};

    #[test]
    fn holds_exactly_the_bytes_it_was_made_of() {
        let set = ByteSet::of(b"\x00%z\x80\xff");
        for byte in 0..=u8::MAX {
            assert_eq!(set.contains(byte), b"\x00%z\x80\xff".contains(&byte), "{byte:#x}");
            assert_eq!(set.complement().contains(byte), !set.contains(byte));
            assert!(ByteSet::ALL.contains(byte));
        }
        assert_eq!(set.iter().collect::<Vec<_>>(), b"\x00%z\x80\xff");
        assert!(ByteSet::ALL.iter().eq(0..=u8::MAX));
    }

    #[test]
    fn values_of_every_length_are_read_alike() {
        let mut value: Vec<u8> = Vec::new();
        let mut random = 1_u64;
        for length in 0..3 * LONG {
            assert_eq!(ByteSet::occurring_in(&value), ByteSet::of(&value), "{length} bytes");
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            value.push((random >> 33) as u8 & if length % 2 == 0 { 0x8f } else { 0xf1 });
        }
        let all: Vec<u8> = (0..=u8::MAX).cycle().take(LONG + 3).collect();
        assert_eq!(ByteSet::occurring_in(&all), ByteSet::ALL);
    }

    #[test]
    fn ranges_include_both_ends() {
        assert_eq!(ByteSet::range(0, 255), ByteSet::ALL);
        assert_eq!(ByteSet::range(b'a', b'c'), ByteSet::of(b"abc"));
        assert_eq!(ByteSet::range(255, 255), ByteSet::of(b"\xff"));
        assert_eq!(ByteSet::range(2, 1), ByteSet::EMPTY);
    }

    #[test]
    fn runs_join_neighbours() {
        let set = ByteSet::range(b'a', b'd').with(255);
        assert_eq!(set.ranges(), [(b'a', b'd'), (255, 255)]);
        assert_eq!(set.range_count(), 2);
        assert_eq!(ByteSet::matching(|byte| byte == 63 || byte == 64).range_count(), 1);
        assert_eq!((ByteSet::ALL.range_count(), ByteSet::EMPTY.range_count()), (1, 0));
    }

    #[test]
    fn only_letters_have_another_case() {
        assert_eq!(ByteSet::of(b"aZ@[`{").fold_case(), ByteSet::of(b"aAzZ@[`{"));
        assert_eq!(
            ByteSet::range(b'a', b'z').fold_case(),
            ByteSet::matching(|byte| byte.is_ascii_alphabetic())
        );
    }

    #[test]
    fn intersection_needs_a_common_member() {
        assert!(ByteSet::of(b"ab").intersects(ByteSet::of(b"bc")));
        assert!(!ByteSet::of(b"ab").intersects(ByteSet::of(b"cd")));
        assert!(!ByteSet::of(b"").intersects(ByteSet::ALL));
        assert!(ByteSet::EMPTY.is_empty() && !ByteSet::EMPTY.with(200).is_empty());
        assert_eq!(ByteSet::of(b"abc").intersection(ByteSet::of(b"bcd")), ByteSet::of(b"bc"));
        assert_eq!(ByteSet::of(b"abc").without(ByteSet::of(b"bcd")), ByteSet::of(b"a"));
        assert!(ByteSet::of(b"ab").is_subset(ByteSet::of(b"abc")));
        assert!(!ByteSet::of(b"abd").is_subset(ByteSet::of(b"abc")));
        assert_eq!(ByteSet::from_words(ByteSet::of(b"a\xff").words()), ByteSet::of(b"a\xff"));
        assert_eq!(ByteSet::of(b"ab").union(ByteSet::of(b"\xf0")), ByteSet::of(b"ab\xf0"));
    }
}
