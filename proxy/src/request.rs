//! A request as the whole pipeline sees it, whichever protocol brought it.

use std::sync::Arc;

use bytes::Bytes;

use crate::headers::Headers;
use crate::http1::framing::BodyLength;
use crate::http1::target::Scheme;

/// The protocol version of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// HTTP/1.0.
    Http10,
    /// HTTP/1.1.
    Http11,
    /// HTTP/2.
    Http2,
}

impl Version {
    /// As in the request line and in `REQUEST_PROTOCOL`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http10 => "HTTP/1.0",
            Self::Http11 => "HTTP/1.1",
            Self::Http2 => "HTTP/2.0",
        }
    }
}

/// A request head that passed the strict checks.
#[derive(Clone, Debug)]
pub struct Request {
    /// Protocol version.
    pub version: Version,
    /// Scheme of the connection.
    pub scheme: Scheme,
    /// Method, case-sensitive, at most 32 bytes.
    pub method: Bytes,
    /// Request target exactly as sent.
    pub target: Bytes,
    /// Path and query in origin form, or `*`.
    pub path_and_query: Bytes,
    /// Host and optional port as sent; empty when an HTTP/1.0 client sent none.
    pub authority: Bytes,
    /// Host in lower case without port and trailing dot; empty when there is none.
    pub host: Arc<str>,
    /// Header fields as sent.
    pub headers: Headers,
    /// Framing of the body.
    pub body: BodyLength,
    /// Whether the client lets the connection be used again.
    pub keep_alive: bool,
    /// Whether the client waits for `100 Continue` before it sends the body.
    pub expects_continue: bool,
    /// Whether this is a WebSocket handshake (RFC 6455 section 4.1).
    pub websocket: bool,
}

impl Request {
    /// Whether the method is safe (RFC 9110 section 9.2.1), so that it may be tried again.
    pub fn is_safe(&self) -> bool {
        matches!(&self.method[..], b"GET" | b"HEAD" | b"OPTIONS")
    }

    /// Whether the answer must not have a body.
    pub fn is_head(&self) -> bool {
        &self.method[..] == b"HEAD"
    }
}
