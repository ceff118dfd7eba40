//! Hexadecimal: `hexEncode`, `hexDecode`, `sqlHexDecode`, and the digits that
//! the other decoders read.

use memchr::{memchr, memchr2_iter};

/// The digits in the order of their values; ModSecurity writes lower case.
pub(crate) const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// `hexEncode`: two lower-case digits for each byte.
pub(crate) fn encode(input: &[u8], output: &mut Vec<u8>) {
    output.resize(input.len() * 2, 0);
    for (pair, &byte) in output.as_chunks_mut::<2>().0.iter_mut().zip(input) {
        *pair = PAIRS[usize::from(byte)];
    }
}

/// The two digits of each byte.
static PAIRS: [[u8; 2]; 256] = {
    let mut pairs = [[0; 2]; 256];
    let mut byte = 0;
    while byte < 256 {
        pairs[byte] = [DIGITS[byte >> 4], DIGITS[byte & 15]];
        byte += 1;
    }
    pairs
};

/// `hexDecode`: each pair of digits becomes a byte; a last odd digit is
/// dropped (v3 overruns its buffer when it is the only one).
///
/// Nothing is validated, as in v2 and v3: bytes that are no digits give
/// whatever [`byte`] makes of them. Coraza refuses such values and odd lengths.
pub(crate) fn decode(input: &[u8], output: &mut Vec<u8>) {
    output.extend(input.as_chunks::<2>().0.iter().map(|&[high, low]| byte(high, low)));
}

/// Whether [`decode_sql`] changes nothing.
pub(crate) fn is_sql_decoded(input: &[u8]) -> bool {
    !memchr2_iter(b'x', b'X', input).any(|at| at > 0 && has_digits(&input[at - 1..]))
}

/// `sqlHexDecode`: `0x414243` becomes `ABC`. A literal needs at least two
/// digits; an odd last digit stays as text.
pub(crate) fn decode_sql(input: &[u8], output: &mut Vec<u8>) {
    output.reserve(input.len());
    let mut rest = input;
    while !rest.is_empty() {
        if let Some(digits) = literal(rest) {
            output.extend(digits.as_chunks::<2>().0.iter().map(|&[high, low]| byte(high, low)));
            rest = &rest[2 + digits.len()..];
        } else {
            let end = memchr(b'0', &rest[1..]).map_or(rest.len(), |at| at + 1);
            output.extend_from_slice(&rest[..end]);
            rest = &rest[end..];
        }
    }
}

/// Whether `text` begins with a literal.
fn has_digits(text: &[u8]) -> bool {
    matches!(*text, [b'0', b'x' | b'X', high, low, ..] if is_digit(high) && is_digit(low))
}

/// The even number of digits after a leading `0x`, if there are any.
fn literal(text: &[u8]) -> Option<&[u8]> {
    let [b'0', b'x' | b'X', digits @ ..] = text else { return None };
    let pairs = digits.as_chunks::<2>().0.iter();
    let pairs = pairs.take_while(|[high, low]| is_digit(*high) && is_digit(*low)).count();
    (pairs > 0).then(|| &digits[..pairs * 2])
}

/// Whether `byte` is a hexadecimal digit of either case.
pub(crate) const fn is_digit(byte: u8) -> bool {
    byte.is_ascii_hexdigit()
}

/// Whether all of `bytes` are hexadecimal digits.
pub(crate) fn are_digits(bytes: &[u8]) -> bool {
    bytes.iter().all(u8::is_ascii_hexdigit)
}

/// The byte that two digits spell. Other bytes give what ModSecurity's
/// arithmetic gives, wrapping, because `hexDecode` shows it.
pub(crate) const fn byte(high: u8, low: u8) -> u8 {
    digit(high).wrapping_mul(16).wrapping_add(digit(low))
}

/// The value of one digit.
pub(crate) const fn digit(byte: u8) -> u8 {
    if byte >= b'A' { (byte & 0xdf).wrapping_sub(b'A').wrapping_add(10) } else { byte.wrapping_sub(b'0') }
}

/// The byte that stands for the code unit of four digits: the low byte, with
/// full-width ASCII (U+FF01 to U+FF5E) folded to plain ASCII.
pub(crate) fn code_unit([a, b, c, d]: [u8; 4]) -> u8 {
    let low = byte(c, d);
    if a.eq_ignore_ascii_case(&b'f') && b.eq_ignore_ascii_case(&b'f') && (0x01..=0x5e).contains(&low) {
        low + 0x20
    } else {
        low
    }
}

#[cfg(test)]
mod tests {
    use crate::Transformation::{HexDecode, HexEncode, SqlHexDecode};
    use crate::transformation::tests::check;

    #[test]
    fn encodes() {
        check(HexEncode, &[("", ""), ("\0\n~", "000a7e"), ("é", "c3a9")]);
    }

    #[test]
    fn decodes_pairs_and_drops_an_odd_digit() {
        check(HexDecode, &[("", ""), ("a", ""), ("4", ""), ("41", "A"), ("414", "A"), ("4A4b", "JK")]);
    }

    #[test]
    fn what_is_no_digit_follows_the_arithmetic() {
        assert_eq!(super::byte(b'z', b'/'), 35u8.wrapping_mul(16).wrapping_add(255));
    }

    #[test]
    fn decodes_literals_of_sql() {
        check(
            SqlHexDecode,
            &[
                ("0x414243", "ABC"),
                ("select 0X41,0x4", "select A,0x4"),
                ("0x41424", "AB4"),
                ("00x41", "0A"),
                ("0x0x41", "0xA"),
                ("x41", "x41"),
                ("0x", "0x"),
                ("0x4g 0xg4", "0x4g 0xg4"),
                ("box 0x41 0 0x42", "box A 0 B"),
            ],
        );
    }

    #[test]
    fn folds_full_width_ascii_only() {
        assert_eq!(super::code_unit(*b"fF01"), b'!');
        assert_eq!(super::code_unit(*b"ff5e"), b'~');
        assert_eq!(super::code_unit(*b"ff5f"), 0x5f);
        assert_eq!(super::code_unit(*b"ff00"), 0);
        assert_eq!(super::code_unit(*b"fe41"), b'A');
    }
}
