//! Reading a back end's response head, as strictly as a client's request: a back end may be an attacker's.

use bytes::Bytes;

use crate::headers::{Headers, is_name};
use crate::http1::body::{BodyDecoder, Chunk};
use crate::http1::field::{FieldError, next_line, parse_fields};
use crate::http1::framing::content_length;

/// A response head.
#[derive(Clone, Debug)]
pub struct ResponseHead {
    /// Status code, 100 to 599.
    pub status: u16,
    /// Reason phrase as sent, possibly empty.
    pub reason: Bytes,
    /// Header fields.
    pub headers: Headers,
    /// Whether it came as HTTP/1.0.
    pub http10: bool,
}

/// Why a back end's response cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResponseError {
    /// The status line is not `HTTP/1.x SP 3DIGIT [SP reason]`.
    #[error("malformed status line")]
    StatusLine,
    /// A malformed header line.
    #[error("malformed response header: {0}")]
    Field(FieldError),
    /// Lengths that contradict each other, or an unknown transfer coding.
    #[error("ambiguous response length")]
    Length,
}

impl ResponseHead {
    /// A response of our own.
    pub fn new(status: u16) -> Self {
        Self { status, reason: Bytes::new(), headers: Headers::with_capacity(8), http10: false }
    }

    /// Stands in the place of a head that was taken.
    pub(crate) fn empty() -> Self {
        Self { status: 0, reason: Bytes::new(), headers: Headers::default(), http10: false }
    }

    /// Reads a complete head.
    pub fn parse(mut head: Bytes, max_fields: usize) -> Result<Self, ResponseError> {
        let line = next_line(&mut head).ok_or(ResponseError::StatusLine)?;
        let (status, reason, http10) = parse_status_line(&line).ok_or(ResponseError::StatusLine)?;
        let headers = parse_fields(head, max_fields).map_err(ResponseError::Field)?;
        Ok(Self { status, reason, headers, http10 })
    }

    /// How the body is framed (RFC 9112 section 6.3), given whether the request was HEAD.
    pub fn body(&self, head_request: bool) -> Result<BodyDecoder, ResponseError> {
        let length = content_length(&self.headers).map_err(|_| ResponseError::Length)?;
        let mut encodings = self.headers.all("transfer-encoding");
        let chunked = match encodings.next() {
            None => false,
            Some(value)
                if is_name(value, "chunked")
                    && encodings.next().is_none()
                    && length.is_none()
                    && !self.http10 =>
            {
                true
            }
            Some(_) => return Err(ResponseError::Length),
        };
        Ok(match length {
            _ if head_request || self.is_bodiless() => BodyDecoder::Done,
            _ if chunked => BodyDecoder::Chunked(Chunk::Size),
            Some(0) => BodyDecoder::Done,
            Some(length) => BodyDecoder::Length(length),
            None => BodyDecoder::UntilClose,
        })
    }

    /// Whether the status never has a body.
    pub const fn is_bodiless(&self) -> bool {
        matches!(self.status, 100..=199 | 204 | 304)
    }

    /// Whether the connection may be used again after this response.
    pub fn allows_reuse(&self) -> bool {
        !self.http10 && !self.headers.has_token("connection", "close")
    }

    /// Whether this is a stream that must never be held back.
    pub fn is_event_stream(&self) -> bool {
        let content_type = self.headers.get("content-type");
        let is_events = content_type.is_some_and(|value| {
            let kind = value.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
            is_name(kind, "text/event-stream")
        });
        is_events || self.headers.is_grpc()
    }
}

fn parse_status_line(line: &Bytes) -> Option<(u16, Bytes, bool)> {
    let http10 = match line.get(..9)? {
        b"HTTP/1.1 " => false,
        b"HTTP/1.0 " => true,
        _ => return None,
    };
    let digits = line.get(9..12).filter(|digits| digits.iter().all(u8::is_ascii_digit))?;
    let status = digits.iter().fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0'));
    let reason = match line.get(12) {
        None => Bytes::new(),
        Some(b' ') => line.slice(13..),
        Some(_) => return None,
    };
    let legal = crate::http1::field::check_value(&reason).is_ok() && (100..600).contains(&status);
    legal.then_some((status, reason, http10))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(head: &'static str, head_request: bool) -> Result<BodyDecoder, ResponseError> {
        ResponseHead::parse(Bytes::from_static(head.as_bytes()), 100)?.body(head_request)
    }

    #[test]
    fn bodies_are_framed() {
        assert!(matches!(
            body("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", false),
            Ok(BodyDecoder::Length(3))
        ));
        assert!(matches!(body("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", true), Ok(BodyDecoder::Done)));
        assert!(matches!(body("HTTP/1.1 204\r\n\r\n", false), Ok(BodyDecoder::Done)));
        assert!(matches!(body("HTTP/1.1 304 x\r\nContent-Length: 9\r\n\r\n", false), Ok(BodyDecoder::Done)));
        assert!(matches!(body("HTTP/1.0 200 OK\r\n\r\n", false), Ok(BodyDecoder::UntilClose)));
        let chunked = body("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", false);
        assert!(matches!(chunked, Ok(BodyDecoder::Chunked(_))));
    }

    #[test]
    fn lying_responses_are_refused() {
        for head in [
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
            "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            "HTTP/1.1 2000 OK\r\n\r\n",
            "HTTP/1.1 20 OK\r\n\r\n",
            "HTTP/1.1 999 OK\r\n\r\n",
            "HTTP/2 200 OK\r\n\r\n",
            "ICY 200 OK\r\n\r\n",
            "HTTP/1.1 200 O\rK\r\n\r\n",
            "HTTP/1.1 200 OK\r\n a: b\r\n\r\n",
            "HTTP/1.1 200 OK\r\na: \0\r\n\r\n",
        ] {
            assert!(body(head, false).is_err(), "{}", head.escape_debug());
        }
    }
}
