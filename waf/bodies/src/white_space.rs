//! White space as C's `isspace` sees it in the "C" locale.

/// True for space, `\t`, `\n`, vertical tab, form feed and `\r`. Unlike
/// [`u8::is_ascii_whitespace`] this includes the vertical tab, which is what
/// ModSecurity's parsers treat as white space.
pub(crate) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

/// `bytes` without leading white space.
pub(crate) fn trim_start(bytes: &[u8]) -> &[u8] {
    let start = bytes.iter().position(|&b| !is_space(b)).unwrap_or(bytes.len());
    &bytes[start..]
}

/// `bytes` without trailing white space.
pub(crate) fn trim_end(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().rposition(|&b| !is_space(b)).map_or(0, |last| last + 1);
    &bytes[..end]
}
