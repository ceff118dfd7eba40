//! The boundary parameter of the Content-Type header.

use super::{Error, Flags};
use crate::white_space::is_space;
use memchr::{memchr, memmem};

const MIME_TYPE: &[u8] = b"multipart/form-data";
const LONGEST_CONTENT_TYPE: usize = 1024;

/// Finds the boundary in `content_type`, with every check ModSecurity makes,
/// and records deviations that are no errors in `flags`.
pub(super) fn extract<'a>(content_type: &'a [u8], flags: &mut Flags) -> Result<&'a [u8], Error> {
    if content_type.is_empty() {
        return Err(Error::NoContentType);
    }
    if content_type.len() > LONGEST_CONTENT_TYPE {
        return Err(Error::ContentTypeLength);
    }
    let mime_type = content_type.get(..MIME_TYPE.len()).ok_or(Error::MimeType)?;
    if !mime_type.eq_ignore_ascii_case(MIME_TYPE) {
        return Err(Error::MimeType);
    }
    if boundary_parameters(content_type) > 1 {
        return Err(Error::MultipleBoundaries);
    }
    let Some(start) = memmem::find(content_type, b"boundary") else {
        let misspelt = boundary_parameters(content_type) > 0;
        return Err(if misspelt { Error::BoundaryCase } else { Error::BoundaryNotFound });
    };
    check_separator(&content_type[MIME_TYPE.len()..start], flags)?;
    let value = parameter_value(&content_type[start + b"boundary".len()..], flags)?;
    let boundary = unquote(value, flags)?;
    if boundary_parameters(boundary) != 0 {
        return Err(Error::BoundaryContent);
    }
    check_characters(boundary, flags)
}

/// How often the word `boundary`, in any case, is followed by some `=`.
fn boundary_parameters(text: &[u8]) -> usize {
    let last_equals = memchr::memrchr(b'=', text).unwrap_or(0);
    let word = b"boundary";
    let mut count = 0;
    let mut at = 0;
    while at + word.len() <= last_equals {
        if text[at..at + word.len()].eq_ignore_ascii_case(word) {
            count += 1;
            at += word.len();
        } else {
            at += 1;
        }
    }
    count
}

/// Between MIME type and parameter: white space and one semicolon.
fn check_separator(between: &[u8], flags: &mut Flags) -> Result<(), Error> {
    let mut semicolon = false;
    for &byte in between.iter().filter(|b| !is_space(**b)) {
        if byte != b';' || semicolon {
            return Err(Error::BoundaryMalformed);
        }
        semicolon = true;
    }
    flags.missing_semicolon = !semicolon;
    Ok(())
}

/// The text after the `=`, given the text after the word `boundary`.
fn parameter_value<'a>(after_name: &'a [u8], flags: &mut Flags) -> Result<&'a [u8], Error> {
    let equals = memchr(b'=', after_name).ok_or(Error::BoundaryMalformed)?;
    if !after_name[..equals].iter().all(|&b| is_space(b)) {
        return Err(Error::BoundaryParameterName);
    }
    let value = &after_name[equals + 1..];
    flags.boundary_whitespace = equals > 0 || value.first().is_some_and(|&b| is_space(b));
    Ok(value)
}

fn unquote<'a>(value: &'a [u8], flags: &mut Flags) -> Result<&'a [u8], Error> {
    match value {
        [b'"', inside @ .., b'"'] => {
            flags.boundary_quoted = true;
            Ok(inside)
        }
        [b'"', ..] | [.., b'"'] => Err(Error::BoundaryQuote),
        plain => Ok(plain),
    }
}

/// Only the characters of RFC 2046, section 5.1.1. Text after a semicolon is
/// tolerated and cut off, because some clients append a charset.
fn check_characters<'a>(boundary: &'a [u8], flags: &mut Flags) -> Result<&'a [u8], Error> {
    let mut boundary = boundary;
    if !characters_valid(boundary)
        && let Some(semicolon) = memchr(b';', boundary)
    {
        flags.boundary_parameter = true;
        boundary = &boundary[..semicolon];
    }
    if boundary.is_empty() {
        return Err(Error::BoundaryEmpty);
    }
    if !characters_valid(boundary) {
        return Err(Error::BoundaryCharacters);
    }
    Ok(boundary)
}

