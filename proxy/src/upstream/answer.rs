//! An instance's answer, whatever protocol brought it: head, body, trailers, and what becomes of the connection.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use h2::RecvStream;

use crate::conversation::Conversation;
use crate::downstream::ResponseLength;
use crate::headers::Headers;
use crate::http1::body::BodyDecoder;
use crate::http1::response::ResponseHead;
use crate::http1::source::{BodyError, Source};
use crate::patience::within;
use crate::upstream::connection::{UpstreamConnection, UpstreamReader, UpstreamWriter};
use crate::upstream::fastcgi::Reply;
use crate::upstream::http2::{self, Http2Slot};
use crate::upstream::instance::{ActiveRequest, Instance};
use crate::upstream::upload::Uploading;

/// An answer whose body is still to be read, while the request body may still be under way.
pub struct Answer<'u> {
    /// The response head, hop-by-hop fields included.
    pub head: ResponseHead,
    /// What is known about the length of the body.
    pub length: ResponseLength,
    pub(super) body: AnswerBody,
    pub(super) writer: Option<UpstreamWriter>,
    pub(super) upload: Option<Uploading<'u>>,
    pub(super) home: Home,
    pub(super) read_timeout: Duration,
    /// What it is a part of, where the request body is still under way beside it.
    pub conversation: Option<Arc<Conversation>>,
}

/// Where the body comes from.
#[derive(Debug)]
pub(super) enum AnswerBody {
    /// An HTTP/1.1 or uwsgi answer.
    Http1 {
        source: Source<UpstreamReader>,
        decoder: BodyDecoder,
        /// Whether bytes beyond the announced length break the answer: nothing else may follow on the connection.
        exact: bool,
    },
    /// A FastCGI answer.
    FastCgi { source: Source<UpstreamReader>, reply: Reply },
    /// An HTTP/2 stream.
    Http2 { stream: RecvStream, trailers: Option<Headers>, _slot: Http2Slot },
}

/// The instance that answers.
#[derive(Debug)]
pub(super) struct Home {
    pub(super) instance: Arc<Instance>,
    pub(super) reusable: bool,
    /// Most idle connections kept, and for how long.
    pub(super) max_idle: (usize, Duration),
    pub(super) active: ActiveRequest,
}

impl AnswerBody {
    async fn next(&mut self) -> Result<Option<Bytes>, BodyError> {
        match self {
            Self::Http1 { source, decoder, exact } => {
                let piece = source.body(decoder).await?;
                if *exact && decoder.is_done() && source.has_buffered() {
                    let text = "the body is longer than its Content-Length";
                    return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, text).into());
                }
                Ok(piece)
            }
            Self::FastCgi { source, reply } => reply.body(source).await,
            Self::Http2 { stream, trailers, .. } => {
                let piece = http2::body(stream).await?;
                if piece.is_none() && trailers.is_none() {
                    *trailers = http2::trailers(stream).await?;
                }
                Ok(piece)
            }
        }
    }
}

impl Answer<'_> {
    /// The next piece of the response body; `None` at its end. Cancellation loses nothing.
    pub async fn next(&mut self) -> Result<Option<Bytes>, BodyError> {
        loop {
            let Some(upload) = self.upload.as_mut() else {
                let piece = self.body.next();
                return within(self.read_timeout, piece).await.map_err(|_| BodyError::Timeout)?;
            };
            tokio::select! {
                biased;
                (writer, result) = upload => {
                    self.upload = None;
                    // Whatever broke the upload, the answer may still be good: an instance may refuse a body early.
                    self.writer = writer.filter(|_| result.is_ok());
                }
                piece = self.body.next() => {
                    if let Some(conversation) = &self.conversation {
                        conversation.passed();
                    }
                    return piece;
                }
            }
        }
    }

    /// Reads at most about this many bytes of the body at a time.
    pub fn bound(&mut self, most: usize) {
        match &mut self.body {
            AnswerBody::Http1 { source, .. } | AnswerBody::FastCgi { source, .. } => source.bound(most),
            // Comes in frames.
            AnswerBody::Http2 { .. } => {}
        }
    }

    /// The trailers, once the body has ended; none the second time.
    pub fn take_trailers(&mut self) -> Headers {
        match &mut self.body {
            AnswerBody::Http1 { decoder, .. } => decoder.take_trailers(),
            AnswerBody::Http2 { trailers, .. } => trailers.take().unwrap_or_default(),
            AnswerBody::FastCgi { .. } => Headers::default(),
        }
    }

    /// Whether trailers can come after the body.
    pub const fn may_trail(&self) -> bool {
        match &self.body {
            AnswerBody::Http1 { decoder, .. } => {
                !matches!(decoder, BodyDecoder::Length(_) | BodyDecoder::Done)
            }
            AnswerBody::FastCgi { .. } => false,
            AnswerBody::Http2 { .. } => true,
        }
    }

    /// The instance that answered.
    pub const fn instance(&self) -> &Arc<Instance> {
        &self.home.instance
    }

    /// What a FastCGI application wrote to its standard error so far; each byte is given once.
    pub fn take_errors(&mut self) -> Vec<u8> {
        match &mut self.body {
            AnswerBody::FastCgi { reply, .. } => reply.take_errors(),
            _ => Vec::new(),
        }
    }

    /// Gives the connection back if both directions ended cleanly.
    pub fn release(self) {
        let Self { body, writer: Some(writer), upload: None, home, .. } = self else { return };
        let (mut source, ended) = match body {
            AnswerBody::Http1 { source, decoder, .. } => (source, decoder.is_done()),
            AnswerBody::FastCgi { source, reply } => (source, reply.has_ended()),
            AnswerBody::Http2 { .. } => return,
        };
        if home.reusable && ended && !source.has_buffered() {
            source.rest();
            let (most, time) = home.max_idle;
            home.instance.release(UpstreamConnection { source, writer, reused: true }, most, time);
        }
    }

    /// The connection's halves after a 101.
    pub fn into_tunnel(self) -> Option<(Source<UpstreamReader>, UpstreamWriter, ActiveRequest)> {
        match self.body {
            AnswerBody::Http1 { source, .. } => Some((source, self.writer?, self.home.active)),
            _ => None,
        }
    }
}

impl std::fmt::Debug for Answer<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Answer").field("head", &self.head).field("body", &self.body).finish_non_exhaustive()
    }
}
