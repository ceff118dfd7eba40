//! Percent-decoding (RFC 3986 section 2.1): `urlDecode`, `urlDecodeUni`.

use memchr::{memchr, memchr2};

use crate::{UnicodeMap, hex};

/// Whether [`decode`] changes nothing.
pub(crate) fn is_decoded(input: &[u8]) -> bool {
    !has_escape(input, |_| false)
}

/// `urlDecode`: `%HH` becomes the byte, `+` a space; an invalid `%` stays.
pub(crate) fn decode(input: &[u8], output: &mut Vec<u8>) {
    rewrite(input, output, |_| None);
}

/// Whether [`decode_unicode`] changes nothing, whatever the map.
pub(crate) fn is_unicode_decoded(input: &[u8]) -> bool {
    !has_escape(input, |after| code_unit(after).is_some())
}

/// `urlDecodeUni`: the same, and the `%uHHHH` of IIS: by the map, else the low
/// byte with full-width ASCII folded. A `%u` without four digits stays.
///
/// v2 and v3 agree. Coraza always uses its built-in map.
pub(crate) fn decode_unicode(input: &[u8], output: &mut Vec<u8>, map: Option<&UnicodeMap>) {
    rewrite(input, output, |after| {
        let digits @ [a, b, c, d] = code_unit(after)?;
        let code = u16::from_be_bytes([hex::byte(a, b), hex::byte(c, d)]);
        let mapped = map.and_then(|map| map.get(code));
        Some((mapped.unwrap_or_else(|| hex::code_unit(digits)), 5))
    });
}

/// So many bytes in a row without an escape make it worth to search for the next one.
const PLAIN: usize = 32;

/// Copies `input`, decoding `+`, `%HH` and what `long` knows: it gets what
/// follows a `%` and gives a byte and how many bytes that took.
#[inline]
fn rewrite(input: &[u8], output: &mut Vec<u8>, long: impl Fn(&[u8]) -> Option<(u8, usize)>) {
    output.resize(input.len(), 0);
    // The result is never longer than what was read.
    let result = output.as_mut_slice();
    let (mut at, mut end) = (memchr2(b'%', b'+', input).unwrap_or(input.len()), 0);
    result[..at].copy_from_slice(&input[..at]);
    end += at;
    loop {
        // Where there is one there are more, and a search for each would take longer than to look at all bytes.
        let mut plain = 0;
        while plain < PLAIN {
            let Some(&byte) = input.get(at) else { return output.truncate(end) };
            at += 1;
            let is_space = byte == b'+';
            plain = if is_space { 0 } else { plain + 1 };
            result[end] = if is_space { b' ' } else { byte };
            if byte == b'%' {
                plain = 0;
                let after = &input[at..];
                let (decoded, taken) = match *after {
                    [high, low, ..] if hex::is_digit(high) && hex::is_digit(low) => (hex::byte(high, low), 2),
                    _ => long(after).unwrap_or((byte, 0)),
                };
                result[end] = decoded;
                at += taken;
            }
            end += 1;
        }
        let rest = &input[at..];
        let next = memchr2(b'%', b'+', rest).unwrap_or(rest.len());
        result[end..end + next].copy_from_slice(&rest[..next]);
        (at, end) = (at + next, end + next);
    }
}

/// The digits of the `%uHHHH` whose `%` stood before `text`.
fn code_unit(text: &[u8]) -> Option<[u8; 4]> {
    let (b'u' | b'U', digits) = text.split_first()? else { return None };
    digits.first_chunk().copied().filter(|digits| hex::are_digits(digits))
}

/// Whether there is a `+` or a `%` that is decoded; `long` gets what follows a
/// `%` without two digits.
fn has_escape(input: &[u8], long: impl Fn(&[u8]) -> bool) -> bool {
    let decodes = |at: usize| match input[at + 1..] {
        [high, low, ..] if hex::is_digit(high) && hex::is_digit(low) => true,
        ref after => long(after),
    };
    // One byte is found faster than two, and most values have neither.
    memchr(b'+', input).is_some() || memchr::memchr_iter(b'%', input).any(decodes)
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
    fn escapes_far_from_each_other_and_close_together() {
        for distance in 0..100 {
            let plain = "x".repeat(distance);
            let input = format!("{plain}%41+{plain}%zz%42{plain}%4{plain}+");
            let expected = format!("{plain}A {plain}%zzB{plain}%4{plain} ");
            check(UrlDecode, &[(&input, &expected)]);
            check(UrlDecodeUni, &[(&input, &expected)]);
        }
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
