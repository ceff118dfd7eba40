//! JSON string literals: where they end, whether they are clean, and what they
//! mean once escapes are resolved (RFC 8259, section 7).

use super::Reason;

/// A string literal as found in the text.
pub(super) struct Literal {
    /// Offset of the closing quote, or of the end of the text.
    pub(super) end: usize,
    /// The closing quote was found.
    pub(super) closed: bool,
    /// There are backslashes to resolve.
    pub(super) escaped: bool,
    /// The first control character or encoding error, with its offset.
    pub(super) fault: Option<(Reason, usize)>,
}

const LOW_BITS: u64 = 0x0101_0101_0101_0101;
const HIGH_BITS: u64 = 0x8080_8080_8080_8080;

/// Scans the literal whose first byte after the opening quote is at `start`.
#[inline]
pub(super) fn scan(text: &[u8], start: usize) -> Literal {
    let mut non_ascii = false;
    match next_special(&text[start..], &mut non_ascii) {
        Some(length) if !non_ascii && text[start + length] == b'"' => {
            Literal { end: start + length, closed: true, escaped: false, fault: None }
        }
        Some(length) => scan_on(text, start, start + length, non_ascii),
        None => scan_on(text, start, text.len(), non_ascii),
    }
}

/// Goes on at `at`, where something special stands, or the text ends.
fn scan_on(text: &[u8], start: usize, mut at: usize, mut non_ascii: bool) -> Literal {
    let mut literal = Literal { end: text.len(), closed: false, escaped: false, fault: None };
    while at < text.len() {
        match text[at] {
            b'"' => {
                literal.end = at;
                literal.closed = true;
                break;
            }
            b'\\' => {
                literal.escaped = true;
                non_ascii |= text.get(at + 1).is_some_and(|b| !b.is_ascii());
                at = text.len().min(at + 2);
            }
            _ => {
                literal.fault.get_or_insert((Reason::ControlCharacter, at));
                at += 1;
            }
        }
        at += next_special(&text[at..], &mut non_ascii).unwrap_or(text.len() - at);
    }
    if non_ascii && let Err(error) = std::str::from_utf8(&text[start..literal.end]) {
        let offset = start + error.valid_up_to();
        if literal.fault.is_none_or(|(_, earlier)| offset < earlier) {
            literal.fault = Some((Reason::InvalidUtf8, offset));
        }
    }
    literal
}

/// Offset of the first quote, backslash or control character. Notes in
/// `non_ascii` whether a byte above 127 may have come before it.
#[inline]
fn next_special(text: &[u8], non_ascii: &mut bool) -> Option<usize> {
    let mut at = 0;
    for chunk in text.chunks_exact(8) {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(chunk);
        let word = u64::from_le_bytes(bytes);
        if word & HIGH_BITS != 0 {
            *non_ascii = true;
        }
        // Borrows can only mark bytes above a true hit, never hide one.
        let special = has_zero(word ^ (LOW_BITS * b'"' as u64))
            | has_zero(word ^ (LOW_BITS * b'\\' as u64))
            | (word.wrapping_sub(LOW_BITS * 0x20) & !word & HIGH_BITS);
        if special != 0 {
            return Some(at + special.trailing_zeros() as usize / 8);
        }
        at += 8;
    }
    for (offset, &byte) in text[at..].iter().enumerate() {
        if byte == b'"' || byte == b'\\' || byte < 0x20 {
            return Some(at + offset);
        }
        *non_ascii |= !byte.is_ascii();
    }
    None
}

/// Marks the high bit of each zero byte (and perhaps of bytes above it).
#[inline]
fn has_zero(word: u64) -> u64 {
    word.wrapping_sub(LOW_BITS) & !word & HIGH_BITS
}

