//! `utf8toUnicode`: UTF-8 (RFC 3629) becomes `%uHHHH`.

use crate::{ByteSet, hex, scan, word};

/// What is not copied as it is: NUL and the bytes that begin a sequence.
pub(crate) const REWRITTEN: ByteSet = ByteSet::range(0xc0, 0xf7).with(0);

/// Whether there is nothing that [`to_unicode`] might change.
pub(crate) fn is_plain(input: &[u8]) -> bool {
    !scan::any(input, is_rewritten)
}

/// Writes each sequence of two to four bytes as `%u` and at least four
/// lower-case digits, so that `urlDecodeUni` can map it.
///
/// Exactly v2 and v3 in the odd cases too: the first byte of a sequence that
/// lacks its continuation is dropped; bytes that begin no sequence are copied;
/// behind an overlong form or a surrogate its first byte is copied; 0xF5 to
/// 0xF7 are copied and their sequence is written as well; a NUL is dropped
/// unless it is the last byte. Coraza replaces what is invalid by U+FFFD.
pub(crate) fn to_unicode(input: &[u8], output: &mut Vec<u8>) {
    output.reserve(input.len() * 2);
    let mut rest = input;
    while let Some(run) = rest.first_chunk() {
        let word = word::of(*run);
        // Bytes that begin no sequence and are no text are rare: each is looked at by itself, too.
        let plain = word::before(word & word::HIGH | word::equal(word, 0));
        output.extend_from_slice(run);
        output.truncate(output.len() - (word::LENGTH - plain));
        rest = &rest[plain..];
        if plain < word::LENGTH {
            rest = write_first(rest, output);
        }
    }
    while !rest.is_empty() {
        rest = write_first(rest, output);
    }
}

/// Writes what becomes of the first byte, or of the sequence that begins with it; returns what follows.
#[inline]
fn write_first<'t>(rest: &'t [u8], output: &mut Vec<u8>) -> &'t [u8] {
    if let Some((&first, after)) = rest.split_first() {
        match first {
            0 if !after.is_empty() => {}
            0xc0..=0xf7 => {
                if first >= 0xf5 {
                    output.push(first);
                }
                if let Some((code, taken)) = sequence(first, after) {
                    write_code(code, output);
                    if (0xd800..=0xdfff).contains(&code) {
                        output.push(first);
                    }
                    if is_overlong(code, taken) {
                        output.push(first);
                    }
                    return &after[taken..];
                }
            }
            // The last NUL or a byte that begins no sequence.
            _ => output.push(first),
        }
        return after;
    }
    rest
}

/// Whether [`REWRITTEN`] has `byte`; without a table, for vector instructions.
const fn is_rewritten(byte: u8) -> bool {
    (byte == 0) | (byte.wrapping_sub(0xc0) < 0x38)
}

/// The number in a sequence that begins with `first`, and how many bytes of
/// `after` belong to it; nothing when a continuation is missing.
fn sequence(first: u8, after: &[u8]) -> Option<(u32, usize)> {
    let (count, bits) = match first {
        0xc0..=0xdf => (1, first & 0x1f),
        0xe0..=0xef => (2, first & 0x0f),
        _ => (3, first & 0x07),
    };
    let continuation = after.get(..count)?;
    continuation
        .iter()
        .try_fold(u32::from(bits), |code, &byte| {
            (byte & 0xc0 == 0x80).then(|| code << 6 | u32::from(byte & 0x3f))
        })
        .map(|code| (code, count))
}

/// Whether fewer than `continuation` bytes after the first would have done.
fn is_overlong(code: u32, continuation: usize) -> bool {
    match continuation {
        1 => code < 0x80,
        2 => code < 0x800,
        _ => code < 0x1_0000,
    }
}

/// Writes `%u` and the number in four digits, or more if it needs more.
fn write_code(code: u32, output: &mut Vec<u8>) {
    let digit = |place: u32| hex::DIGITS[(code >> (4 * place) & 15) as usize];
    if code < 0x1_0000 {
        output.extend_from_slice(&[b'%', b'u', digit(3), digit(2), digit(1), digit(0)]);
        return;
    }
    output.extend_from_slice(b"%u");
    let digits = (32 - code.leading_zeros()).div_ceil(4);
    for place in (0..digits).rev() {
        output.push(digit(place));
    }
}

#[cfg(test)]
mod tests {
    use crate::Transformation::Utf8ToUnicode;
    use crate::transformation::tests::{check, check_bytes};

    #[test]
    fn writes_code_points() {
        check(
            Utf8ToUnicode,
            &[
                ("", ""),
                ("plain", "plain"),
                ("\u{80}é\u{7ff}", "%u0080%u00e9%u07ff"),
                ("\u{800}€\u{ffff}", "%u0800%u20ac%uffff"),
                ("a😀\u{10ffff}b", "a%u1f600%u10ffffb"),
            ],
        );
    }

    #[test]
    fn sequences_anywhere_in_a_word() {
        for before in 0..20 {
            for after in 0..20 {
                let (before, after) = ("x".repeat(before), "y".repeat(after));
                let input = format!("{before}é\0€{after}😀é{before}");
                let expected = format!("{before}%u00e9%u20ac{after}%u1f600%u00e9{before}");
                check(Utf8ToUnicode, &[(&input, &expected)]);
            }
        }
    }

    #[test]
    fn both_spellings_of_the_rewritten_bytes_agree() {
        assert!((0..=255).all(|byte| super::is_rewritten(byte) == super::REWRITTEN.contains(byte)));
    }

    #[test]
    fn odd_bytes_are_treated_as_in_modsecurity() {
        check_bytes(
            Utf8ToUnicode,
            &[
                (b"a\xc3", b"a"),
                (b"\xe2\x82a", b"\x82a"),
                (b"\xf0\x9f\x98", b"\x9f\x98"),
                (b"\x80\xbf\xf8\xff", b"\x80\xbf\xf8\xff"),
                (b"\xc0\xaf", b"%u002f\xc0"),
                (b"\xe0\x80\xaf", b"%u002f\xe0"),
                (b"\xf0\x80\x80\xaf", b"%u002f\xf0"),
                (b"\xed\xa0\x80", b"%ud800\xed"),
                (b"\xf0\x8d\xa0\x80", b"%ud800\xf0\xf0"),
                (b"\xf5\x80\x80\x80", b"\xf5%u140000"),
                (b"\xf5a", b"\xf5a"),
                (b"a\0b\0", b"ab\0"),
            ],
        );
    }
}
