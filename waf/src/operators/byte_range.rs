//! `@validateByteRange` (ModSecurity reference manual).

use hop3_transformations::ByteSet;

/// The bytes that are allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ByteRange(ByteSet);

impl ByteRange {
    /// Reads `10, 13, 32-126`. Parts that are no range are returned for a
    /// warning; they count as 0, as ModSecurity reads them, so that a slip
    /// allows no byte that text is made of.
    pub(crate) fn parse(text: &str) -> (Self, Vec<String>) {
        let mut allowed = ByteSet::EMPTY;
        let mut wrong = Vec::new();
        for part in text.split(',').map(str::trim) {
            let range = match part.split_once('-') {
                Some((first, last)) => first.trim().parse::<u8>().ok().zip(last.trim().parse::<u8>().ok()),
                None => part.parse::<u8>().ok().map(|byte| (byte, byte)),
            };
            match range {
                Some((first, last)) if first <= last => allowed = allowed.union(ByteSet::range(first, last)),
                _ => {
                    allowed = allowed.with(0);
                    wrong.push(part.to_owned());
                }
            }
        }
        (Self(allowed), wrong)
    }

    /// The bytes that are not allowed.
    pub(crate) fn violating(&self) -> ByteSet {
        self.0.complement()
    }

    /// Whether a byte of the value is not allowed.
    pub(crate) fn is_violated_by(&self, value: &[u8]) -> bool {
        !value.iter().all(|&byte| self.0.contains(byte))
    }

    /// Where the bytes stand that are not allowed.
    pub(crate) fn violations(&self, value: &[u8]) -> impl Iterator<Item = usize> {
        value.iter().enumerate().filter(|(_, byte)| !self.0.contains(**byte)).map(|(at, _)| at)
    }
}

#[cfg(test)]
mod tests {
    use super::ByteRange;

    #[test]
    fn ranges_and_slips() {
        let (range, wrong) = ByteRange::parse("10, 13,32-126");
        assert!(wrong.is_empty());
        assert!(!range.is_violated_by(b"a\r\n~"));
        assert!(range.is_violated_by(b"\t"));
        let (range, wrong) = ByteRange::parse("1-x,9-3,256");
        assert_eq!(wrong, ["1-x", "9-3", "256"]);
        assert!(range.is_violated_by(b"a") && !range.is_violated_by(b""));
    }
}
