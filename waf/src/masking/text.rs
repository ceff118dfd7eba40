//! Secrets inside of longer texts: `name=value` pairs in queries, forms, JSON,
//! headers and markup, and card numbers. One pass each, linear in the text.

use super::{MASK, names};

/// Longest name before a `=` or `:`, in bytes.
const NAME_LIMIT: usize = 64;

/// Replaces the values of pairs whose names are secret.
pub(super) fn mask_pairs(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let (mut copied, mut from) = (0, 0);
    while let Some(found) = memchr::memchr3(b'=', b':', b'>', &text[from..]) {
        let at = from + found;
        from = at + 1;
        if !is_secret_name(text, at) {
            continue;
        }
        let (start, end) = value(text, at);
        if start == end || &text[start..end] == MASK {
            continue;
        }
        out.extend_from_slice(&text[copied..start]);
        out.extend_from_slice(MASK);
        (copied, from) = (end, end);
    }
    (copied > 0).then(|| {
        out.extend_from_slice(&text[copied..]);
        out
    })
}

/// Whether a secret name stands before the separator.
fn is_secret_name(text: &[u8], separator: usize) -> bool {
    let before = &text[..separator];
    let end = before.iter().rposition(|byte| !matches!(byte, b' ' | b'"' | b'\'' | b'\\' | b'\t'));
    let Some(end) = end.map(|last| last + 1).filter(|end| separator - end <= 4) else { return false };
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-.[]%$@".contains(byte);
    let length = before[..end].iter().rev().take(NAME_LIMIT).take_while(|byte| is_part(byte)).count();
    let name = &before[end - length..end];
    // `<password>`: in markup the name must be a tag's.
    let fits = text[separator] != b'>' || before[..end - length].ends_with(b"<");
    fits && names::is_secret(name)
}

/// Where the value after the separator begins and ends.
fn value(text: &[u8], separator: usize) -> (usize, usize) {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let ends: &[u8] = match text[separator] {
        b'>' => b"<",
        b':' => b",}&;\r\n\"]",
        _ => b"&;, \t\r\n\"'<>)}]",
    };
    let after = separator + 1;
    let start = after
        + match text[separator] {
            b'=' => 0,
            _ => text[after..].iter().take_while(|byte| blank(byte)).count(),
        };
    let escaped = text[start..].starts_with(b"\\\"");
    let start = start + usize::from(escaped);
    if let Some(quote) = text.get(start).filter(|byte| matches!(byte, b'"' | b'\'')) {
        let start = start + 1;
        let mut end = start;
        while let Some(byte) = text.get(end) {
            match byte {
                b'\\' if !escaped => end += 2,
                b'\\' if text.get(end + 1) == Some(quote) => break,
                byte if byte == quote => break,
                _ => end += 1,
            }
        }
        return (start, end.min(text.len()));
    }
    let end = text[start..].iter().position(|byte| ends.contains(byte)).map_or(text.len(), |at| start + at);
    (start, end)
}

/// Replaces all but the last four digits of card numbers: 13 to 19 digits,
/// alone or in groups, whose check digit is right (Luhn, ISO/IEC 7812-1).
pub(super) fn mask_cards(text: &[u8]) -> Option<Vec<u8>> {
    let mut out: Option<Vec<u8>> = None;
    let mut at = 0;
    while let Some(found) = text[at..].iter().position(u8::is_ascii_digit) {
        let start = at + found;
        let attached = start > 0 && text[start - 1].is_ascii_alphanumeric();
        match card(&text[start..]).filter(|_| !attached) {
            Some(length) => {
                let out = out.get_or_insert_with(|| text.to_vec());
                let is_blank = |place: usize| {
                    (0..3).any(|back| place >= back && text[place - back..].starts_with(b"%20"))
                };
                let places = (start..start + length)
                    .filter(|place| text[*place].is_ascii_digit() && !is_blank(*place));
                let places: Vec<usize> = places.collect();
                places[..places.len().saturating_sub(4)].iter().for_each(|place| out[*place] = b'*');
                at = start + length;
            }
            None => at = start + text[start..].iter().take_while(|byte| byte.is_ascii_digit()).count(),
        }
    }
    out
}

