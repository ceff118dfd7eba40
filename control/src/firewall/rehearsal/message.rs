//! What requests and responses have in common: fields and bodies of HTTP/1.1 messages as people write them.

use super::escaped;
use crate::failure::Failure;

/// Header fields in order: names and values.
pub(super) type Fields = Vec<(Vec<u8>, Vec<u8>)>;

/// Reads fields up to the empty line.
///
/// # Errors
/// A line has no colon.
pub(super) fn fields(rest: &mut &[u8]) -> Result<Fields, Failure> {
    let mut fields = Fields::new();
    loop {
        let line = next_line(rest);
        if line.is_empty() {
            return Ok(fields);
        }
        if let (Some(last), [b' ' | b'\t', ..]) = (fields.last_mut(), line) {
            // Obsolete folding, RFC 9112 section 5.2.
            last.1.push(b' ');
            last.1.extend_from_slice(line.trim_ascii());
            continue;
        }
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            return Err(Failure::usage(format!("header line {} has no colon", fields.len() + 1))
                .cause(format!("`{}`", escaped(&line[..line.len().min(80)])))
                .hint("an empty line separates the headers from the body"));
        };
        fields.push((line[..colon].to_vec(), line[colon + 1..].trim_ascii().to_vec()));
    }
}

/// The first value of a field.
pub(super) fn field<'f>(fields: &'f Fields, wanted: &str) -> Option<&'f [u8]> {
    let found = fields.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted.as_bytes()));
    found.map(|(_, value)| &value[..])
}

/// The body of a message that ends with `rest`: decoded when it is chunked, and no longer than `Content-Length`.
pub(super) fn body(fields: &Fields, rest: &[u8]) -> Vec<u8> {
    let chunked = field(fields, "transfer-encoding")
        .is_some_and(|value| value.to_ascii_lowercase().windows(7).any(|window| window == b"chunked"));
    if chunked {
        return dechunked(rest).unwrap_or_else(|| rest.to_vec());
    }
    let length =
        field(fields, "content-length").and_then(|value| std::str::from_utf8(value).ok()?.parse().ok());
    // What an editor added at the end is no part of the message.
    let length = length.filter(|length: &usize| *length < rest.len()).unwrap_or(rest.len());
    rest[..length].to_vec()
}

/// The next line without its end; empty at the end of the text.
pub(super) fn next_line<'t>(rest: &mut &'t [u8]) -> &'t [u8] {
    let end = rest.iter().position(|byte| *byte == b'\n');
    let (line, after) = match end {
        Some(end) => (&rest[..end], &rest[end + 1..]),
        None => (*rest, &rest[rest.len()..]),
    };
    *rest = after;
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// RFC 9112 section 7.1; `None` when the chunks are malformed.
fn dechunked(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = next_line(&mut rest);
        let size = line.split(|byte| *byte == b';').next()?.trim_ascii();
        let size = usize::from_str_radix(std::str::from_utf8(size).ok()?, 16).ok()?;
        if size == 0 {
            return Some(body);
        }
        body.extend_from_slice(rest.get(..size)?);
        rest = &rest[size..];
        if !next_line(&mut rest).is_empty() {
            return None;
        }
    }
}
