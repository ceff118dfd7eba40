//! Telling apart the parts of a head that is refused, so that the firewall and the logs see what came.
//!
//! Reads as the most lenient server would. Nothing read here is ever forwarded,
//! and no body is framed by it; [`crate::http1::request`] alone decides what is served.

use bytes::Bytes;

use crate::headers::{Headers, is_name};
use crate::http1::framing::Refusal;
use crate::http1::target::host_of;

/// Longest start of a head that stands for it in the access log, in bytes.
const MAX_LINE: usize = 200;

/// A request that is answered by us and never forwarded.
#[derive(Debug)]
pub struct RefusedRequest {
    /// Why.
    pub refusal: Refusal,
    /// The start of what came, at most a line.
    pub line: Bytes,
    /// The head, where enough of it came to tell its parts apart.
    pub head: Option<RefusedHead>,
    /// Whether all of its fields are there. Only then do they tell whom a trusted proxy speaks for: what the proxy added
    /// may stand behind what the client made up.
    pub complete: bool,
}

impl RefusedRequest {
    /// A head that came whole. At most `max_fields` fields are read.
    pub fn whole(refusal: Refusal, bytes: Bytes, max_fields: usize) -> Self {
        let legible = Self::legible(refusal, bytes, max_fields);
        let complete = legible.head.as_ref().is_some_and(|head| head.headers.len() < max_fields);
        Self { complete, ..legible }
    }

    /// A head that came up to the line that is malformed, or farther. At most `max_fields` fields are read.
    pub fn legible(refusal: Refusal, bytes: Bytes, max_fields: usize) -> Self {
        let line = first_line(&bytes);
        Self { refusal, line, head: RefusedHead::read(bytes, max_fields), complete: false }
    }

    /// A head of which only a part came.
    pub fn part(refusal: Refusal, bytes: &[u8]) -> Self {
        Self { refusal, line: first_line(bytes), head: None, complete: false }
    }
}

fn first_line(bytes: &[u8]) -> Bytes {
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len()).min(MAX_LINE);
    Bytes::copy_from_slice(bytes[..end].trim_ascii_end())
}

/// The parts of a refused head, each as sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RefusedHead {
    /// Everything before the first space of the request line.
    pub method: Bytes,
    /// Everything between its first and its last space.
    pub target: Bytes,
    /// Everything after its last space; `HTTP/0.9` where a version is missing, as servers of old read such a line.
    pub protocol: Bytes,
    /// The fields; a folded value is joined with one space, a line without colon is a name without value.
    pub headers: Headers,
}

impl RefusedHead {
    /// Reads lines that end in LF, with or without CR, up to an empty one; `None` when there is no request line.
    fn read(mut rest: Bytes, max_fields: usize) -> Option<Self> {
        let mut line = next_line(&mut rest)?;
        if line.is_empty() {
            line = next_line(&mut rest).filter(|line| !line.is_empty())?;
        }
        let mut head = Self::default();
        head.take_request_line(&line);
        let mut fields: Vec<(Bytes, Vec<u8>)> = Vec::new();
        while let Some(line) = next_line(&mut rest).filter(|line| !line.is_empty()) {
            if matches!(line[0], b' ' | b'\t')
                && let Some((_, value)) = fields.last_mut()
            {
                value.push(b' ');
                value.extend_from_slice(line.trim_ascii());
                continue;
            }
            if fields.len() == max_fields {
                break;
            }
            let colon = memchr::memchr(b':', &line).unwrap_or(line.len());
            let value = line.get(colon + 1..).unwrap_or_default().trim_ascii();
            fields.push((line.slice(..colon), value.to_vec()));
        }
        for (name, value) in fields {
            head.headers.push(name, value);
        }
        Some(head)
    }

    fn take_request_line(&mut self, line: &Bytes) {
        let first = memchr::memchr(b' ', line).unwrap_or(line.len());
        self.method = line.slice(..first);
        let rest = line.slice((first + 1).min(line.len())..);
        let last = memchr::memrchr(b' ', &rest).unwrap_or(rest.len());
        self.target = rest.slice(..last);
        self.protocol = rest.slice((last + 1).min(rest.len())..);
        if self.protocol.is_empty() {
            self.protocol = Bytes::from_static(b"HTTP/0.9");
        }
    }

