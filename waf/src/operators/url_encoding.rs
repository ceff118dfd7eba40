//! `@validateUrlEncoding` (ModSecurity reference manual).

/// Whether a `%` is not followed by two hexadecimal digits.
pub(super) fn is_invalid(value: &[u8]) -> bool {
    memchr::memchr_iter(b'%', value)
        .any(|at| !value.get(at + 1..at + 3).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)))
}

#[cfg(test)]
mod tests {
    use super::is_invalid;

    #[test]
    fn escapes() {
        for valid in ["", "a", "%41", "100%25", "%41%42"] {
            assert!(!is_invalid(valid.as_bytes()), "{valid}");
        }
        for invalid in ["%", "%4", "%zz", "a%4g", "%%41"] {
            assert!(is_invalid(invalid.as_bytes()), "{invalid}");
        }
    }
}