fn characters_valid(boundary: &[u8]) -> bool {
    let allowed = |b: &u8| b.is_ascii_alphanumeric() || b" '()+_,-./:=?".contains(b);
    boundary.last() != Some(&b' ') && boundary.iter().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_good_boundaries() {
        let cases: &[(&str, &str)] = &[
            ("multipart/form-data; boundary=0000", "0000"),
            ("Multipart/FORM-data;boundary=a'()+_,-./:=?b", "a'()+_,-./:=?b"),
            ("multipart/form-data; boundary=------boundary", "------boundary"),
            ("multipart/form-data; boundary=--0xKhTmLbOuNdArY", "--0xKhTmLbOuNdArY"),
            ("multipart/form-data;boundary=0000 1111", "0000 1111"),
            ("multipart/form-data; boundary=00000000; charset=UTF-8", "00000000"),
        ];
        for (content_type, expected) in cases {
            let mut flags = Flags::default();
            let boundary = extract(content_type.as_bytes(), &mut flags);
            assert_eq!(boundary, Ok(expected.as_bytes()), "{content_type}");
            let tolerated =
                Flags { boundary_parameter: content_type.contains("charset"), ..Flags::default() };
            assert_eq!(flags, tolerated, "{content_type}");
        }
    }

    #[test]
    fn flags_doubtful_boundaries() {
        let clean = Flags::default();
        let cases: &[(&str, &str, Flags)] = &[
            ("multipart/form-data boundary=0000", "0000", Flags { missing_semicolon: true, ..clean }),
            ("multipart/form-data; boundary =0000", "0000", Flags { boundary_whitespace: true, ..clean }),
            ("multipart/form-data; boundary= 0000", " 0000", Flags { boundary_whitespace: true, ..clean }),
            ("multipart/form-data;boundary=\"0000\"", "0000", Flags { boundary_quoted: true, ..clean }),
            ("multipart/form-data;boundary=\" 0000\"", " 0000", Flags { boundary_quoted: true, ..clean }),
        ];
        for (content_type, expected, expected_flags) in cases {
            let mut flags = Flags::default();
            assert_eq!(
                extract(content_type.as_bytes(), &mut flags),
                Ok(expected.as_bytes()),
                "{content_type}"
            );
            assert_eq!(flags, *expected_flags, "{content_type}");
        }
    }

    #[test]
    fn refuses_bad_boundaries() {
        let long = format!("multipart/form-data; boundary={}", "a".repeat(1024));
        let cases: &[(&str, Error)] = &[
            ("", Error::NoContentType),
            (&long, Error::ContentTypeLength),
            ("multipart/mixed; boundary=0", Error::MimeType),
            ("multipart", Error::MimeType),
            ("multipart/form-data", Error::BoundaryNotFound),
            ("multipart/form-data; bOundAry=0000", Error::BoundaryCase),
            ("multipart/form-data, boundary=0000", Error::BoundaryMalformed),
            ("multipart/form-data;; boundary=0000", Error::BoundaryMalformed),
            ("multipart/form-data; charset=x; boundary=0000", Error::BoundaryMalformed),
            ("multipart/form-data; boundary", Error::BoundaryMalformed),
            ("multipart/form-data; boundary123=0000", Error::BoundaryParameterName),
            ("multipart/form-data; boundary=\"0000\"; boundary=1111", Error::MultipleBoundaries),
            ("multipart/form-data; boundary=0000, BOUNDARY=1111", Error::MultipleBoundaries),
            ("multipart/form-data; boundary=0000 ", Error::BoundaryCharacters),
            ("multipart/form-data; boundary=0000!1111", Error::BoundaryCharacters),
            ("multipart/form-data; boundary=a\0b", Error::BoundaryCharacters),
            ("multipart/form-data; boundary=\"0000 \"", Error::BoundaryCharacters),
            ("multipart/form-data; boundary=\"00\"00\"", Error::BoundaryCharacters),
            ("multipart/form-data; boundary=\"0000", Error::BoundaryQuote),
            ("multipart/form-data; boundary=0000\"", Error::BoundaryQuote),
            ("multipart/form-data; boundary=\"0000\"; charset=x", Error::BoundaryQuote),
            ("multipart/form-data; boundary=\"", Error::BoundaryQuote),
            ("multipart/form-data; boundary=", Error::BoundaryEmpty),
            ("multipart/form-data; boundary=\"\"", Error::BoundaryEmpty),
            ("multipart/form-data; boundary=;x=!", Error::BoundaryEmpty),
        ];
        for (content_type, expected) in cases {
            let result = extract(content_type.as_bytes(), &mut Flags::default());
            assert_eq!(result.as_ref(), Err(expected), "{content_type}");
        }
    }
}
