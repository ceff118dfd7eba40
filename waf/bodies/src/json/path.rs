//! The name of the value being read, kept in one buffer that grows and shrinks
//! with the nesting.

use super::Naming;

/// The path from the root to the current value, already in its final spelling.
pub(super) struct Path {
    text: Vec<u8>,
    naming: Naming,
}

impl Path {
    /// The path of the top-level value.
    pub(super) fn new(naming: Naming) -> Self {
        let mut text = Vec::with_capacity(128);
        text.extend_from_slice(b"json");
        Self { text, naming }
    }

    #[inline]
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.text
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.text.len()
    }

    /// Goes back to the container whose path is `base` bytes long and names
    /// one of its elements.
    #[inline]
    pub(super) fn set_index(&mut self, base: usize, index: usize) {
        self.text.truncate(base);
        self.text.extend_from_slice(match self.naming {
            Naming::Plain => b".",
            Naming::ModSecurity3 => b".array_",
        });
        push_decimal(&mut self.text, index);
    }

    /// Goes back to the container whose path is `base` bytes long; the key is
    /// then appended to the returned buffer and confirmed by [`Self::end_key`].
    #[inline]
    pub(super) fn begin_key(&mut self, base: usize) -> &mut Vec<u8> {
        self.text.truncate(base);
        self.text.push(b'.');
        &mut self.text
    }

    /// Ends the key begun at `base`.
    #[inline]
    pub(super) fn end_key(&mut self, base: usize) {
        if self.naming == Naming::ModSecurity3 && self.text.len() == base + 1 {
            self.text.extend_from_slice(b"empty-key");
        }
    }
}

#[inline]
fn push_decimal(text: &mut Vec<u8>, number: usize) {
    if number < 10 {
        text.push(b'0' + number as u8);
        return;
    }
    let mut digits = [0; 20];
    let mut start = digits.len();
    let mut rest = number;
    while rest > 0 {
        start -= 1;
        digits[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    text.extend_from_slice(&digits[start..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_match_the_standard_library() {
        for number in [0, 1, 9, 10, 99, 100, 12_345, usize::MAX] {
            let mut text = Vec::new();
            push_decimal(&mut text, number);
            assert_eq!(text, number.to_string().as_bytes());
        }
    }
}
