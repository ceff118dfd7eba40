//! Responses as people write them: a raw HTTP/1.1 message.

use super::message::{self, Fields};
use crate::failure::Failure;

/// A response, not checked: the rules are to see it as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RawResponse {
    /// E.g. `HTTP/1.1`.
    pub protocol: Vec<u8>,
    /// Status.
    pub status: u16,
    /// Header fields in order, values without surrounding blanks.
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
    /// The body, without chunked coding; as `Content-Encoding` says.
    pub body: Vec<u8>,
}

impl RawResponse {
    /// Reads a raw HTTP/1.x message as a request is read: lines may end with LF alone.
    ///
    /// # Errors
    /// The first line has no status, or a header line has no colon.
    pub fn parse(text: &[u8]) -> Result<RawResponse, Failure> {
        let mut rest = text;
        let line = message::next_line(&mut rest);
        let mut words = line.split(|byte| *byte == b' ').filter(|word| !word.is_empty());
        let protocol = words.next().unwrap_or_default();
        let status = words.next().and_then(|word| std::str::from_utf8(word).ok()?.parse().ok());
        let status = status.filter(|status| (100..1000).contains(status) && protocol.starts_with(b"HTTP/"));
        let Some(status) = status else {
            return Err(Failure::usage("this is no HTTP response")
                .cause("its first line has no protocol and status")
                .hint("begin with a line like `HTTP/1.1 200 OK`"));
        };
        let headers: Fields = message::fields(&mut rest)?;
        let body = message::body(&headers, rest);
        Ok(RawResponse { protocol: protocol.to_vec(), status, headers, body })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_read_as_they_come() {
        let read = RawResponse::parse(b"HTTP/1.1 500 Oh no\r\nContent-Type: text/html\n\n<b>\n").unwrap();
        assert_eq!((read.status, &read.protocol[..], &read.body[..]), (500, &b"HTTP/1.1"[..], &b"<b>\n"[..]));
        assert_eq!(read.headers, [(b"Content-Type".to_vec(), b"text/html".to_vec())]);
        let read = RawResponse::parse(b"HTTP/1.0 204\nTransfer-Encoding: chunked\n\n1\nx\n0\n\n").unwrap();
        assert_eq!((read.status, &read.body[..]), (204, &b"x"[..]));
        for wrong in
            [&b""[..], b"200 OK\n\n", b"HTTP/1.1 OK\n\n", b"HTTP/1.1 200 OK\nno colon\n\n", b"GET / HTTP/1.1"]
        {
            assert!(RawResponse::parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
