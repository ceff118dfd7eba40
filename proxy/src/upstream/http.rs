//! HTTP/1.1 towards an instance: writing the request head and reading the response head.

use std::sync::{Mutex, PoisonError};

use bytes::{BufMut, Bytes, BytesMut};

use crate::http1::framing::BodyLength;
use crate::http1::response::{ResponseError, ResponseHead};
use crate::http1::source::{HeadError, Source};
use crate::http1::target::forwardable;
use crate::upstream::connection::UpstreamReader;
use crate::upstream::fastcgi::FastCgiError;

/// Largest response head in bytes.
const MAX_HEAD: usize = 64 * 1024;
/// Most fields in a response head.
const MAX_FIELDS: usize = 256;
/// Longest target that is sent, escaped as it then is: what fits HTTP/2 as we speak it. What clients may send grows up to
/// threefold by that.
const MAX_TARGET: usize = 65_534;
/// Most interim responses before the final one.
pub(super) const MAX_INTERIM: usize = 16;

/// A request as it goes to a back end: hop-by-hop fields removed, forwarding fields added, framing not yet written.
#[derive(Debug)]
pub struct ForwardedRequest {
    /// Method.
    pub method: Bytes,
    /// Path and query, without what the route takes off.
    pub path_and_query: Bytes,
    /// The prefix that the route took off the path; empty for none.
    pub script_name: Bytes,
    /// Header fields without framing; `Host` first.
    pub headers: crate::headers::Headers,
    /// Framing of the body that will follow.
    pub body: BodyLength,
    /// Whether the connection is to become a WebSocket.
    pub websocket: bool,
    /// Address and scheme of the client, for protocols that name them.
    pub client: std::net::IpAddr,
    /// Whether the client came over TLS.
    pub tls: bool,
    /// Our address that the client connected to.
    pub server: std::net::SocketAddr,
    /// The client's protocol version.
    pub protocol: &'static str,
}

impl ForwardedRequest {
    /// Whether the target is short enough to be sent.
    pub fn has_fitting_target(&self) -> bool {
        let target = &self.path_and_query;
        target.len() <= MAX_TARGET / 3 || forwardable(target).len() <= MAX_TARGET
    }

    /// The head as HTTP/1.1.
    pub fn to_http1(&self) -> BytesMut {
        let fields: usize = self.headers.iter().map(|field| field.name.len() + field.value.len() + 4).sum();
        let mut head = BytesMut::with_capacity(fields + self.path_and_query.len() + 128);
        head.put_slice(&self.method);
        head.put_u8(b' ');
        head.put_slice(&forwardable(&self.path_and_query));
        head.put_slice(b" HTTP/1.1\r\n");
        for field in self.headers.iter() {
            head.put_slice(&field.name);
            head.put_slice(b": ");
            head.put_slice(&field.value);
            head.put_slice(b"\r\n");
        }
        match self.body {
            BodyLength::Known(length) => head.put_slice(format!("content-length: {length}\r\n").as_bytes()),
            BodyLength::Streamed => head.put_slice(b"transfer-encoding: chunked\r\n"),
            BodyLength::Empty if matches!(&self.method[..], b"POST" | b"PUT" | b"PATCH") => {
                head.put_slice(b"content-length: 0\r\n");
            }
            BodyLength::Empty => {}
        }
        // `TE` is of one connection: the field has to be named (RFC 9110 section 10.1.4).
        match (self.websocket, self.headers.contains("te")) {
            (true, true) => head.put_slice(b"connection: Upgrade, TE\r\nupgrade: websocket\r\n"),
            (true, false) => head.put_slice(b"connection: Upgrade\r\nupgrade: websocket\r\n"),
            (false, true) => head.put_slice(b"connection: TE\r\n"),
            (false, false) => {}
        }
        head.put_slice(b"\r\n");
        head
    }
}

/// Why no response head could be read.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    /// The connection ended or broke before any byte of a response.
    #[error("no answer: {0}")]
    Nothing(HeadError),
    /// The head broke off, is too large or malformed.
    #[error("{0}")]
    Head(HeadError),
    /// The head makes no sense.
    #[error(transparent)]
    Response(#[from] ResponseError),
    /// More than sixteen interim responses, or a 101 that nobody asked for.
    #[error("unexpected interim response {0}")]
    Interim(u16),
    /// A FastCGI answer that breaks the protocol.
    #[error(transparent)]
    FastCgi(#[from] FastCgiError),
    /// An HTTP/2 stream that was reset, or a connection that failed.
    #[error(transparent)]
    Http2(#[from] h2::Error),
}

impl AnswerError {
    /// Whether the instance ended the connection without having said anything: it may never have seen the request.
    pub const fn is_silence(&self) -> bool {
        matches!(self, Self::Nothing(HeadError::Closed | HeadError::Io(_)))
    }
}

/// Interim responses that arrived and were not passed on yet.
#[derive(Debug, Default)]
pub struct Interim(Mutex<Vec<ResponseHead>>);

impl Interim {
    /// Puts one aside.
    pub(super) fn push(&self, head: ResponseHead) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(head);
    }

    /// Takes what arrived since the last time.
    pub fn take(&self) -> Vec<ResponseHead> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }
}

/// Reads the final response head. The interim ones (1xx) before it are put aside, except `100 Continue`, which is ours to
/// say, and the 101 of an upgrade, which is final.
pub async fn read_answer(
    source: &mut Source<UpstreamReader>,
    upgrade: bool,
    interim: &Interim,
) -> Result<ResponseHead, AnswerError> {
    for _ in 0..MAX_INTERIM {
        let bytes = match source.head(MAX_HEAD).await {
            Ok(bytes) => bytes,
            Err(error) if source.has_buffered() => return Err(AnswerError::Head(error)),
            Err(error) => return Err(AnswerError::Nothing(error)),
        };
        let head = ResponseHead::parse(bytes, MAX_FIELDS)?;
        match head.status {
            101 if upgrade => return Ok(head),
            101 => return Err(AnswerError::Interim(101)),
            100 => {}
            102..=199 => interim.push(head),
            _ => return Ok(head),
        }
    }
    Err(AnswerError::Interim(100))
}
