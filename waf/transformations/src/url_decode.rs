//! Percent-decoding (RFC 3986 section 2.1): `urlDecode`, `urlDecodeUni`.

use memchr::{memchr, memchr2};

use crate::{UnicodeMap, hex, word};

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

/// So many words in a row without a `%` tell that escapes are rare.
const PLAIN: u32 = 2;
/// Bytes that are copied at once where escapes are rare.
const BLOCK: usize = 2 * word::LENGTH;
/// A word, and the digits of a `%` that is its last byte.
const READ: usize = word::LENGTH + 2;

/// Copies `input`, decoding `+`, `%HH` and what `long` knows: it gets what
/// follows a `%` and gives a byte and how many bytes that took.
#[inline]
fn rewrite(input: &[u8], output: &mut Vec<u8>, long: impl Fn(&[u8]) -> Option<(u8, usize)>) {
    output.resize(input.len(), 0);
    // The result is never longer than what was read.
    let result = output.as_mut_slice();
    let mut at = memchr2(b'%', b'+', input).unwrap_or(input.len());
    let (mut end, mut plain) = (at, 0);
    result[..at].copy_from_slice(&input[..at]);
    // Where there is one escape there are more: the bytes up to the next one and what it spells are written without a
    // branch to mispredict.
    while let (Some(read), Some(place)) =
        (input[at..].first_chunk::<READ>(), result[end..].first_chunk_mut::<{ word::LENGTH }>())
    {
        let [a, b, c, d, e, f, g, h, ..] = *read;
        let word = word::of([a, b, c, d, e, f, g, h]);
        let (escapes, spaces) = (word::equal(word, b'%'), word::equal(word, b'+'));
        *place = (word ^ ((spaces >> 7) * u64::from(b'+' ^ b' '))).to_le_bytes();
        let before = word::before(escapes);
        let last = before % word::LENGTH;
        let (high, low) = (VALUES[usize::from(read[last + 1])], VALUES[usize::from(read[last + 2])]);
        let is_escape = (escapes != 0) & ((high | low) < 16);
        if (escapes != 0) & !is_escape {
            at += before + 1;
            let (decoded, taken) = long(&input[at..]).unwrap_or((b'%', 0));
            place[last] = decoded;
            (at, end, plain) = (at + taken, end + before + 1, 0);
            continue;
        }
        place[last] = if is_escape { high << 4 | low } else { place[last] };
        at += before + 3 * usize::from(is_escape);
        end += before + usize::from(is_escape);
        plain = (plain + 1) * u32::from(escapes == 0);
        if plain == PLAIN {
            let copied = copy_up_to_percent(&input[at..], &mut result[end..]);
            (at, end, plain) = (at + copied, end + copied, 0);
        }
    }
    while let Some(&byte) = input.get(at) {
        at += 1;
        result[end] = if byte == b'+' { b' ' } else { byte };
        if byte == b'%' {
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
    output.truncate(end);
}

/// Copies bytes from before the first `%`, with `+` made a space; perhaps not the last of them. How many there were.
///
/// Nothing here waits for what was read before: where escapes are rare that is several times faster than decoding word
/// by word.
#[inline]
fn copy_up_to_percent(input: &[u8], result: &mut [u8]) -> usize {
    let mut at = 0;
    for (block, place) in input.as_chunks::<BLOCK>().0.iter().zip(result.as_chunks_mut::<BLOCK>().0) {
        let percents =
            block.as_chunks::<{ word::LENGTH }>().0.iter().map(|bytes| word::equal(word::of(*bytes), b'%'));
        *place = block.map(|byte| if byte == b'+' { b' ' } else { byte });
        let mut before = 0;
        for percents in percents {
            before += word::before(percents);
            if percents != 0 {
                return at + before;
            }
        }
        at += BLOCK;
    }
    at
}

/// The value of each hexadecimal digit; 255 for other bytes.
static VALUES: [u8; 256] = {
    let mut values = [255; 256];
    let mut value = 0;
    while value < 16 {
        let digit = hex::DIGITS[value as usize];
        values[digit as usize] = value;
        values[digit.to_ascii_uppercase() as usize] = value;
        value += 1;
    }
    values
};

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

    /// Against decoding byte by byte, in texts full of escapes of all kinds, whole and broken.
    #[test]
    fn words_are_decoded_like_bytes() {
        const PIECES: [&str; 12] =
            ["%41", "%e4", "%zz", "%4", "%", "+", "a", "plain text ", "%u0041", "%uD", "%25", "%%2B"];
        let by_bytes = |text: &[u8], unicode: bool| {
            let (mut result, mut at) = (Vec::new(), 0);
            while let Some(&byte) = text.get(at) {
                let digits = |from: usize, count: usize| {
                    let digits = str::from_utf8(text.get(from..from + count)?).ok()?;
                    let all = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
                    all.then(|| u16::from_str_radix(digits, 16).ok())?
                };
                let short = digits(at + 1, 2).filter(|_| byte == b'%').map(|code| (code as u8, 3));
                let is_long = unicode && byte == b'%' && text.get(at + 1) == Some(&b'u');
                let long = || digits(at + 2, 4).filter(|_| is_long).map(|code| (code as u8, 6));
                let (decoded, taken) =
                    short.or_else(long).unwrap_or((if byte == b'+' { b' ' } else { byte }, 1));
                result.push(decoded);
                at += taken;
            }
            result
        };
        let mut random = 3u32;
        let mut next = |end: usize| {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (random >> 16) as usize % end
        };
        for round in 0..2_000 {
            let kinds = [12, 3, 8][round % 3];
            let pieces = (0..next(60)).map(|_| PIECES[next(kinds)]);
            let mut text = pieces.collect::<String>();
            if round % 5 == 0 {
                text.insert_str(text.len() / 2 - text.len() / 2 % 4, &"0123456789".repeat(12));
            }
            let mut output = Vec::new();
            for (transformation, unicode) in [(UrlDecode, false), (UrlDecodeUni, true)] {
                let changed = transformation.apply(text.as_bytes(), &mut output, &Context::default());
                let result = if changed { &*output } else { text.as_bytes() };
                assert_eq!(result, by_bytes(text.as_bytes(), unicode), "{transformation:?} of {text}");
            }
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
