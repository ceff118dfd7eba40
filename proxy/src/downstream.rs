//! The client's side of one request, whichever protocol it speaks: reading the body, writing the answer.

use std::io;
use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use h2::RecvStream;

use crate::config::ServerLimits;
use crate::conn::ConnReader;
use crate::conversation::Conversation;
use crate::forwarding::passes_in_trailers;
use crate::headers::Headers;
use crate::http1::body::{BodyDecoder, FramingError};
use crate::http1::response::ResponseHead;
use crate::http1::sink::Http1Sink;
use crate::http1::source::{BodyError, Source};
use crate::http2::request::trailers;
use crate::http2::sink::Http2Sink;
use crate::pace::{Pace, TooSlow};
use crate::policy::Policy;

/// What is known about the length of a response body when its head is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseLength {
    /// Exactly this many bytes.
    Known(u64),
    /// Until it ends.
    Unknown,
}

/// Reads the request body, bounded in size, pauses and rate.
#[derive(Debug)]
pub struct RequestBody<'c> {
    stream: BodyStream<'c>,
    pace: Pace,
    /// Most bytes it may have.
    pub limit: u64,
    /// Bytes received so far.
    pub received: u64,
    /// Whether its trailers may go on: not where they would pass the firewall unseen.
    pub passes_trailers: bool,
    /// What the route changes in a header, and therefore in trailers too.
    pub policy: Option<Arc<Policy>>,
    /// What it belongs to, where it may be answered while it is still being sent: once that has begun, the client may be
    /// silent for as long as the answer is not.
    pub conversation: Option<Arc<Conversation>>,
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
    /// An HTTP/2 stream, and its trailers once it ended.
    Http2(RecvStream, Headers),
}

impl<'c> RequestBody<'c> {
    /// A body with the server's limits on its pace; its size is unlimited until a route is known.
    pub const fn new(stream: BodyStream<'c>, limits: &ServerLimits) -> Self {
        Self {
            stream,
            pace: Pace::of_body(limits),
            limit: u64::MAX,
            received: 0,
            passes_trailers: true,
            policy: None,
            conversation: None,
        }
    }

    /// The next piece, `None` at the end. Cancellation loses nothing.
    pub async fn next(&mut self) -> Result<Option<Bytes>, BodyError> {
        let mut reading = pin!(read(&mut self.stream));
        let begun = || self.conversation.as_deref().filter(|conversation| conversation.has_begun());
        let read = match begun() {
            Some(conversation) => conversation.wait(reading).await,
            None => match (self.pace.wait(reading.as_mut()).await, begun()) {
                // It began while the client was waited for.
                (Err(TooSlow), Some(conversation)) => conversation.wait(reading).await,
                (read, _) => read,
            },
        };
        let piece = read.map_err(|_| BodyError::Timeout)??;
        if let Some(piece) = &piece {
            self.pace.passed(piece.len());
            self.received += piece.len() as u64;
            if self.received > self.limit {
                return Err(BodyError::TooLarge);
            }
        }
        Ok(piece)
    }

    /// What may go on of the trailers that came after the last piece. None the second time.
    pub fn take_trailers(&mut self) -> Headers {
        let mut trailers = match &mut self.stream {
            BodyStream::Http1 { decoder, .. } => decoder.take_trailers(),
            BodyStream::Http2(_, trailers) => std::mem::take(trailers),
        };
        let rules = self.policy.as_ref().map(|policy| &policy.request_headers);
        trailers.retain(|field| {
            let overruled = rules.is_some_and(|rules| rules.overrules(&field.name));
            self.passes_trailers && !overruled && passes_in_trailers(field)
        });
        trailers
    }

    /// Waits until an HTTP/1 client closes its connection. Never ends while the body is not complete (reading it finds
    /// out) and on HTTP/2 (see [`ResponseSink::given_up`]).
    ///
    /// A client that closes only its own side, and still wants the answer, is taken to have left: nothing tells the
    /// two apart before something is written, and back ends must not work for nobody.
    pub async fn client_left(&mut self) {
        match &mut self.stream {
            BodyStream::Http1 { source, decoder } if decoder.is_done() => source.closed().await,
            _ => std::future::pending().await,
        }
    }

    /// Whether nothing is left that would disturb the next request on the connection.
    pub const fn is_finished(&self) -> bool {
        match &self.stream {
            BodyStream::Http1 { decoder, .. } => decoder.is_done(),
            BodyStream::Http2(..) => true,
        }
    }

    /// The HTTP/1 connection below it, for a tunnel.
    pub fn http1_source(&mut self) -> Option<&mut Source<ConnReader>> {
        match &mut self.stream {
            BodyStream::Http1 { source, .. } => Some(source),
            BodyStream::Http2(..) => None,
        }
    }
}

