//! `application/x-www-form-urlencoded`: query strings and form bodies.
//!
//! Splits pairs and removes percent encoding once. Transformations such as
//! `t:urlDecodeUni`, and the choice of which bytes are a form, live elsewhere.

use crate::{Argument, Limits, Text};
use memchr::{memchr, memchr2};
use std::ops::Range;

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

/// What [`read`] tells besides the pairs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Faults {
    /// See [`Form::invalid_encoding`].
    pub invalid_encoding: bool,
    /// See [`Form::over_limit`].
    pub over_limit: bool,
}

/// Hands out the pairs of `input`, which `separator` separates
/// (`SecArgumentSeparator`, normally `&`).
///
/// `+` is a space; a name without `=` has an empty value; a pair without any
/// byte is skipped, while `=value` keeps its empty name.
pub fn read(
    input: &[u8],
    separator: u8,
    limits: &Limits,
    mut sink: impl FnMut(Text<'_>, Text<'_>),
) -> Faults {
    let mut faults = Faults::default();
    let (mut name_buffer, mut value_buffer) = (Vec::new(), Vec::new());
    let (mut at, mut count) = (0, 0);
    loop {
        while input.get(at) == Some(&separator) {
            at += 1;
        }
        let rest = &input[at..];
        if rest.is_empty() {
            return faults;
        }
        if count >= limits.arguments {
            faults.over_limit = true;
            faults.invalid_encoding = faults.invalid_encoding || has_invalid_escape(rest);
            return faults;
        }
        count += 1;
        let end = at + memchr(separator, rest).unwrap_or(rest.len());
        let name_end = memchr(b'=', &input[at..end]).map_or(end, |equals| at + equals);
        let value = end.min(name_end + 1);
        let invalid = &mut faults.invalid_encoding;
        sink(
            decode(input, at..name_end, &mut name_buffer, invalid),
            decode(input, value..end, &mut value_buffer, invalid),
        );
        at = end;
    }
}

/// Gathers the pairs of `input`, as [`read`] finds them.
#[must_use]
pub fn parse<'a>(input: &'a [u8], separator: u8, limits: &Limits) -> Form<'a> {
    let mut arguments = Vec::new();
    let faults = read(input, separator, limits, |name, value| {
        arguments.push(Argument { name: name.to_cow(input), value: value.to_cow(input) });
    });
    Form { arguments, invalid_encoding: faults.invalid_encoding, over_limit: faults.over_limit }
}

/// Removes percent encoding and turns `+` into a space; sets `invalid` when a
/// `%` starts no valid escape.
fn decode<'b>(input: &[u8], range: Range<usize>, buffer: &'b mut Vec<u8>, invalid: &mut bool) -> Text<'b> {
    let text = &input[range.clone()];
    let Some(first) = memchr2(b'%', b'+', text) else { return Text::Source(range) };
    buffer.clear();
    buffer.reserve(text.len());
    buffer.extend_from_slice(&text[..first]);
    let mut rest = &text[first..];
    while let Some(percent) = memchr(b'%', rest) {
        push_spaced(&rest[..percent], buffer);
        rest = &rest[percent + 1..];
        match escape(rest) {
            Some(value) => {
                buffer.push(value);
                rest = &rest[2..];
            }
            None => {
                *invalid = true;
                buffer.push(b'%');
            }
        }
    }
    push_spaced(rest, buffer);
    Text::Decoded(buffer)
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
    use std::borrow::Cow;

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
