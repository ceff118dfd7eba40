//! `jsDecode`: the backslash escapes of JavaScript.

use crate::{escape_sequence, hex};

/// Decodes `\uHHHH` (low byte; full-width ASCII folded), `\xHH`, one to three
/// octal digits up to `\377` and the letters `\a \b \f \n \r \t \v`; any other
/// escape loses its backslash; a backslash at the very end stays.
///
/// v2, v3 and Coraza agree.
pub(crate) fn decode(input: &[u8], output: &mut Vec<u8>) {
    escape_sequence::rewrite(input, output, |after| match *after {
        [b'u', a, b, c, d, ..] if hex::are_digits(&[a, b, c, d]) => (hex::code_unit([a, b, c, d]), 5),
        [b'x', high, low, ..] if hex::is_digit(high) && hex::is_digit(low) => (hex::byte(high, low), 3),
        [b'0'..=b'7', ..] => {
            let mut digits = escape_sequence::octal_digits(after);
            // \477 would not fit a byte: JavaScript reads \47 and a 7.
            if let &[b'4'..=b'7', _, _] = digits {
                digits = &digits[..2];
            }
            (escape_sequence::octal(digits), digits.len())
        }
        [letter, ..] => (escape_sequence::control(letter), 1),
        [] => (b'\\', 0),
    });
}

#[cfg(test)]
mod tests {
    use crate::Transformation::JsDecode;
    use crate::transformation::tests::{check, check_bytes};

    #[test]
    fn decodes_escapes_of_javascript() {
        check(
            JsDecode,
            &[
                ("", ""),
                ("plain", "plain"),
                (r"\u003cscript\u003E", "<script>"),
                (r"\uFF1c\uff5e\uff00", "<~\0"),
                (r"\x3c\X3c\x3", "<X3cx3"),
                (r"\74\074\0740\477", "<<<0'7"),
                (r"\a\b\f\n\r\t\v", "\u{7}\u{8}\u{c}\n\r\t\u{b}"),
                (r"\'\\\u12\q", r"'\u12q"),
                ("end\\", "end\\"),
                ("\\", "\\"),
            ],
        );
        check_bytes(JsDecode, &[(br"\uff5f\u12ff\377", b"\x5f\xff\xff")]);
    }
}
