//! JSON bodies, flattened into arguments (RFC 8259).
//!
//! Each scalar becomes one argument whose name is its path: `json.user.tags.0`.
//! This file owns what callers see; `parser` walks the text, `string` reads
//! string literals, `path` builds names.

mod parser;
mod path;
mod string;

use crate::{Argument, Limits, Text};
use std::ops::Range;

/// How leaves are named.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Naming {
    /// `json.a.0`: an array's element is its index, an empty key is empty,
    /// `null` has the value `null`.
    #[default]
    Plain,
    /// As ModSecurity v3 has it: `json.a.array_0`, an empty key is `empty-key`,
    /// `null` has an empty value.
    ModSecurity3,
}

/// What [`parse`] needs to know besides the body.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Options {
    /// Bounds; `arguments`, `name_bytes` and `depth` apply.
    pub limits: Limits,
    /// How leaves are named.
    pub naming: Naming,
}

/// The flattened body: arguments in order of appearance, duplicates kept.
#[derive(Debug, Clone, Default)]
pub struct Json<'a> {
    body: &'a [u8],
    names: Vec<u8>,
    decoded: Vec<u8>,
    leaves: Vec<Leaf>,
    /// The first thing that was wrong. Leaves before it are there; after an
    /// error inside a string (encoding, escapes) parsing goes on, after any
    /// other it ends.
    pub error: Option<Error>,
}

/// One scalar. Names lie back to back in `Json::names`.
#[derive(Debug, Clone)]
struct Leaf {
    name_end: usize,
    value: Value,
}

/// Where the text of a scalar lies.
#[derive(Debug, Clone)]
enum Value {
    Body(Range<usize>),
    Decoded(Range<usize>),
}

impl Json<'_> {
    /// The leaves as arguments that borrow from `self`.
    pub fn arguments(&self) -> impl ExactSizeIterator<Item = Argument<'_>> {
        let mut name_start = 0;
        self.leaves.iter().map(move |leaf| {
            let name = &self.names[name_start..leaf.name_end];
            name_start = leaf.name_end;
            let value = match &leaf.value {
                Value::Body(range) => &self.body[range.clone()],
                Value::Decoded(range) => &self.decoded[range.clone()],
            };
            Argument::borrowed(name, value)
        })
    }

    /// The number of leaves.
    #[must_use]
    pub fn len(&self) -> usize {
        self.leaves.len()
    }

    /// True when the body held no scalar.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.leaves.is_empty()
    }
}

/// What was wrong, and at which byte of the body. The text is fit for
/// `REQBODY_ERROR_MSG`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("JSON parsing error: {reason} (at byte {offset})")]
pub struct Error {
    /// What was wrong.
    pub reason: Reason,
    /// Where, counted in bytes from the start of the body.
    pub offset: usize,
}

/// Why a body is not acceptable JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// The text ends inside a value.
    #[error("parse error: premature EOF")]
    PrematureEnd,
    /// More text follows the one top-level value.
    #[error("parse error: trailing garbage")]
    TrailingText,
    /// A byte that starts no value.
    #[error("lexical error: no JSON value starts like this")]
    UnexpectedByte,
    /// A word that is not `true`, `false` or `null`.
    #[error("lexical error: unknown word")]
    UnknownWord,
    /// After a value in an array comes neither `,` nor `]`.
    #[error("parse error: ',' or ']' expected after an array element")]
    ArraySeparator,
    /// After a value in an object comes neither `,` nor `}`.
    #[error("parse error: ',' or '}}' expected after an object member")]
    ObjectSeparator,
    /// An object member does not begin with a string.
    #[error("parse error: object key must be a string")]
    ObjectKey,
    /// A key is not followed by `:`.
    #[error("parse error: ':' expected after an object key")]
    KeySeparator,
    /// A number breaks the grammar of RFC 8259, section 6.
    #[error("lexical error: malformed number")]
    Number,
    /// A control character stands unescaped in a string.
    #[error("lexical error: control character inside a string")]
    ControlCharacter,
    /// A string is not valid UTF-8.
    #[error("lexical error: invalid UTF-8 in a string")]
    InvalidUtf8,
    /// A backslash before a character that cannot be escaped.
    #[error("lexical error: unknown escape in a string")]
    InvalidEscape,
    /// `\u` without four hexadecimal digits.
    #[error("lexical error: four hexadecimal digits expected after '\\u'")]
    InvalidUnicodeEscape,
    /// Nesting is deeper than [`Limits::depth`].
    #[error("Parsing depth limit exceeded: more than {0} levels")]
    Depth(usize),
    /// There are more leaves than [`Limits::arguments`].
    #[error("argument limit exceeded: more than {0} values")]
    Arguments(usize),
    /// Flattened names take more than [`Limits::name_bytes`].
    #[error("names of values take more than {0} bytes")]
    NameBytes(usize),
}

/// Hands out the leaves of a JSON body: the name, made of the path, and the
/// value. Returns the first thing that was wrong, see [`Json::error`]. A body
/// of no bytes is no error, as in ModSecurity v3; a body of white space only is.
pub fn read(body: &[u8], options: &Options, sink: impl FnMut(&[u8], Text<'_>)) -> Option<Error> {
    if body.is_empty() { None } else { parser::run(body, options, sink) }
}

/// Gathers the leaves of a JSON body, as [`read`] finds them.
#[must_use]
pub fn parse<'a>(body: &'a [u8], options: &Options) -> Json<'a> {
    let mut json = Json { body, ..Json::default() };
    json.error = read(body, options, |name, value| {
        json.names.extend_from_slice(name);
        let value = match value {
            Text::Source(range) => Value::Body(range),
            Text::Decoded(bytes) => {
                let start = json.decoded.len();
                json.decoded.extend_from_slice(bytes);
                Value::Decoded(start..json.decoded.len())
            }
        };
        json.leaves.push(Leaf { name_end: json.names.len(), value });
    });
    json
}

#[cfg(test)]
mod tests;
