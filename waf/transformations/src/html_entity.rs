//! `htmlEntityDecode`: character references of HTML, to one byte each.

use memchr::memchr;

use crate::{ByteSet, scan};

/// The names that are decoded, in any case. Coraza knows all of HTML 5's.
const NAMES: [(&[u8], u8); 5] =
    [(b"quot", b'"'), (b"amp", b'&'), (b"lt", b'<'), (b"gt", b'>'), (b"nbsp", 0xa0)];

/// What the names stand for.
pub(crate) const NAMED: ByteSet = {
    let mut named = ByteSet::EMPTY;
    let mut at = 0;
    while at < NAMES.len() {
        named = named.with(NAMES[at].1);
        at += 1;
    }
    named
};

/// Whether [`decode`] changes nothing.
pub(crate) fn is_decoded(input: &[u8]) -> bool {
    // An ampersand by itself is frequent, and what may be a reference is told apart by its second byte.
    let begins = |first: u8, second: u8| {
        (first == b'&') & ((second == b'#') | ((second | 0x20).wrapping_sub(b'a') < 26))
    };
    !scan::any_pair(input, begins) || first_reference(input).is_none()
}

/// Decodes `&#xHH`, `&#XHH`, `&#DD` and the names `quot`, `amp`, `lt`, `gt`
/// and `nbsp`, each with or without a semicolon. A number has any count of
/// digits and gives its low byte; a name is the whole run of letters and
/// digits. What is not understood stays as it is.
///
/// This is v2 and v3 up to 3.0.12, and again since 3.0.14: the release between
/// them read two or three digits and could be bypassed by leading zeros
/// (CVE-2025-27110), and took the first letters of a longer name for the name.
pub(crate) fn decode(input: &[u8], output: &mut Vec<u8>) {
    output.reserve(input.len());
    let (plain, mut rest) = input.split_at(first_reference(input).unwrap_or(input.len()));
    output.extend_from_slice(plain);
    // Here `rest` begins with an ampersand, or is empty.
    while let Some((&ampersand, after)) = rest.split_first() {
        rest = match reference(after) {
            Some((byte, remaining)) => {
                output.push(byte);
                remaining
            }
            None => {
                output.push(ampersand);
                after
            }
        };
        let next = memchr(b'&', rest).unwrap_or(rest.len());
        output.extend_from_slice(&rest[..next]);
        rest = &rest[next..];
    }
}

/// Where the first character reference begins.
fn first_reference(input: &[u8]) -> Option<usize> {
    memchr::memchr_iter(b'&', input).find(|&at| reference(&input[at + 1..]).is_some())
}

/// The byte of the reference whose `&` stood before `text`, and what follows it.
fn reference(text: &[u8]) -> Option<(u8, &[u8])> {
    let (byte, rest) = match text {
        [b'#', b'x' | b'X', digits @ ..] => number(digits, 16)?,
        [b'#', digits @ ..] => number(digits, 10)?,
        name => named(name)?,
    };
    Some((byte, rest.strip_prefix(b";").unwrap_or(rest)))
}

/// The low byte of the leading number of `text`. A number too large for C's
/// `long` counts as the largest, as `strtol` says: its low byte is 0xFF.
fn number(text: &[u8], radix: u32) -> Option<(u8, &[u8])> {
    let mut value: i64 = 0;
    let mut length = 0;
    while let Some(digit) = text.get(length).and_then(|&byte| char::from(byte).to_digit(radix)) {
        value = value.saturating_mul(i64::from(radix)).saturating_add(i64::from(digit));
        length += 1;
    }
    (length > 0).then(|| (value as u8, &text[length..]))
}

fn named(text: &[u8]) -> Option<(u8, &[u8])> {
    let (name, rest) = text.split_at(text.iter().take_while(|byte| byte.is_ascii_alphanumeric()).count());
    let (_, byte) = NAMES.iter().find(|(known, _)| name.eq_ignore_ascii_case(known))?;
    Some((*byte, rest))
}

#[cfg(test)]
mod tests {
    use crate::Transformation::HtmlEntityDecode;
    use crate::transformation::tests::{check, check_bytes};

    #[test]
    fn decodes_numbers() {
        check(
            HtmlEntityDecode,
            &[
                ("&#60;&#x3c;&#X3C;&#60&#x3cx", "<<<<<x"),
                ("&#0000000000000000000000000000060;&#x00000000000000000000000000003c;", "<<"),
                ("&#828;&#x33c;", "<<"),
                ("&#;&#x;&#xg;&#g;&#", "&#;&#x;&#xg;&#g;&#"),
                ("&&#60;;", "&<;"),
            ],
        );
        check_bytes(
            HtmlEntityDecode,
            &[(b"&#9223372036854775808;&#x10000000000000000;&#9223372036854775806;", b"\xff\xff\xfe")],
        );
    }

    #[test]
    fn decodes_five_names() {
        check(
            HtmlEntityDecode,
            &[
                ("&quot;&amp;&lt;&gt;", "\"&<>"),
                ("&LT&Gt &amp", "<> &"),
                ("&ltx;&ampamp;&apos;&foo", "&ltx;&ampamp;&apos;&foo"),
                ("&amp;lt;", "&lt;"),
                ("a & b &", "a & b &"),
                ("&", "&"),
                ("", ""),
            ],
        );
        check_bytes(HtmlEntityDecode, &[(b"&nbsp;", b"\xa0")]);
    }
}
