//! Eight bytes in one number, the first in its lowest bits.

/// Bytes in a word.
pub(crate) const LENGTH: usize = 8;

/// The highest bit of each byte.
pub(crate) const HIGH: u64 = 0x8080_8080_8080_8080;

/// The word of eight bytes.
pub(crate) const fn of(bytes: [u8; LENGTH]) -> u64 {
    u64::from_le_bytes(bytes)
}

/// The highest bit of each byte that is `byte`, and no other bit.
pub(crate) const fn equal(word: u64, byte: u8) -> u64 {
    let different = word ^ u64::from_le_bytes([byte; LENGTH]);
    !(((different & !HIGH) + !HIGH) | different | !HIGH)
}

/// The number of bytes before the first marked one; all when none is.
pub(crate) const fn before(marks: u64) -> usize {
    marks.trailing_zeros() as usize / 8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_bytes_that_are_equal_and_no_others() {
        for byte in 0..=255 {
            for other in 0..=255 {
                let word = of([other, byte, other, 0, byte, 255, 1, other]);
                let marks = equal(word, byte).to_le_bytes();
                let expected = word.to_le_bytes().map(|found| if found == byte { 0x80 } else { 0 });
                assert_eq!(marks, expected, "{byte} {other}");
            }
        }
        assert_eq!((before(0), before(equal(of(*b"abcabcab"), b'c'))), (8, 2));
    }
}
