//! Masking: what is a secret, and what is shown in its place.
//!
//! By default (`SecMaskSecrets On`) names decide: values of arguments and
//! headers whose names speak of passwords, tokens and the like, all cookies,
//! `name=value` pairs inside of longer texts, and card numbers. Rules add to
//! that with `sanitiseArg` and its relatives. Matching itself sees everything.
//!
//! [`value`] and [`text()`] do the same for what a host tells of a transaction
//! without asking it.

mod names;
mod shown;
mod text;

use hop3_seclang::ast::Variable;

/// Stands for a secret, whatever its length.
pub(crate) const MASK: &[u8] = SHOWN.as_bytes();
/// What is shown in place of a secret.
pub const SHOWN: &str = "********";

/// Secrets shorter than this are not searched for in texts: they are everywhere.
const SHORTEST: usize = 4;

/// A text with `name=value` pairs of secrets and card numbers masked.
pub fn text(text: &[u8]) -> Vec<u8> {
    let pairs = text::mask_pairs(text);
    let shown = pairs.as_deref().unwrap_or(text);
    text::mask_cards(shown).unwrap_or_else(|| shown.to_vec())
}

/// A value of a variable such as `ARGS:password`: masked when the name says that it is a secret, else as [`text()`].
pub fn value(variable: &[u8], value: &[u8]) -> Vec<u8> {
    match Named::new(variable) {
        _ if value.is_empty() => Vec::new(),
        Named::Field(source, name) if shown::is_secret_by_default(source, name) => {
            shown::masked(source, name, value)
        }
        Named::Secret => MASK.to_vec(),
        _ => text(value),
    }
}

/// Whether the name of a variable says that its value is a secret.
pub fn is_secret(variable: &[u8]) -> bool {
    match Named::new(variable) {
        Named::Field(source, name) => shown::is_secret_by_default(source, name),
        Named::Secret => true,
        Named::Other => false,
    }
}

/// A variable's name, as far as masking cares.
enum Named<'n> {
    Field(Source, &'n [u8]),
    Secret,
    Other,
}

impl<'n> Named<'n> {
    fn new(variable: &'n [u8]) -> Self {
        let (collection, name) = match memchr::memchr(b':', variable) {
            Some(at) => (&variable[..at], &variable[at + 1..]),
            None => (variable, &[][..]),
        };
        let known = std::str::from_utf8(collection).ok().and_then(Variable::from_name);
        match known.map(|known| (known, Source::of(known))) {
            Some((_, Some(source))) => Self::Field(source, name),
            Some((Variable::SessionId, None)) => Self::Secret,
            // Members of other collections, such as `SESSION:token`.
            Some((known, None)) if known != Variable::Tx && names::is_secret(name) => Self::Secret,
            _ => Self::Other,
        }
    }
}

/// A text with each occurrence of a secret masked.
pub(crate) fn without(text: &[u8], secret: &[u8]) -> Option<Vec<u8>> {
    text::replace(text, secret, MASK)
}

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
            V::Args | V::ArgsGet | V::ArgsPost | V::ArgsPath | V::ResponseArgs => Self::Argument,
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

#[cfg(test)]
mod tests {
    #[test]
    fn what_a_host_tells_is_masked_by_names() {
        for (variable, value, shown) in [
            ("ARGS:password", "hunter2", "********"),
            ("ARGS:q", "a&token=t", "a&token=********"),
            ("ARGS:q", "4111111111111111", "************1111"),
            ("REQUEST_HEADERS:Authorization", "Bearer abc", "Bearer ********"),
            ("REQUEST_HEADERS:Cookie", "a=1; b=2", "a=********; b=********"),
            ("REQUEST_COOKIES:lang", "en", "********"),
            ("RESPONSE_HEADERS:Set-Cookie", "sid=1; Path=/", "sid=********; Path=/"),
            ("SESSION:token", "t", "********"),
            ("SESSIONID", "t", "********"),
            ("REQUEST_URI", "/?session_id=7&x=y", "/?session_id=********&x=y"),
            ("NONE:password", "x", "x"),
            ("", "x", "x"),
            ("ARGS:password", "", ""),
        ] {
            let masked = super::value(variable.as_bytes(), value.as_bytes());
            assert_eq!(String::from_utf8_lossy(&masked), shown, "{variable}");
        }
    }
}
