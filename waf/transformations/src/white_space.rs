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

/// Whether [`compress`] changes nothing.
pub(crate) fn is_compressed(input: &[u8]) -> bool {
    // Not `matches!`, which the compiler does not turn into vector instructions.
    !scan::any(input, |byte| byte.wrapping_sub(b'\t') < 5)
        && !scan::any_pair(input, |first, second| (first == b' ') & (second == b' '))
}

/// `compressWhitespace`: each run of white space becomes one space.
pub(crate) fn compress(input: &[u8], output: &mut Vec<u8>) {
    output.resize(input.len(), 0);
    let result = output.as_mut_slice();
    let (mut rest, mut kept, mut after_space) = (input, 0, 0);
    while !rest.is_empty() {
        // Most runs have nothing to change.
        if let (Some(run), Some(place)) = (rest.first_chunk::<RUN>(), result[kept..].first_chunk_mut::<RUN>())
            && is_plain(run)
            && !(after_space == 1 && run[0] == b' ')
        {
            *place = *run;
            kept += RUN;
            after_space = u8::from(run[RUN - 1] == b' ');
            rest = &rest[RUN..];
            continue;
        }
        // Every byte is stored and only kept ones advance: no branch to mispredict.
        let (run, after) = rest.split_at(rest.len().min(RUN));
        for &byte in run {
            let space = u8::from(is_space(byte));
            result[kept] = if space == 1 { b' ' } else { byte };
            kept += usize::from((space & after_space) ^ 1);
            after_space = space;
        }
        rest = after;
    }
    output.truncate(kept);
}

/// Bytes that are looked at together.
const RUN: usize = 16;

/// Whether a run by itself is left as it is.
#[inline]
fn is_plain(run: &[u8; RUN]) -> bool {
    let odd = run.iter().fold(0, |odd, &byte| odd | u8::from(byte.wrapping_sub(b'\t') < 5));
    let pairs = run.iter().zip(&run[1..]);
    odd | pairs.fold(0, |odd, (&first, &second)| odd | u8::from((first == b' ') & (second == b' '))) == 0
}

/// Whether [`remove`] changes nothing.
pub(crate) fn is_removed(input: &[u8]) -> bool {
    !scan::any(input, |byte| is_space(byte) | (byte == 0xa0) | (byte == 0xc2))
}

/// `removeWhitespace`: white space goes, and so do the bytes 0xA0 and 0xC2
/// wherever they stand (the no-break space in Latin-1 and UTF-8, as v3 does
/// it; this damages other UTF-8 letters).
pub(crate) fn remove(input: &[u8], output: &mut Vec<u8>) {
    // Every byte is stored and only kept ones advance; a table asks less of each byte than four comparisons.
    output.resize(input.len(), 0);
    let result = output.as_mut_slice();
    let mut kept = 0;
    for &byte in input {
        result[kept] = byte;
        kept += usize::from(KEPT[usize::from(byte)]);
    }
    output.truncate(kept);
}

/// 1 for each byte that [`remove`] keeps.
static KEPT: [u8; 256] = {
    let mut kept = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        kept[byte] = !REMOVED.contains(byte as u8) as u8;
        byte += 1;
    }
    kept
};

/// `trim`: no white space at either end.
pub(crate) fn trim(input: &[u8]) -> &[u8] {
    trim_right(trim_left(input))
}

/// `trimLeft`: no white space at the start.
pub(crate) fn trim_left(input: &[u8]) -> &[u8] {
    &input[input.iter().take_while(|&&byte| is_space(byte)).count()..]
}

/// `trimRight`: no white space at the end.
pub(crate) fn trim_right(input: &[u8]) -> &[u8] {
    &input[..input.len() - input.iter().rev().take_while(|&&byte| is_space(byte)).count()]
}

/// Whether C's `isspace` holds: a space, or TAB to CR. Without a branch, for
/// vector instructions.
pub(crate) const fn is_space(byte: u8) -> bool {
    (byte == b' ') | (byte.wrapping_sub(b'\t') < 5)
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
    fn runs_are_compressed_like_bytes() {
        for length in 0..80 {
            for at in 0..length {
                for (count, space) in [(1, " "), (2, " "), (1, "\n"), (3, "\t"), (20, " ")] {
                    let (before, after) = ("x ".repeat(at), "y".repeat(length - at));
                    let spaces = space.repeat(count);
                    let one = if at == 0 { " " } else { "" };
                    let expected = format!("{before}{one}{after}");
                    check(CompressWhitespace, &[(&format!("{before}{spaces}{after}"), &expected)]);
                }
            }
        }
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
