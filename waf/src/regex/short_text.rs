//! Texts of a few bytes that lie where they are, without memory of their own:
//! reading a pattern puts thousands of them together.

use std::ops::Deref;

/// Most bytes of a text.
pub(super) const LENGTH_LIMIT: usize = 24;

/// A text of at most [`LENGTH_LIMIT`] bytes; the order is that of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ShortText {
    /// Zero behind the text, so that comparing all of it compares the texts; equal ones differ by length.
    bytes: [u8; LENGTH_LIMIT],
    length: u8,
}

impl ShortText {
    /// The first and the second text in a row; what is too much of it is left out.
    pub(super) fn joined(first: &[u8], second: &[u8]) -> Self {
        let mut text = Self::default();
        for part in [first, second] {
            let start = usize::from(text.length);
            let part = &part[..part.len().min(LENGTH_LIMIT - start)];
            text.bytes[start..start + part.len()].copy_from_slice(part);
            text.length += part.len() as u8;
        }
        text
    }

    /// A text of one byte.
    pub(super) fn of(byte: u8) -> Self {
        Self::joined(&[byte], &[])
    }
}

impl Deref for ShortText {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

impl AsRef<[u8]> for ShortText {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_that_of_bytes() {
        let texts: [&[u8]; 6] = [b"", b"\0", b"\0\0", b"a", b"a\0", b"ab"];
        let short: Vec<ShortText> = texts.iter().map(|text| ShortText::joined(text, b"")).collect();
        assert!(short.is_sorted() && short.windows(2).all(|pair| pair[0] != pair[1]));
        assert!(short.iter().zip(texts).all(|(short, text)| **short == *text));
        assert_eq!(*ShortText::joined(b"sel", b"ect"), *b"select");
        assert_eq!(ShortText::joined(&[b'a'; 20], &[b'b'; 20]).len(), LENGTH_LIMIT);
    }
}
