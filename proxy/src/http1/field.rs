//! Header lines: splitting a head into lines and a line into name and value, strictly (RFC 9112 section 5).

use bytes::Bytes;

use crate::headers::Headers;

/// Why a header line or the head around it is not acceptable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FieldError {
    /// A line feed without the carriage return before it.
    #[error("a line ends in a bare LF")]
    BareLf,
    /// A carriage return that does not end a line.
    #[error("a bare CR within a line")]
    BareCr,
    /// A NUL byte.
    #[error("a NUL byte")]
    Nul,
    /// Another control character.
    #[error("a control character in a field value")]
    Control,
    /// A line that starts with white space: a folded value (RFC 9112 section 5.2).
    #[error("a folded header line")]
    Folded,
    /// A line without a colon, or with an empty name or a name that is not a token.
    #[error("an invalid field name")]
    Name,
    /// White space around an HTTP/2 field value, where HTTP/1.1 would have dropped it.
    #[error("white space around a field value")]
    Blank,
    /// More fields than allowed.
    #[error("too many header fields")]
    TooMany,
}

/// Looks for the end of a head while bytes arrive, without reading any byte twice.
#[derive(Debug, Default)]
pub struct HeadScanner {
    scanned: usize,
    line_start: usize,
}

impl HeadScanner {
    /// The length of the head including its empty line once it is complete.
    ///
    /// Refuses a bare LF at once, so that a sender of such heads is not kept
    /// waiting for a terminator that it will never send.
    pub fn scan(&mut self, bytes: &[u8]) -> Result<Option<usize>, FieldError> {
        while let Some(offset) = memchr::memchr(b'\n', &bytes[self.scanned..]) {
            let newline = self.scanned + offset;
            if newline == 0 || bytes[newline - 1] != b'\r' {
                return Err(FieldError::BareLf);
            }
            let line_start = self.line_start;
            self.scanned = newline + 1;
            self.line_start = newline + 1;
            if line_start + 1 == newline && line_start != 0 {
                return Ok(Some(newline + 1));
            }
        }
        self.scanned = bytes.len();
        Ok(None)
    }
}

/// Splits off the first line of `rest` (without CR LF). `None` when no line end is left.
pub fn next_line(rest: &mut Bytes) -> Option<Bytes> {
    let newline = memchr::memchr(b'\n', rest)?;
    let mut line = rest.split_to(newline + 1);
    line.truncate(newline.saturating_sub(1));
    Some(line)
}

/// Reads header lines until the empty line.
pub fn parse_fields(head: Bytes, maximum: usize) -> Result<Headers, FieldError> {
    let mut headers = Headers::with_capacity(16);
    let clean = has_clean_lines(&head);
    let mut rest = &head[..];
    while let Some(newline) = memchr::memchr(b'\n', rest) {
        let line = &rest[..newline.saturating_sub(1)];
        rest = &rest[newline + 1..];
        if line.is_empty() {
            break;
        }
        if headers.len() == maximum {
            return Err(FieldError::TooMany);
        }
        let (name, value) = split_field(line, clean)?;
        // Shares the head: a reference to count for each, and nothing else.
        headers.push(head.slice_ref(name), head.slice_ref(value));
    }
    Ok(headers)
}

/// Splits one line into name and value.
pub fn parse_field(line: &Bytes) -> Result<(Bytes, Bytes), FieldError> {
    let (name, value) = split_field(line, false)?;
    Ok((line.slice_ref(name), line.slice_ref(value)))
}

/// Whether no line of a head holds what a value may not: its only controls are tabs and the ends of lines. One pass over
/// all costs less than one over each value.
fn has_clean_lines(head: &[u8]) -> bool {
    let ends = head.windows(2).fold(0, |ends, pair| ends + usize::from(pair == b"\r\n"));
    let controls = head.iter().fold(0, |controls, byte| controls + usize::from(is_control(*byte)));
    controls == 2 * ends
}

/// Splits a line, whose value needs no look where it is known to be `clean`.
fn split_field(line: &[u8], clean: bool) -> Result<(&[u8], &[u8]), FieldError> {
    if matches!(line.first(), Some(b' ' | b'\t')) {
        return Err(FieldError::Folded);
    }
    let colon = line.iter().position(|byte| !is_token_byte(*byte)).ok_or(FieldError::Name)?;
    if colon == 0 || line[colon] != b':' {
        return Err(match line[colon] {
            0 => FieldError::Nul,
            b'\r' => FieldError::BareCr,
            _ => FieldError::Name,
        });
    }
    let value = &line[colon + 1..];
    if !clean {
        check_value(value)?;
    }
    Ok((&line[..colon], trim(value)))
}

