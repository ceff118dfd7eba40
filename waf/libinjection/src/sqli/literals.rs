//! SQL strings and numbers in all the notations that databases have for them.

use super::bytes::{self, Set};
use super::kind::Kind;
use super::token::Token;
use super::tokenizer::Scanned;

/// A string whose opening quote stands at `at`.
pub(super) fn string(input: &[u8], at: usize, delimiter: u8) -> Scanned {
    let (mut token, end) = string_content(input, at + 1, delimiter);
    token.open = delimiter;
    (token, end)
}

/// The rest of a string whose opening quote stands before the input.
pub(super) fn rest_of_string(input: &[u8], delimiter: u8) -> Scanned {
    string_content(input, 0, delimiter)
}

/// `e'…'`, and likewise `n'…'`; `None` when this is a word.
pub(super) fn escaped(input: &[u8], at: usize) -> Option<Scanned> {
    (at + 2 < input.len() && input[at + 1] == b'\'').then(|| string(input, at + 1, b'\''))
}

/// `n'…'` or `nq'(…)'`; `None` when this is a word.
pub(super) fn national(input: &[u8], at: usize) -> Option<Scanned> {
    escaped(input, at).or_else(|| delimited(input, at + 1))
}

/// `u&'…'`; `None` when this is a word.
pub(super) fn unicode(input: &[u8], at: usize) -> Option<Scanned> {
    if input.get(at + 1..at + 3)? != b"&'" {
        return None;
    }
    let (mut token, end) = string(input, at + 2, b'\'');
    token.open = b'u';
    if token.close != 0 {
        token.close = b'u';
    }
    Some((token, end))
}

/// Oracle's `q'(…)'` with its `q` at `at`, any delimiter in place of the parentheses; `None` when
/// this is a word.
pub(super) fn delimited(input: &[u8], at: usize) -> Option<Scanned> {
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
    Some(marked(input, start, close, 2, b'q'))
}

/// `b'0101'`, with its marks in the value; `None` when this is a word.
pub(super) fn binary(input: &[u8], at: usize) -> Option<Scanned> {
    quoted_digits(input, at, bytes::BINARY)
}

/// `x'1f'`, with its marks in the value; `None` when this is a word.
pub(super) fn hex(input: &[u8], at: usize) -> Option<Scanned> {
    quoted_digits(input, at, bytes::HEX)
}

/// What begins with a dollar sign: an amount `$1,000.00` or a parameter `$1`, PostgreSQL's
/// strings `$$…$$` and `$tag$…$tag$`, or the sign alone. `None` when this is a word.
pub(super) fn dollar(input: &[u8], at: usize) -> Option<Scanned> {
    let sign = (Token::byte(Kind::Bareword, b'$'), at + 1);
    let Some(&next) = input.get(at + 1) else { return Some(sign) };
    let amount_end = bytes::AMOUNT.skip(input, at + 1);
    match amount_end - (at + 1) {
        0 if next == b'$' => {
            let start = at + 2;
            Some(marked(input, start, bytes::find_pair(input, start, *b"$$"), 2, b'$'))
        }
        0 => Some(tagged_string(input, at).unwrap_or(sign)),
        1 if next == b'.' => None,
        _ => Some((Token::new(Kind::Number, &input[at..amount_end]), amount_end)),
    }
}

/// A number, or a dot, or what looks like a number but is read as a word: `0x` and `1e`.
pub(super) fn number(input: &[u8], at: usize) -> Scanned {
    if let Some(prefixed) = prefixed_number(input, at) {
        return prefixed;
    }
    let mut end = bytes::DIGIT.skip(input, at);
    if input.get(end) == Some(&b'.') {
        end = bytes::DIGIT.skip(input, end + 1);
        if end == at + 1 {
            return (Token::byte(Kind::Dot, b'.'), end);
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
    (Token::new(kind, &input[at..end]), end)
}

/// The string with content from `start` on. A quote in the content is doubled, or has an odd
/// number of backslashes before it.
fn string_content(input: &[u8], start: usize, delimiter: u8) -> Scanned {
    let mut from = start;
    while let Some(quote) = bytes::find_byte(input, from, delimiter) {
        let backslashes = input[start..quote].iter().rev().take_while(|&&byte| byte == b'\\').count();
        if backslashes % 2 == 1 {
            from = quote + 1;
        } else if input.get(quote + 1) == Some(&delimiter) {
            from = quote + 2;
        } else {
            let mut token = Token::new(Kind::Text, &input[start..quote]);
            token.close = delimiter;
            return (token, quote + 1);
        }
    }
    (Token::new(Kind::Text, &input[start..]), input.len())
}

/// The string from `start` to `close`, which is followed by a closing mark of `mark_length`, or
/// to the end of the input; `mark` is noted as its quotes.
fn marked(input: &[u8], start: usize, close: Option<usize>, mark_length: usize, mark: u8) -> Scanned {
    let mut token = Token::new(Kind::Text, &input[start..close.unwrap_or(input.len())]);
    token.open = mark;
    token.close = if close.is_some() { mark } else { 0 };
    (token, close.map_or(input.len(), |close| close + mark_length))
}

fn tagged_string(input: &[u8], at: usize) -> Option<Scanned> {
    let tag_end = bytes::LETTER.skip(input, at + 1);
    if tag_end == at + 1 || input.get(tag_end) != Some(&b'$') {
        return None;
    }
    let start = tag_end + 1;
    let tag = &input[at..start];
    let close = memchr::memmem::find(&input[start..], tag).map(|offset| start + offset);
    Some(marked(input, start, close, tag.len(), b'$'))
}

fn quoted_digits(input: &[u8], at: usize, digits: Set) -> Option<Scanned> {
    if input.get(at + 1) != Some(&b'\'') {
        return None;
    }
    let close = digits.skip(input, at + 2);
    let end = close + 1;
    (input.get(close) == Some(&b'\'')).then(|| (Token::new(Kind::Number, &input[at..end]), end))
}

/// `0x1f` and `0b01`; without a digit it is a word.
fn prefixed_number(input: &[u8], at: usize) -> Option<Scanned> {
    let digits = match input.get(at..at + 2)? {
        [b'0', b'x' | b'X'] => bytes::HEX,
        [b'0', b'b' | b'B'] => bytes::BINARY,
        _ => return None,
    };
    let end = digits.skip(input, at + 2);
    let kind = if end == at + 2 { Kind::Bareword } else { Kind::Number };
    Some((Token::new(kind, &input[at..end]), end))
}

/// Whether a number goes on with Oracle's suffix for floats and doubles. Before `u` it is one so
/// that `1fUNION` is a number and `UNION`.
fn has_suffix(input: &[u8], at: usize) -> bool {
    matches!(input.get(at), Some(b'd' | b'D' | b'f' | b'F'))
        && input.get(at + 1).is_none_or(|&next| bytes::WHITE.has(next) || matches!(next, b';' | b'u' | b'U'))
}
