//! SQL strings and numbers in all the notations that databases have for them. Each function
//! writes a token and returns where the input goes on behind it.

use super::bytes::{self, Set};
use super::kind::Kind;
use super::token::Token;

/// A string whose opening quote stands at `at`.
pub(super) fn string(token: &mut Token, input: &[u8], at: usize, delimiter: u8) -> usize {
    let end = string_content(token, input, at + 1, delimiter);
    token.open = delimiter;
    end
}

/// The rest of a string whose opening quote stands before the input.
pub(super) fn rest_of_string(token: &mut Token, input: &[u8], delimiter: u8) -> usize {
    string_content(token, input, 0, delimiter)
}

/// `e'…'`, and likewise `n'…'`; `None` when this is a word.
pub(super) fn escaped(token: &mut Token, input: &[u8], at: usize) -> Option<usize> {
    (at + 2 < input.len() && input[at + 1] == b'\'').then(|| string(token, input, at + 1, b'\''))
}

/// `n'…'` or `nq'(…)'`; `None` when this is a word.
pub(super) fn national(token: &mut Token, input: &[u8], at: usize) -> Option<usize> {
    match escaped(token, input, at) {
        None => delimited(token, input, at + 1),
        end => end,
    }
}

/// `u&'…'`; `None` when this is a word.
pub(super) fn unicode(token: &mut Token, input: &[u8], at: usize) -> Option<usize> {
    if input.get(at + 1..at + 3)? != b"&'" {
        return None;
    }
    let end = string(token, input, at + 2, b'\'');
    token.open = b'u';
    if token.close != 0 {
        token.close = b'u';
    }
    Some(end)
}

/// Oracle's `q'(…)'` with its `q` at `at`, any delimiter in place of the parentheses; `None` when
/// this is a word.
pub(super) fn delimited(token: &mut Token, input: &[u8], at: usize) -> Option<usize> {
    let (&[letter, quote, opening], content) = input.get(at..)?.split_first_chunk()?;
    // Bytes beyond ASCII are negative in libinjection, hence below the space too.
    if !letter.eq_ignore_ascii_case(&b'q') || quote != b'\'' || opening <= b' ' || !opening.is_ascii() {
        return None;
    }
    let closing = match opening {
        b'(' => b')',
        b'[' => b']',
        b'{' => b'}',
        b'<' => b'>',
        same => same,
    };
    let start = input.len() - content.len();
    let close = bytes::find_pair(input, start, [closing, b'\'']);
    Some(marked(token, input, start, close, 2, b'q'))
}

/// `b'0101'`, with its marks in the value; `None` when this is a word.
pub(super) fn binary(token: &mut Token, input: &[u8], at: usize) -> Option<usize> {
    quoted_digits(token, input, at, bytes::BINARY)
}

/// `x'1f'`, with its marks in the value; `None` when this is a word.
pub(super) fn hex(token: &mut Token, input: &[u8], at: usize) -> Option<usize> {
    quoted_digits(token, input, at, bytes::HEX)
}

/// What begins with a dollar sign: an amount `$1,000.00` or a parameter `$1`, PostgreSQL's
/// strings `$$…$$` and `$tag$…$tag$`, or the sign alone. `None` when this is a word.
pub(super) fn dollar(token: &mut Token, input: &[u8], at: usize) -> Option<usize> {
    token.set_byte(Kind::Bareword, b'$');
    let Some(&next) = input.get(at + 1) else { return Some(at + 1) };
    let amount_end = bytes::AMOUNT.skip(input, at + 1);
    match amount_end - (at + 1) {
        0 if next == b'$' => {
            let start = at + 2;
            Some(marked(token, input, start, bytes::find_pair(input, start, *b"$$"), 2, b'$'))
        }
        0 => Some(tagged_string(token, input, at).unwrap_or(at + 1)),
        1 if next == b'.' => None,
        _ => {
            token.set(Kind::Number, &input[at..amount_end]);
            Some(amount_end)
        }
    }
}

/// A number, or a dot, or what looks like a number but is read as a word: `0x` and `1e`.
pub(super) fn number(token: &mut Token, input: &[u8], at: usize) -> usize {
    let (kind, end) = number_extent(input, at);
    token.set(kind, &input[at..end]);
    end
}