/// Refuses what no field value may hold (RFC 9110 section 5.5): NUL, CR, and all controls but the tab.
pub fn check_value(value: &[u8]) -> Result<(), FieldError> {
    // Without a branch for each byte: values are long, and nearly all are good.
    if !value.iter().fold(false, |any, byte| any | is_control(*byte)) {
        return Ok(());
    }
    match value.iter().find(|byte| is_control(**byte)) {
        None => Ok(()),
        Some(0) => Err(FieldError::Nul),
        Some(b'\r') => Err(FieldError::BareCr),
        Some(b'\n') => Err(FieldError::BareLf),
        Some(_) => Err(FieldError::Control),
    }
}

/// Whether the byte is a control character other than the tab.
const fn is_control(byte: u8) -> bool {
    (byte < b' ' && byte != b'\t') || byte == 0x7f
}

/// Without leading and trailing spaces and tabs (and nothing else).
fn trim(value: &[u8]) -> &[u8] {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = value.iter().position(|byte| !blank(byte)).unwrap_or(value.len());
    let end = value.iter().rposition(|byte| !blank(byte)).map_or(start, |last| last + 1);
    &value[start..end]
}

/// Whether the byte may be part of a token (RFC 9110 section 5.6.2).
pub fn is_token_byte(byte: u8) -> bool {
    TOKEN_BYTES[usize::from(byte)]
}

static TOKEN_BYTES: [bool; 256] = {
    let mut bytes = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        bytes[byte] = is_tchar(byte as u8);
        byte += 1;
    }
    bytes
};

/// `tchar` in the grammar.
const fn is_tchar(byte: u8) -> bool {
    matches!(byte,
        b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
        | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scanner_finds_the_end_across_pieces() {
        let head = b"GET / HTTP/1.1\r\nHost: a\r\n\r\nbody";
        for split in 0..head.len() {
            let mut scanner = HeadScanner::default();
            let first = scanner.scan(&head[..split]).unwrap();
            let end = first.or_else(|| scanner.scan(head).unwrap());
            assert_eq!(end, Some(27), "split at {split}");
        }
    }

    #[test]
    fn the_scanner_refuses_bare_line_feeds_at_once() {
        assert_eq!(HeadScanner::default().scan(b"GET / HTTP/1.1\n"), Err(FieldError::BareLf));
        assert_eq!(HeadScanner::default().scan(b"\n"), Err(FieldError::BareLf));
        assert_eq!(HeadScanner::default().scan(b"GET / HTTP/1.1\r\nA: b\n\r\n"), Err(FieldError::BareLf));
    }

    #[test]
    fn values_are_trimmed_of_blanks_only() {
        let headers =
            parse_fields(Bytes::from_static(b"A: \t x y \t\r\nB:\r\nC: \xc3\xa4\r\n\r\n"), 10).unwrap();
        let values: Vec<_> = headers.iter().map(|field| field.value.clone()).collect();
        assert_eq!(values, [&b"x y"[..], b"", b"\xc3\xa4"]);
    }

    #[test]
    fn every_byte_is_judged_alike_in_a_line_and_in_a_head() {
        for byte in 0..=u8::MAX {
            for text in [[byte, b'x', b'y'], [b'x', byte, b'y'], [b'x', b'y', byte], [b'\r', byte, b'x']] {
                let line = [b"a: ", &text[..]].concat();
                let head = [&line[..], b"\r\nb: c\r\n\r\n"].concat();
                let alone = parse_field(&Bytes::from(line)).map(|(_, value)| value);
                let within = parse_fields(head.into(), 9).map(|headers| headers.get("a").cloned().unwrap());
                // A line feed in a value is the end of a line in a head.
                if byte != b'\n' {
                    assert_eq!(alone, within, "{}", text.escape_ascii());
                } else if text[0] == b'\r' {
                    assert_eq!(within, Err(FieldError::Name));
                }
            }
        }
    }

    #[test]
    fn bad_lines_are_refused() {
        let cases: [(&[u8], FieldError); 10] = [
            (b" a: b", FieldError::Folded),
            (b"\ta: b", FieldError::Folded),
            (b"a : b", FieldError::Name),
            (b": b", FieldError::Name),
            (b"a", FieldError::Name),
            (b"a\0: b", FieldError::Nul),
            (b"a: b\0", FieldError::Nul),
            (b"a: b\rc", FieldError::BareCr),
            (b"a: \x01", FieldError::Control),
            (b"a: \x7f", FieldError::Control),
        ];
        for (line, error) in cases {
            assert_eq!(parse_field(&Bytes::from_static(line)), Err(error), "{}", line.escape_ascii());
        }
    }
}
