//! `@detectSQLi` and `@detectXSS`, answered by our libinjection.

/// The fingerprint of an SQL injection.
pub(super) fn sqli(value: &[u8]) -> Option<Vec<u8>> {
    hop3_libinjection::is_sqli(value).map(|fingerprint| fingerprint.as_str().as_bytes().to_vec())
}

/// Whether a browser would run script from the value.
pub(super) fn xss(value: &[u8]) -> bool {
    hop3_libinjection::is_xss(value)
}
