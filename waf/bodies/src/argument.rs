//! One name and value as `ARGS`, `REQUEST_COOKIES` and their kin hold it.

use std::borrow::Cow;
use std::ops::Range;

/// A decoded name with its decoded value. Both are raw bytes: nothing promises
/// that they are UTF-8.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Argument<'a> {
    /// The name; may be empty.
    pub name: Cow<'a, [u8]>,
    /// The value; empty when the source carried none.
    pub value: Cow<'a, [u8]>,
}

impl<'a> Argument<'a> {
    /// An argument that borrows both parts.
    #[must_use]
    pub fn borrowed(name: &'a [u8], value: &'a [u8]) -> Self {
        Self { name: Cow::Borrowed(name), value: Cow::Borrowed(value) }
    }
}

/// A name or a value as a processor hands it out: where it lies in the source,
/// so that whoever keeps the source need not copy it, or what decoding made of
/// it, good until the next one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Text<'t> {
    /// These bytes of the source.
    Source(Range<usize>),
    /// Bytes that do not stand like this in the source.
    Decoded(&'t [u8]),
}

impl<'t> Text<'t> {
    /// The bytes, given the source.
    #[must_use]
    pub fn bytes(&self, source: &'t [u8]) -> &'t [u8] {
        match self {
            Self::Source(range) => source.get(range.clone()).unwrap_or_default(),
            Self::Decoded(bytes) => bytes,
        }
    }

    /// Borrows from the source, or else copies.
    pub(crate) fn to_cow<'s>(&self, source: &'s [u8]) -> Cow<'s, [u8]> {
        match self {
            Self::Source(range) => Cow::Borrowed(source.get(range.clone()).unwrap_or_default()),
            Self::Decoded(bytes) => Cow::Owned(bytes.to_vec()),
        }
    }
}
