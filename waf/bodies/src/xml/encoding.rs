//! From bytes to text: byte order mark, declared encoding, forbidden bytes.

use super::{Error, Reason};
use std::borrow::Cow;

/// The body as text, and what is wrong with it. When it is not valid UTF-8 the
/// text ends there.
///
/// UTF-8 and ASCII are taken as they are. Encodings of the families ISO-8859
/// and Windows-125x are read as ISO-8859-1: all agree in ASCII, and which
/// accented letter a byte stands for matters to no rule. Others are an error.
pub(super) fn decode(body: &[u8]) -> (Cow<'_, str>, Option<Error>) {
    let body = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body);
    let mut error = None;
    let name = declared_encoding(body).map(<[u8]>::to_ascii_lowercase);
    match name.as_deref() {
        None | Some(b"utf-8" | b"utf8" | b"us-ascii" | b"ascii") => {}
        Some(name) if name.starts_with(b"iso-8859-") || name.starts_with(b"windows-125") => {
            let text: String = body.iter().copied().map(char::from).collect();
            return (Cow::Owned(text), control_character(body));
        }
        Some(name) => {
            let name = String::from_utf8_lossy(&name[..name.len().min(40)]).into_owned();
            error = Some(Error { reason: Reason::Encoding(name), offset: 0 });
        }
    }
    let text = match std::str::from_utf8(body) {
        Ok(text) => text,
        Err(invalid) => {
            let offset = invalid.valid_up_to();
            error.get_or_insert(Error { reason: Reason::InvalidUtf8, offset });
            std::str::from_utf8(&body[..offset]).unwrap_or_default()
        }
    };
    (Cow::Borrowed(text), error.or_else(|| control_character(text.as_bytes())))
}

/// The value of `encoding` in the XML declaration, if there is one at the start.
fn declared_encoding(body: &[u8]) -> Option<&[u8]> {
    let declaration = body.strip_prefix(b"<?xml")?;
    let declaration = &declaration[..memchr::memmem::find(declaration, b"?>")?];
    let after_name = &declaration[memchr::memmem::find(declaration, b"encoding")? + b"encoding".len()..];
    let value = after_name.trim_ascii_start().strip_prefix(b"=")?.trim_ascii_start();
    let (quote, value) = value.split_first()?;
    let end = memchr::memchr(*quote, value)?;
    Some(&value[..end])
}

/// The first character below space that XML 1.0, section 2.2, does not allow.
/// UTF-16 without a byte order mark shows up here by its NULs.
fn control_character(body: &[u8]) -> Option<Error> {
    let forbidden = |byte: u8| byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r');
    // In blocks, so that the common clean case is vectorised.
    let block = body
        .chunks(256)
        .position(|block| block.iter().fold(false, |found, &byte| found | forbidden(byte)))?;
    let offset = body[block * 256..].iter().position(|&byte| forbidden(byte))? + block * 256;
    Some(Error { reason: Reason::ControlCharacter, offset })
}
