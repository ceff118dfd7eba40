//! `@validateUtf8Encoding`: overlong forms, surrogates, truncation and stray
//! bytes are all invalid (RFC 3629), which is what the standard library checks.

/// Whether the value is not UTF-8.
pub(super) fn is_invalid(value: &[u8]) -> bool {
    std::str::from_utf8(value).is_err()
}

#[cfg(test)]
mod tests {
    use super::is_invalid;

    #[test]
    fn encodings() {
        assert!(!is_invalid("aé€😀".as_bytes()));
        for invalid in [&b"\xc0\xaf"[..], b"\xe2\x82", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", b"\x80", b"\xff"]
        {
            assert!(is_invalid(invalid), "{invalid:?}");
        }
    }
}
