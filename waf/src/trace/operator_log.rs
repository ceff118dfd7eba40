//! What v3's operators say about the value they were given.

use hop3_seclang::ast::OperatorName;

/// The lines of an operator about a value: level and text, with the value in the form `shown`. `found` is what the
/// operator itself answered, before a negation.
pub(super) fn lines(
    operator: OperatorName,
    argument: &str,
    value: &[u8],
    shown: &str,
    found: bool,
) -> Option<(u8, String)> {
    use OperatorName as N;
    Some(match (operator, found) {
        (N::DetectSqli, true) => {
            let fingerprint = hop3_libinjection::is_sqli(value);
            let fingerprint = fingerprint.as_ref().map_or("", |found| found.as_str());
            let what = format!("detected SQLi using libinjection with fingerprint '{fingerprint}'");
            (4, format!("{what} at: '{shown}'"))
        }
        (N::DetectSqli, false) => (9, format!("detected SQLi: not able to find an inject on '{shown}'")),
        (N::DetectXss, true) => (5, "detected XSS using libinjection.".to_owned()),
        (N::DetectXss, false) => (9, format!("libinjection was not able to find any XSS in: {shown}")),
        (N::ValidateUrlEncoding, false) => (7, format!("Valid URL Encoding at '{shown}'")),
        (N::ValidateUrlEncoding, true) => {
            (7, format!("Invalid URL Encoding: {} at '{shown}'", url_fault(value)))
        }
        (N::ValidateUtf8Encoding, true) => {
            let (fault, offset) = utf8_fault(value)?;
            (8, format!("Invalid UTF-8 encoding: {fault} at {shown}. [offset \"{offset}\"]"))
        }
        (N::VerifyCc, true) => (9, format!("CC# match \"{argument}\" at {shown}.")),
        _ => return None,
    })
}

/// What is wrong with the first escape that is.
fn url_fault(value: &[u8]) -> &'static str {
    let is_wrong = |at: &usize| {
        let digits = value.get(at + 1..at + 3);
        !digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    match memchr::memchr_iter(b'%', value).find(is_wrong) {
        Some(at) if at + 2 < value.len() => "Non-hexadecimal digits used",
        _ => "Not enough characters at the end of input",
    }
}

/// What is wrong with the first character that is, and where it begins.
fn utf8_fault(value: &[u8]) -> Option<(&'static str, usize)> {
    let at = std::str::from_utf8(value).err()?.valid_up_to();
    let rest = &value[at..];
    let length = match rest[0] {
        0xc0..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        0xf5..=0xf7 => return Some(("use of restricted character", at)),
        _ => return Some(("invalid byte value in character", at)),
    };
    let fault = match rest.get(1..length) {
        None => "not enough bytes in character",
        Some(more) if more.iter().any(|byte| byte & 0xc0 != 0x80) => "invalid byte value in character",
        // All bytes are of a character, so its number is what is wrong: a surrogate, beyond the last, or too long a form.
        Some(more) => match (rest[0], more[0]) {
            (0xed, 0xa0..) => "use of restricted character",
            _ => "overlong character detected",
        },
    };
    Some((fault, at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults() {
        for (value, fault, at) in [
            (&b"a\xe2\x82"[..], "not enough bytes in character", 1),
            (b"\xc3x", "invalid byte value in character", 0),
            (b"ab\xff", "invalid byte value in character", 2),
            (b"\xc0\xaf", "overlong character detected", 0),
            (b"\xed\xa0\x80", "use of restricted character", 0),
            (b"\xf5\x80\x80\x80", "use of restricted character", 0),
        ] {
            assert_eq!(utf8_fault(value), Some((fault, at)), "{value:?}");
        }
        assert_eq!(utf8_fault("é".as_bytes()), None);
        assert_eq!(url_fault(b"%41%zz"), "Non-hexadecimal digits used");
        assert_eq!(url_fault(b"%41%4"), "Not enough characters at the end of input");
    }
}