async fn read(stream: &mut BodyStream<'_>) -> Result<Option<Bytes>, BodyError> {
    match stream {
        BodyStream::Http1 { source, decoder } => source.body(decoder).await,
        BodyStream::Http2(stream, kept) => loop {
            let Some(piece) = stream.data().await.transpose()? else {
                if let Some(fields) = stream.trailers().await? {
                    *kept = trailers(&fields).map_err(|_| FramingError::Trailers)?;
                }
                return Ok(None);
            };
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
            SinkStream::Http2(sink) => sink.send_continue(),
        }
    }

    /// Sends an interim response (1xx other than 100 and 101).
    pub async fn send_interim(&mut self, head: &ResponseHead) -> io::Result<()> {
        match &mut self.stream {
            SinkStream::Http1(sink) => sink.send_interim(head).await,
            SinkStream::Http2(sink) => sink.send_interim(head),
        }
    }

    /// Sends the head.
    pub fn send_head(&mut self, mut head: ResponseHead, length: ResponseLength) -> io::Result<()> {
        self.status = Some(head.status);
        if let Some(policy) = &self.strict_transport_security {
            head.headers.set("strict-transport-security", policy.clone());
        }
        match &mut self.stream {
            SinkStream::Http1(sink) => sink.send_head(&head, length),
            SinkStream::Http2(sink) => sink.send_head(&head, length)?,
        }
        Ok(())
    }

    /// Tells that no trailers will follow the body, before the head is sent.
    pub const fn ends_with_body(&mut self) {
        if let SinkStream::Http2(sink) = &mut self.stream {
            sink.ends_with_body();
        }
    }

    /// Sends a piece of the body.
    pub async fn send_data(&mut self, data: Bytes) -> io::Result<()> {
        self.sent += data.len() as u64;
        match &mut self.stream {
            SinkStream::Http1(sink) => sink.send_data(data).await,
            SinkStream::Http2(sink) => sink.send_data(data).await,
        }
    }

    /// Most bytes of a body that are to be read for this client now: what it has no window for stays with the back end. An
    /// HTTP/1 client takes what comes, or has [`ResponseSink::send_data`] wait.
    pub fn appetite(&mut self) -> usize {
        match &mut self.stream {
            SinkStream::Http1(_) => usize::MAX,
            SinkStream::Http2(sink) => sink.appetite(),
        }
    }

    /// Hands everything that was gathered to the network.
    pub async fn flush(&mut self) -> io::Result<()> {
        match &mut self.stream {
            SinkStream::Http1(sink) => sink.flush().await,
            SinkStream::Http2(_) => Ok(()),
        }
    }

    /// Ends the answer, with these trailers where the client can take any.
    pub async fn finish(&mut self, trailers: &Headers) -> io::Result<()> {
        match &mut self.stream {
            SinkStream::Http1(sink) => sink.finish(trailers).await,
            SinkStream::Http2(sink) => sink.finish(trailers),
        }
    }

    /// Waits until the client resets its HTTP/2 stream. Never ends on HTTP/1: see [`RequestBody::client_left`].
    pub async fn given_up(&mut self) {
        match &mut self.stream {
            SinkStream::Http1(_) => std::future::pending().await,
            SinkStream::Http2(sink) => sink.reset().await,
        }
    }

    /// Whether the client reset its stream before the answer was complete, as far as that was noticed.
    pub const fn was_given_up(&self) -> bool {
        match &self.stream {
            SinkStream::Http1(_) => false,
            SinkStream::Http2(sink) => sink.given_up,
        }
    }

    /// Gives the answer up: the connection will be closed, or the stream reset, without a proper end.
    pub fn abort(&mut self) {
        match &mut self.stream {
            SinkStream::Http1(sink) => sink.abort(),
            SinkStream::Http2(sink) => sink.abort(),
        }
    }

    /// Like [`ResponseSink::abort`], for a client that is to get no more of our time: an HTTP/1 connection ends at once,
    /// with what was gathered for it.
    pub fn cut(&mut self) {
        self.abort();
        if let SinkStream::Http1(sink) = &mut self.stream {
            sink.resets = true;
        }
    }

    /// Does not let the connection be used again after this answer.
    pub fn close_after(&mut self) {
        if let SinkStream::Http1(sink) = &mut self.stream {
            sink.keep_alive = false;
        }
    }

    /// Whether the HTTP/1 connection has to end with a reset.
    pub const fn resets(&self) -> bool {
        match &self.stream {
            SinkStream::Http1(sink) => sink.resets,
            SinkStream::Http2(_) => false,
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
