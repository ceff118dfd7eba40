//! Percent-decoding (RFC 3986 section 2.1): `urlDecode`, `urlDecodeUni`.

use memchr::{memchr, memchr2};

use crate::{UnicodeMap, hex};

/// `urlDecode`: `%HH` becomes the byte, `+` a space; an invalid `%` stays.
pub(crate) fn decode(input: &[u8], output: &mut Vec<u8>) -> bool {
    rewrite(input, output, |_| None)
}

/// `urlDecodeUni`: the same, and the `%uHHHH` of IIS: by the map, else the low
/// byte with full-width ASCII folded. A `%u` without four digits stays.
///
/// v2 and v3 agree. Coraza always uses its built-in map.
pub(crate) fn decode_unicode(input: &[u8], output: &mut Vec<u8>, map: Option<&UnicodeMap>) -> bool {
    rewrite(input, output, |after| match *after {
        [b'u' | b'U', a, b, c, d, ..] if hex::are_digits(&[a, b, c, d]) => {
            let code = u16::from_be_bytes([hex::byte(a, b), hex::byte(c, d)]);
            let mapped = map.and_then(|map| map.get(code));
            Some((mapped.unwrap_or_else(|| hex::code_unit([a, b, c, d])), 5))
        }
        _ => None,
    })
}

/// Copies `input`, decoding `+`, `%HH` and what `long` knows: it gets what
/// follows a `%` and gives a byte and how many bytes that took.
#[inline]
fn rewrite(input: &[u8], output: &mut Vec<u8>, long: impl Fn(&[u8]) -> Option<(u8, usize)>) -> bool {
    let Some(first) = first_special(input) else { return false };
    output.reserve(input.len());
    let (plain, mut rest) = input.split_at(first);
    output.extend_from_slice(plain);
    // Here `rest` begins with `+` or `%`, or is empty.
    while let Some((&special, after)) = rest.split_first() {
        let (byte, taken) = match *after {
            _ if special == b'+' => (b' ', 0),
            [high, low, ..] if hex::is_digit(high) && hex::is_digit(low) => (hex::byte(high, low), 2),
            _ => long(after).unwrap_or((special, 0)),
        };
        output.push(byte);
        rest = &after[taken..];
        let next = memchr2(b'%', b'+', rest).unwrap_or(rest.len());
        output.extend_from_slice(&rest[..next]);
        rest = &rest[next..];
    }
    true
}

/// The first `+`, or `%` in a value that has no `+` before it.
fn first_special(input: &[u8]) -> Option<usize> {
    // One byte is found faster than two, and most values have neither.
    match (memchr(b'%', input), input) {
        (Some(percent), _) => Some(memchr(b'+', &input[..percent]).unwrap_or(percent)),
        (None, _) => memchr(b'+', input),
    }
}

#[cfg(test)]
mod tests {
    use crate::Transformation::{UrlDecode, UrlDecodeUni};
    use crate::transformation::tests::{check, check_bytes};
    use crate::{Context, UnicodeMap};

    const BOTH: [(&str, &str); 9] = [
        ("", ""),
        ("plain", "plain"),
        ("a+b%20c%2b", "a b c+"),
        ("%3Cscript%3e", "<script>"),
        ("%", "%"),
        ("%4", "%4"),
        ("%4g%g4%%41", "%4g%g4%A"),
        ("100%+x", "100% x"),
        ("%2541", "%41"),
    ];

    #[test]
    fn decodes_percent_and_plus() {
        check(UrlDecode, &BOTH);
        check(UrlDecodeUni, &BOTH);
        check(UrlDecode, &[("%u0041", "%u0041")]);
        check_bytes(UrlDecode, &[(b"%00%ff", b"\0\xff")]);
    }

    #[test]
    fn decodes_long_forms_without_a_map() {
        check(
            UrlDecodeUni,
            &[
                ("%u0041%U1142", "AB"),
                ("%uff1cscript%uFF1E", "<script>"),
                ("%u003", "%u003"),
                ("%u%41%u004g%u", "%uA%u004g%u"),
            ],
        );
        check_bytes(UrlDecodeUni, &[(b"%uff5f%u30ff", b"\x5f\xff")]);
    }

    #[test]
    fn the_map_wins_over_the_low_byte() {
        let map = UnicodeMap::parse("20127 (US-ASCII)\n0104:41 ff1c:3c 2215:2f\n", 20127).unwrap();
        let mut output = Vec::new();
        let input = b"%u0104%u2215%u3002%uff0e%uff1c%u0142";
        assert!(UrlDecodeUni.apply(input, &mut output, &Context { unicode_map: Some(&map) }));
        assert_eq!(output, b"A/..<B");
    }
}
