//! `application/x-www-form-urlencoded`: query strings and form bodies.
//!
//! Splits pairs and removes percent encoding once. Transformations such as
//! `t:urlDecodeUni`, and the choice of which bytes are a form, live elsewhere.

use crate::{Argument, Limits};
use memchr::{memchr, memchr2};
use std::borrow::Cow;

/// What a query string or form body holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Form<'a> {
    /// The pairs in order of appearance, duplicates kept.
    pub arguments: Vec<Argument<'a>>,
    /// A `%` was not followed by two hexadecimal digits (`URLENCODED_ERROR`).
    /// Such a `%` stays in the text as it is.
    pub invalid_encoding: bool,
    /// There were more pairs than [`Limits::arguments`]; the rest is not listed.
    pub over_limit: bool,
}

/// Parses `input`, with pairs separated by `separator` (`SecArgumentSeparator`,
/// normally `&`).
///
/// `+` is a space; a name without `=` has an empty value; a pair without any
/// byte is skipped, while `=value` keeps its empty name.
#[must_use]
pub fn parse<'a>(input: &'a [u8], separator: u8, limits: &Limits) -> Form<'a> {
    let mut form = Form::default();
    let mut rest = input;
    loop {
        while let [first, tail @ ..] = rest
            && *first == separator
        {
            rest = tail;
        }
        if rest.is_empty() {
            return form;
        }
        if form.arguments.len() >= limits.arguments {
            form.over_limit = true;
            form.invalid_encoding = form.invalid_encoding || has_invalid_escape(rest);
            return form;
        }
        let end = memchr(separator, rest).unwrap_or(rest.len());
        let (pair, tail) = rest.split_at(end);
        rest = tail;
        let (name, value) = match memchr(b'=', pair) {
            Some(equals) => (&pair[..equals], &pair[equals + 1..]),
            None => (pair, &pair[pair.len()..]),
        };
        let name = decode(name, &mut form.invalid_encoding);
        let value = decode(value, &mut form.invalid_encoding);
        form.arguments.push(Argument { name, value });
    }
}

/// Removes percent encoding and turns `+` into a space; sets `invalid` when a
/// `%` starts no valid escape. Borrows when there is nothing to change.
fn decode<'a>(text: &'a [u8], invalid: &mut bool) -> Cow<'a, [u8]> {
    let Some(first) = memchr2(b'%', b'+', text) else { return Cow::Borrowed(text) };
    let mut decoded = Vec::with_capacity(text.len());
    decoded.extend_from_slice(&text[..first]);
    let mut rest = &text[first..];
    while let Some(percent) = memchr(b'%', rest) {
        push_spaced(&rest[..percent], &mut decoded);
        rest = &rest[percent + 1..];
        match escape(rest) {
            Some(value) => {
                decoded.push(value);
                rest = &rest[2..];
            }
            None => {
                *invalid = true;
                decoded.push(b'%');
            }
        }
    }
    push_spaced(rest, &mut decoded);
    Cow::Owned(decoded)
}

/// Appends `text` with `+` turned into a space; simple enough to be vectorised.
fn push_spaced(text: &[u8], out: &mut Vec<u8>) {
    out.extend(text.iter().map(|&byte| if byte == b'+' { b' ' } else { byte }));
}

/// The byte that two leading hexadecimal digits stand for.
fn escape(digits: &[u8]) -> Option<u8> {
    let [high, low, ..] = digits else { return None };
    Some(hex_digit(*high)? << 4 | hex_digit(*low)?)
}

fn hex_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

fn has_invalid_escape(text: &[u8]) -> bool {
    memchr::memchr_iter(b'%', text).any(|at| escape(&text[at + 1..]).is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    type Case = (&'static str, &'static [(&'static str, &'static str)], bool);

    #[test]
    fn splits_and_decodes() {
        let cases: &[Case] = &[
            ("", &[], false),
            ("key=value&key=other_value", &[("key", "value"), ("key", "other_value")], false),
            ("param1=value1=more&param2=", &[("param1", "value1=more"), ("param2", "")], false),
            ("&&a=1&&&b=2&&", &[("a", "1"), ("b", "2")], false),
            ("&", &[], false),
            ("a", &[("a", "")], false),
            ("=", &[("", "")], false),
            ("=v", &[("", "v")], false),
            ("a+b=c+d", &[("a b", "c d")], false),
            ("%41%3d=%26%2B", &[("A=", "&+")], false),
            ("a=%", &[("a", "%")], true),
            ("a=%4", &[("a", "%4")], true),
            ("a=%zz", &[("a", "%zz")], true),
            ("a=%%41", &[("a", "%A")], true),
            ("a%g=b", &[("a%g", "b")], true),
            ("a=%u0041", &[("a", "%u0041")], true),
            ("a=%00b", &[("a", "\0b")], false),
            ("a=1;b=2", &[("a", "1;b=2")], false),
            ("z=%EC%A7%84%20%EB%A6%A%AC", &[], true),
        ];
        for (input, expected, invalid) in cases {
            let form = parse(input.as_bytes(), b'&', &Limits::default());
            assert_eq!(form.invalid_encoding, *invalid, "{input:?}");
            assert!(!form.over_limit);
            if expected.is_empty() && *invalid {
                continue;
            }
            let expected: Vec<_> =
                expected.iter().map(|(n, v)| Argument::borrowed(n.as_bytes(), v.as_bytes())).collect();
            assert_eq!(form.arguments, expected, "{input:?}");
        }
    }

    #[test]
    fn separator_is_configurable() {
        let form = parse(b"a=1;b=2&c", b';', &Limits::default());
        assert_eq!(form.arguments, [Argument::borrowed(b"a", b"1"), Argument::borrowed(b"b", b"2&c")]);
    }

    #[test]
    fn borrows_when_nothing_is_encoded() {
        let form = parse(b"name=value&n=%41", b'&', &Limits::default());
        assert!(matches!(form.arguments[0].value, Cow::Borrowed(_)));
        assert!(matches!(form.arguments[1].value, Cow::Owned(_)));
    }

    #[test]
    fn argument_limit_is_reported_only_when_crossed() {
        let limits = Limits { arguments: 2, ..Limits::default() };
        let exact = parse(b"a&b&&", b'&', &limits);
        assert_eq!((exact.arguments.len(), exact.over_limit), (2, false));
        let over = parse(b"a&b&c=%", b'&', &limits);
        assert_eq!((over.arguments.len(), over.over_limit, over.invalid_encoding), (2, true, true));
    }
}
