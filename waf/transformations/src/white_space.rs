//! White space: `compressWhitespace`, `removeWhitespace`, `trim`, `trimLeft`,
//! `trimRight`.
//!
//! White space is what C's `isspace` says in the "C" locale. v2 counts the
//! no-break space (0xA0) everywhere, v3 only in `removeWhitespace`, Coraza
//! goes by Unicode.

use crate::{ByteSet, scan};

/// The six white-space bytes.
pub(crate) const WHITE_SPACE: ByteSet = ByteSet::of(b" \t\n\x0b\x0c\r");

/// What `removeWhitespace` removes.
pub(crate) const REMOVED: ByteSet = WHITE_SPACE.with(0xa0).with(0xc2);

/// `compressWhitespace`: each run of white space becomes one space.
pub(crate) fn compress(input: &[u8], output: &mut Vec<u8>) -> bool {
    let controls = |byte: u8| matches!(byte, b'\t'..=b'\r');
    if !scan::any(input, controls) && !scan::any_pair(input, |first, second| first == b' ' && second == b' ')
    {
        return false;
    }
    output.reserve(input.len());
    let mut after_space = false;
    for &byte in input {
        let space = is_space(byte);
        if !space {
            output.push(byte);
        } else if !after_space {
            output.push(b' ');
        }
        after_space = space;
    }
    true
}

/// `removeWhitespace`: white space goes, and so do the bytes 0xA0 and 0xC2
/// wherever they stand (the no-break space in Latin-1 and UTF-8, as v3 does
/// it; this damages other UTF-8 letters).
pub(crate) fn remove(input: &[u8], output: &mut Vec<u8>) -> bool {
    let removed = |byte: u8| is_space(byte) | (byte == 0xa0) | (byte == 0xc2);
    if !scan::any(input, removed) {
        return false;
    }
    // Every byte is stored and only kept ones advance: no branch to mispredict.
    output.resize(input.len(), 0);
    let mut kept = 0;
    for &byte in input {
        output[kept] = byte;
        kept += usize::from(!removed(byte));
    }
    output.truncate(kept);
    true
}

/// `trim`: no white space at either end.
pub(crate) fn trim(input: &[u8], output: &mut Vec<u8>) -> bool {
    keep(input, without_tail(without_head(input)), output)
}

/// `trimLeft`: no white space at the start.
pub(crate) fn trim_left(input: &[u8], output: &mut Vec<u8>) -> bool {
    keep(input, without_head(input), output)
}

/// `trimRight`: no white space at the end.
pub(crate) fn trim_right(input: &[u8], output: &mut Vec<u8>) -> bool {
    keep(input, without_tail(input), output)
}

/// Whether C's `isspace` holds: a space, or TAB to CR. Without a branch, for
/// vector instructions.
pub(crate) const fn is_space(byte: u8) -> bool {
    (byte == b' ') | (byte.wrapping_sub(b'\t') < 5)
}

fn without_head(input: &[u8]) -> &[u8] {
    &input[input.iter().take_while(|&&byte| is_space(byte)).count()..]
}

fn without_tail(input: &[u8]) -> &[u8] {
    &input[..input.len() - input.iter().rev().take_while(|&&byte| is_space(byte)).count()]
}

fn keep(input: &[u8], part: &[u8], output: &mut Vec<u8>) -> bool {
    if part.len() == input.len() {
        return false;
    }
    output.extend_from_slice(part);
    true
}

#[cfg(test)]
mod tests {
    use crate::Transformation::{CompressWhitespace, RemoveWhitespace, Trim, TrimLeft, TrimRight};
    use crate::transformation::tests::{check, check_bytes};

    #[test]
    fn both_spellings_of_white_space_agree() {
        assert!((0..=255).all(|byte| super::is_space(byte) == super::WHITE_SPACE.contains(byte)));
    }

    #[test]
    fn compresses() {
        check(
            CompressWhitespace,
            &[
                ("", ""),
                ("a b c", "a b c"),
                (" a ", " a "),
                ("a  b", "a b"),
                ("a\tb", "a b"),
                ("\r\n\u{b}\u{c}", " "),
            ],
        );
        check_bytes(CompressWhitespace, &[(b"a\xa0\xa0b", b"a\xa0\xa0b")]);
    }

    #[test]
    fn removes() {
        check(
            RemoveWhitespace,
            &[("", ""), ("ab", "ab"), (" a\t\n\u{b}\u{c}\r b ", "ab"), ("a\u{a0}b", "ab")],
        );
        check_bytes(RemoveWhitespace, &[(b"\xa0a\xc2", b"a"), (b"a\x85\x1f", b"a\x85\x1f")]);
    }

    #[test]
    fn trims_the_named_ends() {
        check(Trim, &[("", ""), ("  ", ""), (" a b\n", "a b"), ("a b", "a b"), ("\u{a0}a", "\u{a0}a")]);
        check(TrimLeft, &[("", ""), ("  ", ""), (" a b\n", "a b\n"), ("a ", "a ")]);
        check(TrimRight, &[("", ""), ("  ", ""), (" a b\n", " a b"), (" a", " a")]);
    }
}