/// What [`number`] makes of the byte at `at`, and where it ends.
pub(super) fn number_extent(input: &[u8], at: usize) -> (Kind, usize) {
    if let Some(prefixed) = prefixed_number(input, at) {
        return prefixed;
    }
    let mut end = bytes::DIGIT.skip(input, at);
    if input.get(end) == Some(&b'.') {
        end = bytes::DIGIT.skip(input, end + 1);
        if end == at + 1 {
            return (Kind::Dot, end);
        }
    }
    let mut kind = Kind::Number;
    if matches!(input.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(input.get(end + 1), Some(b'+' | b'-')));
        let exponent = end + 1 + sign;
        end = bytes::DIGIT.skip(input, exponent);
        if end == exponent {
            kind = Kind::Bareword;
        }
    }
    if has_suffix(input, end) {
        end += 1;
    }
    (kind, end)
}

/// The string with content from `start` on.
fn string_content(token: &mut Token, input: &[u8], start: usize, delimiter: u8) -> usize {
    let (content_end, end) = string_extent(input, start, delimiter);
    token.set(Kind::Text, &input[start..content_end]);
    token.close = if end > content_end { delimiter } else { 0 };
    end
}

/// Where the string with content from `start` on ends, without and with its quote. A quote in the
/// content is doubled, or has an odd number of backslashes before it.
pub(super) fn string_extent(input: &[u8], start: usize, delimiter: u8) -> (usize, usize) {
    let mut from = start;
    while let Some(quote) = bytes::find_byte(input, from, delimiter) {
        let backslashes = input[start..quote].iter().rev().take_while(|&&byte| byte == b'\\').count();
        if backslashes % 2 == 1 {
            from = quote + 1;
        } else if input.get(quote + 1) == Some(&delimiter) {
            from = quote + 2;
        } else {
            return (quote, quote + 1);
        }
    }
    (input.len(), input.len())
}

/// The string from `start` to `close`, which is followed by a closing mark of `mark_length`, or
/// to the end of the input; `mark` is noted as its quotes.
fn marked(
    token: &mut Token,
    input: &[u8],
    start: usize,
    close: Option<usize>,
    mark_length: usize,
    mark: u8,
) -> usize {
    token.set(Kind::Text, &input[start..close.unwrap_or(input.len())]);
    token.open = mark;
    token.close = if close.is_some() { mark } else { 0 };
    close.map_or(input.len(), |close| close + mark_length)
}

fn tagged_string(token: &mut Token, input: &[u8], at: usize) -> Option<usize> {
    let tag_end = bytes::LETTER.skip(input, at + 1);
    if tag_end == at + 1 || input.get(tag_end) != Some(&b'$') {
        return None;
    }
    let start = tag_end + 1;
    let tag = &input[at..start];
    let close = memchr::memmem::find(&input[start..], tag).map(|offset| start + offset);
    Some(marked(token, input, start, close, tag.len(), b'$'))
}

fn quoted_digits(token: &mut Token, input: &[u8], at: usize, digits: Set) -> Option<usize> {
    if input.get(at + 1) != Some(&b'\'') {
        return None;
    }
    let close = digits.skip(input, at + 2);
    let end = close + 1;
    if input.get(close) != Some(&b'\'') {
        return None;
    }
    token.set(Kind::Number, &input[at..end]);
    Some(end)
}

/// `0x1f` and `0b01`; without a digit it is a word.
fn prefixed_number(input: &[u8], at: usize) -> Option<(Kind, usize)> {
    let digits = match input.get(at..at + 2)? {
        [b'0', b'x' | b'X'] => bytes::HEX,
        [b'0', b'b' | b'B'] => bytes::BINARY,
        _ => return None,
    };
    let end = digits.skip(input, at + 2);
    let kind = if end == at + 2 { Kind::Bareword } else { Kind::Number };
    Some((kind, end))
}

/// Whether a number goes on with Oracle's suffix for floats and doubles. Before `u` it is one so
/// that `1fUNION` is a number and `UNION`.
fn has_suffix(input: &[u8], at: usize) -> bool {
    matches!(input.get(at), Some(b'd' | b'D' | b'f' | b'F'))
        && input.get(at + 1).is_none_or(|&next| bytes::WHITE.has(next) || matches!(next, b';' | b'u' | b'U'))
}
