//! `cssDecode`: the backslash escapes of CSS 2 (section 4.1.3).

use memchr::memchr;

use crate::{hex, white_space};

/// The digits one CSS escape may have.
const MOST_DIGITS: usize = 6;

/// Whether [`decode`] changes nothing: no backslash stays.
pub(crate) fn is_decoded(input: &[u8]) -> bool {
    memchr(b'\\', input).is_none()
}

/// Decodes `\H` to `\HHHHHH` to one byte, the last two digits (full-width
/// ASCII is folded when the digits before those four are zeros), with the one
/// white space that may end the escape; drops an escaped newline and a
/// backslash at the end; any other escaped byte stands for itself.
///
/// v2 and v3 agree. Coraza writes the code point as UTF-8.
pub(crate) fn decode(input: &[u8], output: &mut Vec<u8>) {
    output.reserve(input.len());
    let (plain, mut rest) = input.split_at(memchr(b'\\', input).unwrap_or(input.len()));
    output.extend_from_slice(plain);
    // Here `rest` begins with a backslash, or is empty.
    while let Some((_, after)) = rest.split_first() {
        let mut escape = after.len().min(MOST_DIGITS);
        escape = after[..escape].iter().take_while(|&&byte| hex::is_digit(byte)).count();
        if escape > 0 {
            output.push(code_point(&after[..escape]));
            escape += usize::from(after.get(escape).is_some_and(|&byte| white_space::is_space(byte)));
        } else if let Some(&byte) = after.first() {
            if byte != b'\n' {
                output.push(byte);
            }
            escape = 1;
        }
        rest = &after[escape..];
        let next = memchr(b'\\', rest).unwrap_or(rest.len());
        output.extend_from_slice(&rest[..next]);
        rest = &rest[next..];
    }
}

/// The byte for one to six digits.
fn code_point(digits: &[u8]) -> u8 {
    match *digits {
        [a] => hex::digit(a),
        [ref zeros @ .., a, b, c, d] if zeros.iter().all(|&digit| digit == b'0') => {
            hex::code_unit([a, b, c, d])
        }
        [.., a, b] => hex::byte(a, b),
        [] => 0,
    }
}

#[cfg(test)]
mod tests {
    use crate::Transformation::CssDecode;
    use crate::transformation::tests::{check, check_bytes};

    #[test]
    fn decodes_escapes() {
        check(
            CssDecode,
            &[
                ("", ""),
                ("plain", "plain"),
                ("\\6a\\61 v\\61\nx", "javax"),
                ("\\61  b", "a b"),
                ("\\a", "\n"),
                ("\\061", "a"),
                ("\\0061\\00061\\000061\\0000611", "aaaa1"),
                ("\\ff41\\0ff41\\00ff41\\fF41", "aaaa"),
                ("\\1ff41\\10ff41\\01ff41", "AAA"),
                ("\\ff00", "\0"),
                ("x\\\ny", "xy"),
                ("\\g\\\\\\-", "g\\-"),
                ("end\\", "end"),
                ("\\", ""),
            ],
        );
        check_bytes(CssDecode, &[(b"\\ff5f\\ff", b"\x5f\xff")]);
    }
}
