//! `escapeSeqDecode`: the backslash escapes of ANSI C, and the parts of them
//! that JavaScript shares.

use memchr::memchr;

use crate::hex;

/// Whether [`decode`] changes nothing, and `jsDecode` neither: of all
/// backslashes only one at the very end stays.
pub(crate) fn is_decoded(input: &[u8]) -> bool {
    memchr(b'\\', input).is_none_or(|first| first + 1 == input.len())
}

/// Decodes `\a \b \f \n \r \t \v \\ \? \' \"`, `\xHH`, `\XHH` and one to three
/// octal digits (the low byte of `\777`); any other escape loses its
/// backslash; a backslash at the very end stays.
///
/// That is v3 and Coraza (which makes `\777` 0xFF); v2 keeps the backslash of
/// an escape it does not know.
pub(crate) fn decode(input: &[u8], output: &mut Vec<u8>) {
    rewrite(input, output, |after| match *after {
        [b'x' | b'X', high, low, ..] if hex::is_digit(high) && hex::is_digit(low) => {
            (hex::byte(high, low), 3)
        }
        [b'0'..=b'7', ..] => {
            let digits = octal_digits(after);
            (octal(digits), digits.len())
        }
        [letter, ..] => (control(letter), 1),
        [] => (b'\\', 0),
    });
}

/// Copies `input` and lets `unescape` replace each escape: it gets what
/// follows a backslash and gives one byte and how many bytes that took.
pub(crate) fn rewrite(input: &[u8], output: &mut Vec<u8>, unescape: impl Fn(&[u8]) -> (u8, usize)) {
    output.reserve(input.len());
    let (plain, mut rest) = input.split_at(memchr(b'\\', input).unwrap_or(input.len()));
    output.extend_from_slice(plain);
    // Here `rest` begins with a backslash, or is empty.
    while let Some((_, after)) = rest.split_first() {
        let (byte, taken) = unescape(after);
        output.push(byte);
        rest = &after[taken..];
        let next = memchr(b'\\', rest).unwrap_or(rest.len());
        output.extend_from_slice(&rest[..next]);
        rest = &rest[next..];
    }
}

/// The leading octal digits of `text`, three at most.
pub(crate) fn octal_digits(text: &[u8]) -> &[u8] {
    let digits = text.iter().take(3).take_while(|&&byte| matches!(byte, b'0'..=b'7'));
    &text[..digits.count()]
}

/// The low byte of the number that up to three octal digits spell.
pub(crate) fn octal(digits: &[u8]) -> u8 {
    digits.iter().fold(0, |value: u8, digit| value.wrapping_mul(8).wrapping_add(digit - b'0'))
}

/// The control character of a letter's escape, or the letter itself.
pub(crate) const fn control(letter: u8) -> u8 {
    match letter {
        b'a' => 0x07,
        b'b' => 0x08,
        b'f' => 0x0c,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'v' => 0x0b,
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use crate::Transformation::EscapeSeqDecode;
    use crate::transformation::tests::{check, check_bytes};

    #[test]
    fn decodes_escapes_of_c() {
        check(
            EscapeSeqDecode,
            &[
                ("", ""),
                ("plain", "plain"),
                (r"\a\b\f\n\r\t\v", "\u{7}\u{8}\u{c}\n\r\t\u{b}"),
                (r#"\\\?\'\""#, r#"\?'""#),
                (r"\x41\X4a\x4", "AJx4"),
                (r"\1\12\101\1010\8\g", "\u{1}\nAA08g"),
                (r"\\x41", r"\x41"),
                ("end\\", "end\\"),
                ("\\", "\\"),
                (r"\u0041", "u0041"),
            ],
        );
        check_bytes(EscapeSeqDecode, &[(br"\777\666\xff", b"\xff\xb6\xff")]);
    }
}
