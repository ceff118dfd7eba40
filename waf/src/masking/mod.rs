//! Masking: what is a secret, and what is shown in its place.
//!
//! By default (`SecMaskSecrets On`) names decide: values of arguments and
//! headers whose names speak of passwords, tokens and the like, all cookies,
//! `name=value` pairs inside of longer texts, and card numbers. Rules add to
//! that with `sanitiseArg` and its relatives. Matching itself sees everything.

mod names;
mod shown;
mod text;

use hop3_seclang::ast::Variable;

/// Stands for a secret, whatever its length.
pub(crate) const MASK: &[u8] = b"********";

/// Secrets shorter than this are not searched for in texts: they are everywhere.
const SHORTEST: usize = 4;

/// A `sanitise…` action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Sanitise {
    /// `sanitiseArg`.
    Argument(Box<[u8]>),
    /// `sanitiseRequestHeader`.
    RequestHeader(Box<[u8]>),
    /// `sanitiseResponseHeader`.
    ResponseHeader(Box<[u8]>),
    /// `sanitiseMatched`: the variable that matched.
    Matched,
    /// `sanitiseMatchedBytes`: the bytes that matched, except some at both ends.
    MatchedBytes {
        /// Bytes shown at the beginning.
        keep_start: usize,
        /// Bytes shown at the end.
        keep_end: usize,
    },
}

/// Where a named value comes from, as far as masking cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Argument,
    Cookie,
    RequestHeader,
    ResponseHeader,
}

impl Source {
    /// The source of a variable's values; `None` for names, counts and everything else.
    pub(crate) fn of(variable: Variable) -> Option<Self> {
        use Variable as V;
        Some(match variable {
            V::Args | V::ArgsGet | V::ArgsPost => Self::Argument,
            V::RequestCookies => Self::Cookie,
            V::RequestHeaders => Self::RequestHeader,
            V::ResponseHeaders => Self::ResponseHeader,
            _ => return None,
        })
    }
}

/// A text that must not be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Secret {
    text: Vec<u8>,
    keep_start: usize,
    keep_end: usize,
}

impl Secret {
    fn whole(text: &[u8]) -> Self {
        Self { text: text.to_vec(), keep_start: 0, keep_end: 0 }
    }

    /// What is shown instead.
    fn shown(&self) -> Vec<u8> {
        let length = self.text.len();
        if self.keep_start + self.keep_end == 0 || self.keep_start + self.keep_end >= length {
            return MASK.to_vec();
        }
        let stars = vec![b'*'; length - self.keep_start - self.keep_end];
        [&self.text[..self.keep_start], &stars, &self.text[length - self.keep_end..]].concat()
    }
}

/// What one transaction keeps to itself.
#[derive(Debug, Default)]
pub(crate) struct Secrets {
    /// Names that rules added.
    names: Vec<(Source, Vec<u8>)>,
    /// Texts that rules added.
    texts: Vec<Secret>,
    /// All texts, worked out when something is told, and the number of fields it was worked out from.
    known: Vec<Secret>,
    known_from: Option<usize>,
}