/// The length of the card number that the text begins with.
fn card(text: &[u8]) -> Option<usize> {
    if !matches!(text.first(), Some(b'2'..=b'6')) {
        return None;
    }
    let mut digits = [0; 19];
    let (mut count, mut at) = (0, 0);
    let mut found = None;
    loop {
        match text.get(at) {
            Some(byte) if byte.is_ascii_digit() => {
                if count == digits.len() {
                    return found;
                }
                digits[count] = byte - b'0';
                count += 1;
                let ends = !text.get(at + 1).is_some_and(u8::is_ascii_alphanumeric);
                if count >= 13 && ends && is_luhn(&digits[..count]) {
                    found = Some(at + 1);
                }
            }
            Some(b' ' | b'-' | b'+') if text.get(at + 1).is_some_and(u8::is_ascii_digit) => {}
            Some(b'%') if text[at..].starts_with(b"%20") => at += 2,
            _ => return found,
        }
        at += 1;
    }
}

fn is_luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(index, digit)| match (index % 2, u32::from(*digit)) {
            (0, digit) => digit,
            (_, digit) if digit > 4 => 2 * digit - 9,
            (_, digit) => 2 * digit,
        })
        .sum();
    sum.is_multiple_of(10)
}

/// Replaces each occurrence of a text.
pub(super) fn replace(text: &[u8], what: &[u8], by: &[u8]) -> Option<Vec<u8>> {
    let mut places = memchr::memmem::find_iter(text, what).peekable();
    places.peek()?;
    let mut out = Vec::with_capacity(text.len());
    let mut copied = 0;
    for place in places {
        out.extend_from_slice(&text[copied..place]);
        out.extend_from_slice(by);
        copied = place + what.len();
    }
    out.extend_from_slice(&text[copied..]);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs() {
        for (text, shown) in [
            ("/login?user=a&password=hunter2&x=1", "/login?user=a&password=********&x=1"),
            ("password=&x=1", "password=&x=1"),
            (r#"{"user":"a","password": "hun\"ter2","n":1}"#, r#"{"user":"a","password": "********","n":1}"#),
            (r#"{"pin":1234}"#, r#"{"pin":********}"#),
            (r#"{\"token\":\"abc\",\"x\":1}"#, r#"{\"token\":\"********\",\"x\":1}"#),
            ("Authorization: Bearer abc.def\r\nHost: h", "Authorization: ********\r\nHost: h"),
            ("<password>hunter2</password>", "<password>********</password>"),
            ("a > b", "a > b"),
            ("user[password]=x y", "user[password]=******** y"),
            ("found within ARGS:password: hunter2", "found within ARGS:password: ********"),
            ("password=********&a=1", "password=********&a=1"),
            ("", ""),
            ("secret=", "secret="),
            ("secret='", "secret='"),
            ("token=\"abc", "token=\"********"),
            ("token:\"a\\", "token:\"********"),
        ] {
            let masked = mask_pairs(text.as_bytes());
            assert_eq!(masked.as_deref().unwrap_or(text.as_bytes()), shown.as_bytes(), "{text}");
        }
    }

    #[test]
    fn cards() {
        for (text, shown) in [
            ("4111111111111111", "************1111"),
            ("cc=4111 1111 1111 1111;", "cc=**** **** **** 1111;"),
            ("5500-0000-0000-0004", "****-****-****-0004"),
            ("q=4111+1111%201111+1111&x", "q=****+****%20****+1111&x"),
            ("378282246310005 x", "***********0005 x"),
            ("4111111111111112", "4111111111111112"),
            ("a4111111111111111", "a4111111111111111"),
            ("41111111111111111111111", "41111111111111111111111"),
            ("0000000000000000", "0000000000000000"),
            ("1700000000", "1700000000"),
        ] {
            let masked = mask_cards(text.as_bytes());
            assert_eq!(masked.as_deref().unwrap_or(text.as_bytes()), shown.as_bytes(), "{text}");
        }
    }

    #[test]
    fn occurrences() {
        assert_eq!(replace(b"abcab", b"ab", b"*"), Some(b"*c*".to_vec()));
        assert_eq!(replace(b"abc", b"x", b"*"), None);
    }
}
