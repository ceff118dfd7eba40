//! Requests as people write them: one line, or a raw HTTP/1.1 message.

use super::message;
use crate::failure::Failure;

/// A request, not checked: the rules are to see it as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RawRequest {
    /// Method.
    pub method: Vec<u8>,
    /// Target.
    pub target: Vec<u8>,
    /// E.g. `HTTP/1.1`; empty when the line ends with the target.
    pub protocol: Vec<u8>,
    /// Header fields in order, values without surrounding blanks.
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
    /// The body, without chunked coding.
    pub body: Vec<u8>,
}

impl RawRequest {
    /// Reads `GET /?q=x`, or a target alone. Blanks and bytes that cannot stand in a target are percent-encoded; `headers`
    /// are `Name: value`. The headers every browser sends are added unless they are given.
    ///
    /// # Errors
    /// There is no target, or a header has no colon.
    pub fn one_line(line: &str, headers: &[String], body: Option<&str>) -> Result<RawRequest, Failure> {
        let line = line.trim();
        let (method, target) = match line.split_once(' ') {
            Some((method, target)) if is_method(method) => (method, target.trim_start()),
            _ => (if body.is_some() { "POST" } else { "GET" }, line),
        };
        let (target, protocol) = match target.rsplit_once(' ') {
            Some((target, protocol)) if protocol.starts_with("HTTP/") => (target.trim_end(), protocol),
            _ => (target, "HTTP/1.1"),
        };
        if target.is_empty() {
            return Err(
                Failure::usage("the request has no target").hint("write it like `GET /search?q=word`")
            );
        }
        let mut request = RawRequest {
            method: method.into(),
            target: encoded(target),
            protocol: protocol.into(),
            headers: Vec::new(),
            body: body.unwrap_or_default().into(),
        };
        for header in headers {
            let Some((name, value)) = header.split_once(':') else {
                return Err(Failure::usage(format!("`{header}` is no header"))
                    .hint("write it like 'Content-Type: application/json'"));
            };
            request.headers.push((name.trim().into(), value.trim().into()));
        }
        request.add_usual_headers(body.is_some());
        Ok(request)
    }

    /// Reads a raw HTTP/1.x message. Lines may end with LF alone. The body is what follows the empty line: as long as
    /// `Content-Length` says if more is there, and decoded when it is chunked.
    ///
    /// # Errors
    /// The first line is empty, or a header line has no colon.
    pub fn parse(text: &[u8]) -> Result<RawRequest, Failure> {
        let mut rest = text;
        let line = message::next_line(&mut rest);
        let mut words = line.split(|byte| *byte == b' ').filter(|word| !word.is_empty());
        let mut word = || words.next().unwrap_or_default().to_vec();
        let (method, target, protocol) = (word(), word(), word());
        if method.is_empty() || target.is_empty() {
            return Err(Failure::usage("this is no HTTP request")
                .cause("its first line has no method and target")
                .hint("begin with a line like `GET /search?q=word HTTP/1.1`"));
        }
        let headers = message::fields(&mut rest)?;
        let body = message::body(&headers, rest);
        Ok(RawRequest { method, target, protocol, headers, body })
    }

    /// The message that [`RawRequest::parse`] reads back.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = [&self.method[..], b" ", &self.target, b" ", &self.protocol, b"\r\n"].concat();
        for (name, value) in &self.headers {
            bytes.extend([&name[..], b": ", value, b"\r\n"].concat());
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(&self.body);
        bytes
    }

    /// The first line, for people.
    pub fn line(&self) -> String {
        format!("{} {}", super::escaped(&self.method), super::escaped(&self.target))
    }

    /// The path of the target, as sent, without scheme and host.
    pub fn path(&self) -> String {
        let target = String::from_utf8_lossy(&self.target);
        let path = match target.split_once("://") {
            Some((scheme, rest)) if !scheme.contains(['/', '?']) => {
                rest.find('/').map_or("/", |at| &rest[at..])
            }
            _ => &target,
        };
        path.split(['?', '#']).next().unwrap_or_default().to_owned()
    }

    fn header(&self, wanted: &str) -> Option<&[u8]> {
        message::field(&self.headers, wanted)
    }

    fn add_usual_headers(&mut self, with_body: bool) {
        let length = self.body.len().to_string();
        let usual = [
            ("Host", "localhost", true),
            ("User-Agent", "hop3-waf-test", true),
            ("Accept", "*/*", true),
            ("Content-Type", "application/x-www-form-urlencoded", with_body),
            ("Content-Length", &length, with_body),
        ];
        for (name, value, wanted) in usual {
            if wanted && self.header(name).is_none() {
                self.headers.push((name.into(), value.into()));
            }
        }
    }
}

fn is_method(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'-' || byte == b'_')
}

/// Blanks, control bytes and bytes beyond ASCII as `%HH`.
fn encoded(target: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(target.len());
    for byte in target.bytes() {
        match byte {
            0x21..=0x7e => bytes.push(byte),
            _ => bytes.extend_from_slice(format!("%{byte:02X}").as_bytes()),
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_is_enough() {
        let cases = [
            ("GET /?q=a b", "GET /?q=a%20b"),
            ("/x", "GET /x"),
            ("DELETE /x HTTP/1.0", "DELETE /x"),
            ("/?q=1 or 1=1", "GET /?q=1%20or%201=1"),
        ];
        for (line, expected) in cases {
            assert_eq!(RawRequest::one_line(line, &[], None).unwrap().line(), expected, "{line}");
        }
        let posted = RawRequest::one_line("/x", &["content-type: text/plain".into()], Some("ab")).unwrap();
        assert_eq!(posted.method, b"POST");
        assert_eq!(posted.header("Content-Length"), Some(&b"2"[..]));
        assert_eq!(posted.header("Content-Type"), Some(&b"text/plain"[..]));
        assert_eq!(RawRequest::parse(&posted.to_bytes()).unwrap(), posted);
        assert!(RawRequest::one_line(" ", &[], None).is_err());
        assert!(RawRequest::one_line("/", &["x".into()], None).is_err());
    }

    #[test]
    fn messages_are_read_as_they_come() {
        let cases: [(&[u8], &str, &[u8]); 6] = [
            (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "/", b""),
            (b"POST /a?b HTTP/1.1\nContent-Length: 2\n\nxy\n", "/a", b"xy"),
            (b"POST /a HTTP/1.1\nContent-Length: 9\n\nxy\n", "/a", b"xy\n"),
            (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nxy\r\n0\r\n\r\n", "/", b"xy"),
            (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz", "/", b"zz"),
            (b"GET http://h/p?q HTTP/1.1", "/p", b""),
        ];
        for (text, path, body) in cases {
            let request = RawRequest::parse(text).unwrap();
            assert_eq!(
                (request.path().as_str(), &request.body[..]),
                (path, body),
                "{}",
                super::super::escaped(text)
            );
        }
        let folded = RawRequest::parse(b"GET / HTTP/1.1\nA: b\n c\n\n").unwrap();
        assert_eq!(folded.headers, [(b"A".to_vec(), b"b c".to_vec())]);
        for wrong in [&b""[..], b"\r\n", b"GET", b"GET / HTTP/1.1\nno colon\n\n"] {
            assert!(RawRequest::parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
