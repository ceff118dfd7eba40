//! URLs whose scheme runs script.

/// The beginnings of the schemes that run script; `java` is both `java:` and `javascript:`.
const SCHEMES: [&str; 4] = ["DATA", "JAVA", "VBSCRIPT", "VIEW-SOURCE"];

/// The largest code point that is decoded; a reference beyond it is text.
const LAST_CODE_POINT: u32 = 0x10_00ff;

/// Whether the URL `value`, with character references as in HTML, has a scheme that runs script.
pub(super) fn is_active(value: &[u8]) -> bool {
    // Browsers skip white space and controls, some of them all beyond ASCII.
    let start = value.iter().position(|byte| byte.is_ascii_graphic()).unwrap_or(value.len());
    let url = &value[start..];
    SCHEMES.iter().any(|scheme| begins_with(url, scheme))
}

/// Whether the decoded `url` begins with `scheme`, given in upper case. White space and controls
/// before it are skipped, and NUL and line feed in it.
fn begins_with(mut url: &[u8], scheme: &str) -> bool {
    let mut expected = scheme.bytes();
    let mut next = expected.next();
    let mut before = true;
    while let Some(wanted) = next {
        let Some((character, length)) = decode(url) else { return false };
        url = &url[length..];
        if before && character <= u32::from(b' ') {
            continue;
        }
        before = false;
        if character == 0 || character == u32::from(b'\n') {
            continue;
        }
        if !is_letter(character, wanted) {
            return false;
        }
        next = expected.next();
    }
    true
}

/// Whether `character` is the ASCII byte `wanted`, a letter in upper case, or its lower case.
///
/// Of a character beyond ASCII the low byte is compared as it is: so does libinjection.
fn is_letter(character: u32, wanted: u8) -> bool {
    let low = (character & 0xff) as u8;
    let byte = if character < 0x80 { low.to_ascii_uppercase() } else { low };
    byte == wanted
}

/// The first character of `text` and how many bytes it takes; `None` at the end.
///
/// A character is a byte, or a numeric reference such as `&#106;` or `&#x6a`. What only begins
/// like one is an ampersand.
fn decode(text: &[u8]) -> Option<(u32, usize)> {
    match text {
        [] => None,
        [b'&', b'#', b'x' | b'X', ..] => Some(reference(text, 3, 16)),
        [b'&', b'#', ..] => Some(reference(text, 2, 10)),
        [byte, ..] => Some((u32::from(*byte), 1)),
    }
}

/// The reference whose digits begin at `start`, up to a `;` or the first byte that is no digit.
fn reference(text: &[u8], start: usize, radix: u32) -> (u32, usize) {
    const AMPERSAND: (u32, usize) = (b'&' as u32, 1);
    let mut value = 0;
    let mut at = start;
    while let Some(digit) = text.get(at).and_then(|&byte| char::from(byte).to_digit(radix)) {
        value = value * radix + digit;
        if value > LAST_CODE_POINT {
            return AMPERSAND;
        }
        at += 1;
    }
    match text.get(at) {
        _ if at == start => AMPERSAND,
        Some(b';') => (value, at + 1),
        _ => (value, at),
    }
}
