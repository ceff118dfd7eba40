//! The `Cookie` request header: pairs between semicolons.
//!
//! Follows ModSecurity v3 with `SecCookieFormat 0`: only `;` separates,
//! nothing is URL-decoded, quotes mean nothing. Which header lines to parse is
//! the caller's business.

use crate::white_space::{trim_end, trim_start};
use crate::{Argument, Text};
use memchr::memchr;

/// Hands out the cookies of one `Cookie` header, names before values; when
/// there are more than `most`, then all that follow as the value of the first
/// of them: nothing is left out.
///
/// White space goes in front of names and at the very end of the header, but
/// stays around values. `foo` is a name with an empty value; a pair without a
/// name (`=bar`, `;;`) is skipped.
pub fn read(header: &[u8], most: usize, mut sink: impl FnMut(Text<'static>, Text<'static>)) {
    let end = trim_end(header).len();
    let (mut at, mut count) = (0, 0);
    while at < end {
        let pair_end = memchr(b';', &header[at..end]).map_or(end, |length| at + length);
        let pair = &header[at..pair_end];
        let (name_end, value) = match memchr(b'=', pair) {
            Some(equals) => (at + equals, at + equals + 1),
            None => (pair_end, pair_end),
        };
        let name = name_end - trim_start(&header[at..name_end]).len();
        if name < name_end {
            if count == most {
                return sink(Text::Source(name..name_end), Text::Source(value..end));
            }
            count += 1;
            sink(Text::Source(name..name_end), Text::Source(value..pair_end));
        }
        at = pair_end + 1;
    }
}

/// Gathers the cookies of one `Cookie` header, as [`read`] finds them.
#[must_use]
pub fn parse(header: &[u8]) -> Vec<Argument<'_>> {
    let mut cookies = Vec::new();
    read(header, usize::MAX, |name, value| {
        cookies.push(Argument { name: name.to_cow(header), value: value.to_cow(header) });
    });
    cookies
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(header: &str) -> Vec<(String, String)> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        parse(header.as_bytes()).iter().map(|c| (text(&c.name), text(&c.value))).collect()
    }

    #[test]
    fn splits_as_modsecurity_does() {
        let cases: &[(&str, &[(&str, &str)])] = &[
            ("", &[]),
            ("a=b", &[("a", "b")]),
            ("USER_TOKEN=Yes; a=z; t=b", &[("USER_TOKEN", "Yes"), ("a", "z"), ("t", "b")]),
            ("a=1;a=2", &[("a", "1"), ("a", "2")]),
            ("foo", &[("foo", "")]),
            ("foo;bar=", &[("foo", ""), ("bar", "")]),
            ("=bar", &[]),
            ("   =bar; x=y", &[("x", "y")]),
            (";;foo=bar;;", &[("foo", "bar")]),
            ("foo= bar; = ; = = ; baz=v=in here", &[("foo", " bar"), ("baz", "v=in here")]),
            ("aaa=bbb;abc=def  ", &[("aaa", "bbb"), ("abc", "def")]),
            ("a=b ; c=d", &[("a", "b "), ("c", "d")]),
            ("a=%41+b, c=\"x;y\"", &[("a", "%41+b, c=\"x"), ("y\"", "")]),
            ("\x0b\tname=1", &[("name", "1")]),
            (" \t", &[]),
        ];
        for (header, expected) in cases {
            let expected: Vec<_> = expected.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect();
            assert_eq!(pairs(header), expected, "{header:?}");
        }
    }

    #[test]
    fn what_exceeds_the_limit_is_one_value() {
        type Case<'a> = (&'a str, usize, &'a [(&'a str, &'a str)]);
        let cases: &[Case] = &[
            ("a=1; b=2", 2, &[("a", "1"), ("b", "2")]),
            ("a=1; b=2; =x; c=3; d=4;e ", 2, &[("a", "1"), ("b", "2"), ("c", "3; d=4;e")]),
            ("a=1; b; c=3", 1, &[("a", "1"), ("b", "; c=3")]),
            ("a=1; b=2", 0, &[("a", "1; b=2")]),
            (" ; =", 0, &[]),
        ];
        for (header, most, expected) in cases {
            let mut found = Vec::new();
            read(header.as_bytes(), *most, |name, value| {
                let text =
                    |text: Text<'_>| String::from_utf8_lossy(&text.to_cow(header.as_bytes())).into_owned();
                found.push((text(name), text(value)));
            });
            let expected: Vec<_> = expected.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect();
            assert_eq!(found, expected, "{header:?}");
        }
    }
}
