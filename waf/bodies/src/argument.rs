//! One name and value as `ARGS`, `REQUEST_COOKIES` and their kin hold it.

use std::borrow::Cow;

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
