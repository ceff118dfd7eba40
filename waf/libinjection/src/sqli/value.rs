//! The text of a token, held inline. Shared with `build.rs`.

use std::fmt;

/// The text of a token: at most its first 31 bytes, which is all that libinjection keeps and
/// compares.
///
/// The last of the 32 bytes is the length, so equal arrays mean equal texts, and four integers
/// make a whole key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Value([u8; 32]);

const LENGTH_AT: usize = Value::CAPACITY;

impl Value {
    /// The most bytes a value holds.
    pub const CAPACITY: usize = 31;

    /// No text.
    pub const EMPTY: Value = Value([0; 32]);

    /// The first [`CAPACITY`](Self::CAPACITY) bytes of `text`.
    #[must_use]
    pub fn new(text: &[u8]) -> Value {
        let mut value = Value::EMPTY;
        value.set(text);
        value
    }

    /// Becomes the first [`CAPACITY`](Self::CAPACITY) bytes of `text`.
    pub(crate) fn set(&mut self, text: &[u8]) {
        let text = &text[..text.len().min(Self::CAPACITY)];
        self.0 = [0; 32];
        for (place, part) in self.0.as_chunks_mut::<8>().0.iter_mut().zip(text.chunks(8)) {
            *place = integer(part).to_le_bytes();
        }
        self.0[LENGTH_AT] = text.len() as u8;
    }

    /// One byte.
    #[must_use]
    pub fn byte(byte: u8) -> Value {
        let mut bytes = [0; 32];
        bytes[0] = byte;
        bytes[LENGTH_AT] = 1;
        Value(bytes)
    }

    /// `self`, a space and `next`; `None` when that is too long for a value.
    #[must_use]
    pub fn joined(&self, next: &Value) -> Option<Value> {
        let (middle, end) = (self.len(), self.len() + 1 + next.len());
        if end > Self::CAPACITY {
            return None;
        }
        let mut bytes = self.0;
        bytes[middle] = b' ';
        bytes[middle + 1..end].copy_from_slice(next.bytes());
        bytes[LENGTH_AT] = end as u8;
        Some(Value(bytes))
    }

    /// The kept bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0[..self.len()]
    }

    /// How many bytes are kept.
    #[must_use]
    pub const fn len(&self) -> usize {
        // The constructors never store more; the bound lets the compiler see it.
        let stored = self.0[LENGTH_AT] as usize;
        if stored < Self::CAPACITY { stored } else { Self::CAPACITY }
    }

    /// Whether there is no text.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The first byte; NUL when there is no text.
    #[must_use]
    pub const fn first(&self) -> u8 {
        self.0[0]
    }

    /// Whether the text is `word`, whatever the case of its ASCII letters.
    #[must_use]
    pub fn is(&self, word: &str) -> bool {
        self.bytes().eq_ignore_ascii_case(word.as_bytes())
    }

    /// Whether the text begins with `word`, whatever the case of its ASCII letters.
    #[must_use]
    pub fn starts_with(&self, word: &str) -> bool {
        self.bytes().get(..word.len()).is_some_and(|head| head.eq_ignore_ascii_case(word.as_bytes()))
    }

    /// The value that `text` has, its ASCII letters in upper case, as a key: equal keys mean equal
    /// texts. `None` when it does not fit a value.
    ///
    /// It is made from the text and not from a value, since the processor would wait for a value
    /// just written.
    #[must_use]
    #[inline]
    pub fn key(text: &[u8]) -> Option<[u64; 4]> {
        if text.len() > Self::CAPACITY {
            return None;
        }
        let part = |from: usize| match text.get(from..) {
            Some(rest) => upper_case(integer(&rest[..rest.len().min(8)])),
            None => 0,
        };
        let length = (text.len() as u64) << 56;
        Some([part(0), part(8), part(16), part(24) | length])
    }
}

#[cfg(test)]
impl Value {
    /// The value with this key, in upper case.
    pub(crate) fn from_key(key: &[u64; 4]) -> Value {
        let mut bytes = [0; 32];
        for (chunk, part) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(key) {
            *chunk = part.to_le_bytes();
        }
        Value(bytes)
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "\"{}\"", self.bytes().escape_ascii())
    }
}

/// Up to eight bytes as the integer that begins with them, the first the lowest.
#[must_use]
pub fn integer(part: &[u8]) -> u64 {
    let length = part.len();
    if let Some(whole) = part.first_chunk::<8>() {
        u64::from_le_bytes(*whole)
    } else if let (Some(head), Some(tail)) = (part.first_chunk::<4>(), part.last_chunk::<4>()) {
        // Where the two overlap they agree.
        u64::from(u32::from_le_bytes(*head)) | u64::from(u32::from_le_bytes(*tail)) << (8 * (length - 4))
    } else {
        part.iter().rev().fold(0, |integer, &byte| integer << 8 | u64::from(byte))
    }
}

/// Eight bytes at once: those from `a` to `z` lose bit 5, the others stay.
const fn upper_case(bytes: u64) -> u64 {
    const EACH: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x80 * EACH;
    let low_bits = bytes & !HIGH;
    // The high bit of each sum tells whether that byte reaches 'a', or passes 'z'.
    let from_a = low_bits + (0x80 - b'a' as u64) * EACH;
    let past_z = low_bits + (0x7f - b'z' as u64) * EACH;
    let lower_case = (from_a ^ past_z) & !bytes & HIGH;
    bytes ^ (lower_case >> 2)
}