/// Appends the meaning of `raw`, the inside of a literal, to `out`. A faulty
/// escape stays as it stands; the first one is returned with its offset in
/// `raw`.
pub(super) fn unescape(raw: &[u8], out: &mut Vec<u8>) -> Option<(Reason, usize)> {
    let mut fault = None;
    let mut at = 0;
    while let Some(offset) = memchr::memchr(b'\\', &raw[at..]) {
        out.extend_from_slice(&raw[at..at + offset]);
        at += offset;
        let plain = match raw.get(at + 1) {
            Some(b'n') => b'\n',
            Some(b't') => b'\t',
            Some(b'r') => b'\r',
            Some(b'b') => 0x08,
            Some(b'f') => 0x0C,
            Some(&same @ (b'"' | b'\\' | b'/')) => same,
            Some(b'u') => {
                at += unescape_unicode(&raw[at..], out).unwrap_or_else(|| {
                    fault.get_or_insert((Reason::InvalidUnicodeEscape, at));
                    out.extend_from_slice(b"\\u");
                    2
                });
                continue;
            }
            _ => {
                fault.get_or_insert((Reason::InvalidEscape, at));
                out.push(b'\\');
                at += 1;
                // The byte after it is copied too, whatever it is, so that the
                // second backslash of an unknown escape cannot start another.
                if let Some(&byte) = raw.get(at) {
                    out.push(byte);
                    at += 1;
                }
                continue;
            }
        };
        out.push(plain);
        at += 2;
    }
    out.extend_from_slice(&raw[at..]);
    fault
}

/// Resolves `\uXXXX` at the start of `raw`, with its low surrogate if one
/// follows; returns how many bytes it took. A lone surrogate is U+FFFD.
fn unescape_unicode(raw: &[u8], out: &mut Vec<u8>) -> Option<usize> {
    let first = code_unit(raw)?;
    let (character, length) = match (first, code_unit(raw.get(6..).unwrap_or_default())) {
        (0xD800..=0xDBFF, Some(second @ 0xDC00..=0xDFFF)) => {
            let code = 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00);
            (char::from_u32(code), 12)
        }
        _ => (char::from_u32(first), 6),
    };
    let character = character.unwrap_or(char::REPLACEMENT_CHARACTER);
    out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    Some(length)
}

/// The number in `\uXXXX` at the start of `raw`.
fn code_unit(raw: &[u8]) -> Option<u32> {
    let [b'\\', b'u', digits @ ..] = raw else { return None };
    digits.get(..4)?.iter().try_fold(0, |number, &digit| Some(number << 4 | char::from(digit).to_digit(16)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_same_specials_as_a_plain_loop() {
        // Each special at each position, after bytes that could borrow into it.
        for filler in [b' ', b'!', b'#', b'[', b']', 0x80, 0xFF, b'a'] {
            for length in 0..20 {
                let clean = vec![filler; length];
                assert_eq!(next_special(&clean, &mut false), None);
                for special in [b'"', b'\\', 0, 1, 0x1F] {
                    let mut text = clean.clone();
                    text.push(special);
                    text.extend_from_slice(b"tail \" \\ of text");
                    let mut non_ascii = false;
                    assert_eq!(next_special(&text, &mut non_ascii), Some(length));
                    assert_eq!(non_ascii, filler >= 0x80 && length > 0);
                }
            }
        }
    }

    #[test]
    fn resolves_escapes() {
        let cases: &[(&str, &str, Option<Reason>)] = &[
            (r#"\"\\\/\b\f\n\r\t"#, "\"\\/\x08\x0C\n\r\t", None),
            (r"\u0041\u00e9\u20AC", "Aé€", None),
            (r"\ud83d\ude00!", "😀!", None),
            (r"\ud83d", "\u{FFFD}", None),
            (r"\ude00", "\u{FFFD}", None),
            (r"\ud83d\u0041", "\u{FFFD}A", None),
            (r"a\u0000b", "a\0b", None),
            (r"\u12G4", r"\u12G4", Some(Reason::InvalidUnicodeEscape)),
            (r"\u12", r"\u12", Some(Reason::InvalidUnicodeEscape)),
            (r"\x41", r"\x41", Some(Reason::InvalidEscape)),
            (r"\", r"\", Some(Reason::InvalidEscape)),
        ];
        for (raw, expected, reason) in cases {
            let mut out = Vec::new();
            let fault = unescape(raw.as_bytes(), &mut out);
            assert_eq!(String::from_utf8_lossy(&out), *expected, "{raw}");
            assert_eq!(fault.map(|(reason, _)| reason), *reason, "{raw}");
        }
    }
}