    /// Whether a body may follow, of whatever length.
    pub fn announces_body(&self) -> bool {
        self.headers.iter().any(|field| {
            let name = field.name.trim_ascii();
            is_name(name, "content-length") || is_name(name, "transfer-encoding")
        })
    }

    /// The host that the first `Host` names, in lower case without port; empty when none is legible.
    pub fn host(&self) -> String {
        self.headers.get("host").and_then(|host| host_of(host)).unwrap_or_default()
    }
}

/// Splits off a line without its end; what follows the last LF is a line too.
fn next_line(rest: &mut Bytes) -> Option<Bytes> {
    if rest.is_empty() {
        return None;
    }
    let newline = memchr::memchr(b'\n', rest);
    let mut line = rest.split_to(newline.map_or(rest.len(), |newline| newline + 1));
    if newline.is_some() {
        line.truncate(line.len() - 1);
    }
    if line.last() == Some(&b'\r') {
        line.truncate(line.len() - 1);
    }
    Some(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Method, target, protocol and fields as text.
    fn read(bytes: &'static [u8]) -> Option<(String, String)> {
        let head = RefusedHead::read(Bytes::from_static(bytes), 3)?;
        let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
        let fields =
            head.headers.iter().map(|field| format!("{}={};", text(&field.name), text(&field.value)));
        let line = format!("{}|{}|{}", text(&head.method), text(&head.target), text(&head.protocol));
        Some((line, fields.collect()))
    }

    #[test]
    fn heads_are_read_leniently() {
        let cases: [(&[u8], &str, &str); 10] = [
            (b"GET / HTTP/1.1\r\nA: b\r\n c\r\n\td\r\n\r\nbody", "GET|/|HTTP/1.1", "A=b c d;"),
            (b"GET /a b HTTP/1.1\nA:b\n\nbody", "GET|/a b|HTTP/1.1", "A=b;"),
            (b"\r\nGET / HTTP/9\r\nA\r\n", "GET|/|HTTP/9", "A=;"),
            (b"GET /", "GET|/|HTTP/0.9", ""),
            (b"GET / ", "GET|/|HTTP/0.9", ""),
            (b"GET", "GET||HTTP/0.9", ""),
            (b"GET ", "GET||HTTP/0.9", ""),
            (b"\x16\x03\x01\n", "\\x16\\x03\\x01||HTTP/0.9", ""),
            (b"G / H\r\n: x\r\nA : \0\r\n", "G|/|H", "=x;A =\\x00;"),
            (b"G / H\r\na:1\r\nb:2\r\nc:3\r\nd:4\r\n", "G|/|H", "a=1;b=2;c=3;"),
        ];
        for (bytes, line, fields) in cases {
            let expected = Some((line.to_owned(), fields.to_owned()));
            assert_eq!(read(bytes), expected, "{}", bytes.escape_ascii());
        }
        for nothing in [&b""[..], b"\r\n", b"\r\n\r\nGET / HTTP/1.1\r\n"] {
            assert_eq!(read(nothing), None, "{}", nothing.escape_ascii());
        }
    }

    #[test]
    fn bodies_are_announced_in_any_spelling() {
        let announces = |lines: &str| {
            let head = format!("POST / HTTP/1.1\r\n{lines}\r\n\r\n");
            RefusedHead::read(head.into(), 9).unwrap().announces_body()
        };
        for lines in
            ["Content-Length: 0", "content-length : x", "A: b\r\nTRANSFER-ENCODING: x", "Transfer-Encoding"]
        {
            assert!(announces(lines), "{lines}");
        }
        assert!(!announces("Content-Type: text/plain"));
    }

    #[test]
    fn the_first_legible_host_names_the_app() {
        let host = |bytes| RefusedHead::read(Bytes::from_static(bytes), 9).map(|head| head.host());
        assert_eq!(host(b"GET / HTTP/1.1\r\nHost: A:80\r\nHost: b\r\n\r\n").as_deref(), Some("a"));
        assert_eq!(host(b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n").as_deref(), Some(""));
        assert_eq!(host(b"GET / HTTP/1.1\r\n\r\n").as_deref(), Some(""));
    }
}
