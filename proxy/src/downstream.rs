//! The client's side of one request, whichever protocol it speaks: reading the body, writing the answer.

use std::io;
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::RecvStream;

use crate::conn::ConnReader;
use crate::http1::body::BodyDecoder;
use crate::http1::response::ResponseHead;
use crate::http1::sink::Http1Sink;
use crate::http1::source::{BodyError, Source};
use crate::http2::sink::Http2Sink;

/// What is known about the length of a response body when its head is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseLength {
    /// Exactly this many bytes.
    Known(u64),
    /// Until it ends.
    Unknown,
}

/// Time after which the minimum rate of a body applies.
const RATE_GRACE: Duration = Duration::from_secs(10);

/// Reads the request body, bounded in size, pauses and rate.
#[derive(Debug)]
pub struct RequestBody<'c> {
    stream: BodyStream<'c>,
    started: Option<Instant>,
    pause: Duration,
    min_rate: u64,
    /// Most bytes it may have.
    pub limit: u64,
    /// Bytes received so far.
    pub received: u64,
}

/// Where the body comes from.
#[derive(Debug)]
pub enum BodyStream<'c> {
    /// An HTTP/1 connection.
    Http1 {
        /// The connection's reading half.
        source: &'c mut Source<ConnReader>,
        /// The body's state, owned by the connection that has to know whether anything is left.
        decoder: &'c mut BodyDecoder,
    },
    /// An HTTP/2 stream.
    Http2(RecvStream),
}

impl<'c> RequestBody<'c> {
    /// A body with the server's limits on pauses and rate; its size is unlimited until a route is known.
    pub const fn new(stream: BodyStream<'c>, pause: Duration, min_rate: u64) -> Self {
        Self { stream, started: None, pause, min_rate, limit: u64::MAX, received: 0 }
    }

    /// The next piece, `None` at the end. Cancellation loses nothing.
    pub async fn next(&mut self) -> Result<Option<Bytes>, BodyError> {
        let piece = tokio::time::timeout(self.pause, read(&mut self.stream))
            .await
            .map_err(|_| BodyError::Timeout)??;
        if let Some(piece) = &piece {
            let started = *self.started.get_or_insert_with(Instant::now);
            self.received += piece.len() as u64;
            if self.received > self.limit {
                return Err(BodyError::TooLarge);
            }
            let elapsed = started.elapsed();
            if elapsed > RATE_GRACE && self.received < self.min_rate.saturating_mul(elapsed.as_secs()) {
                return Err(BodyError::Timeout);
            }
        }
        Ok(piece)
    }

    /// Whether nothing is left that would disturb the next request on the connection.
    pub const fn is_finished(&self) -> bool {
        match &self.stream {
            BodyStream::Http1 { decoder, .. } => decoder.is_done(),
            BodyStream::Http2(_) => true,
        }
    }

    /// The HTTP/1 connection below it, for a tunnel.
    pub fn http1_source(&mut self) -> Option<&mut Source<ConnReader>> {
        match &mut self.stream {
            BodyStream::Http1 { source, .. } => Some(source),
            BodyStream::Http2(_) => None,
        }
    }
}

async fn read(stream: &mut BodyStream<'_>) -> Result<Option<Bytes>, BodyError> {
    match stream {
        BodyStream::Http1 { source, decoder } => source.body(decoder).await,
        BodyStream::Http2(stream) => loop {
            let Some(piece) = stream.data().await.transpose()? else { return Ok(None) };
            // Capacity is given back as pieces are taken: what we buffer is bounded elsewhere.
            stream.flow_control().release_capacity(piece.len())?;
            if !piece.is_empty() {
                return Ok(Some(piece));
            }
        },
    }
}

/// Writes the answer.
#[derive(Debug)]
pub struct ResponseSink<'c> {
    stream: SinkStream<'c>,
    /// Status of the head that was sent.
    pub status: Option<u16>,
    /// Body bytes handed over for sending.
    pub sent: u64,
    /// Set in every answer (RFC 6797), over what a back end says.
    pub strict_transport_security: Option<Bytes>,
}

/// Where the answer goes.
#[derive(Debug)]
pub enum SinkStream<'c> {
    /// An HTTP/1 connection.
    Http1(Http1Sink<'c>),
    /// An HTTP/2 stream.
    Http2(Http2Sink),
}

impl<'c> ResponseSink<'c> {
    /// A sink without anything sent.
    pub const fn new(stream: SinkStream<'c>) -> Self {
        Self { stream, status: None, sent: 0, strict_transport_security: None }
    }

    /// Tells the client to send the body that it announced with `Expect: 100-continue`.
    pub async fn send_continue(&mut self) -> io::Result<()> {
        match &mut self.stream {
            SinkStream::Http1(sink) => sink.send_continue().await,
            SinkStream::Http2(_) => Ok(()),
        }
    }

    /// Sends the head.
    pub fn send_head(&mut self, head: &ResponseHead, length: ResponseLength) -> io::Result<()> {
        self.status = Some(head.status);
        let with_policy = self.strict_transport_security.as_ref().map(|policy| {
            let mut head = head.clone();
            head.headers.set("strict-transport-security", policy.clone());
            head
        });
        let head = with_policy.as_ref().unwrap_or(head);
        match &mut self.stream {
            SinkStream::Http1(sink) => sink.send_head(head, length),
            SinkStream::Http2(sink) => sink.send_head(head, length)?,
        }
        Ok(())
    }

    /// Sends a piece of the body.
    pub async fn send_data(&mut self, data: Bytes) -> io::Result<()> {
        self.sent += data.len() as u64;
        match &mut self.stream {
            SinkStream::Http1(sink) => sink.send_data(data).await,
            SinkStream::Http2(sink) => sink.send_data(data).await,
        }
    }

    /// Hands everything that was gathered to the network.
    pub async fn flush(&mut self) -> io::Result<()> {
        match &mut self.stream {
            SinkStream::Http1(sink) => sink.flush().await,
            SinkStream::Http2(_) => Ok(()),
        }
    }

    /// Ends the answer.
    pub async fn finish(&mut self) -> io::Result<()> {
        match &mut self.stream {
            SinkStream::Http1(sink) => sink.finish().await,
            SinkStream::Http2(sink) => sink.finish(),
        }
    }

    /// Waits until the client resets its HTTP/2 stream. Never ends on HTTP/1, where a client that closed its side may
    /// still want the answer; there the next write finds out.
    pub async fn given_up(&mut self) {
        match &mut self.stream {
            SinkStream::Http1(_) => std::future::pending().await,
            SinkStream::Http2(sink) => sink.reset().await,
        }
    }

    /// Gives the answer up: the connection will be closed, or the stream reset, without a proper end.
    pub fn abort(&mut self) {
        match &mut self.stream {
            SinkStream::Http1(sink) => sink.keep_alive = false,
            SinkStream::Http2(sink) => sink.abort(),
        }
    }

    /// Does not let the connection be used again after this answer.
    pub fn close_after(&mut self) {
        if let SinkStream::Http1(sink) = &mut self.stream {
            sink.keep_alive = false;
        }
    }

    /// Whether the HTTP/1 connection may be used again.
    pub const fn keeps_alive(&self) -> bool {
        match &self.stream {
            SinkStream::Http1(sink) => sink.keep_alive,
            SinkStream::Http2(_) => true,
        }
    }

    /// The HTTP/1 sink, for a tunnel.
    pub fn http1(&mut self) -> Option<&mut Http1Sink<'c>> {
        match &mut self.stream {
            SinkStream::Http1(sink) => Some(sink),
            SinkStream::Http2(_) => None,
        }
    }
}
