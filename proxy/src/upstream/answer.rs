//! An instance's answer, whatever protocol brought it: head, body, trailers, and what becomes of the connection.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use h2::RecvStream;

use crate::budget::Budget;
use crate::conversation::Conversation;
use crate::downstream::ResponseLength;
use crate::headers::Headers;
use crate::http1::body::BodyDecoder;
use crate::http1::response::ResponseHead;
use crate::http1::source::{BodyError, Source};
use crate::patience::within;
use crate::upstream::ahead::Ahead;
use crate::upstream::connection::{UpstreamConnection, UpstreamReader, UpstreamWriter};
use crate::upstream::fastcgi::Reply;
use crate::upstream::http2::{self, Http2Slot};
use crate::upstream::instance::{ActiveRequest, Instance};
use crate::upstream::upload::{PayloadError, UploadError, Uploading};

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
    /// What was read before the client took it, where that is done.
    pub(super) ahead: Option<Ahead>,
    /// How the body ended, once it did while the client was waited for.
    pub(super) ended: Option<Result<(), AnswerEnd>>,
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
    /// The rest of one that was read to its end; the connection was given back.
    Ended { trailers: Headers, errors: Vec<u8> },
}

/// Why an answer does not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum AnswerEnd {
    /// The request beside it did not: an answer to a part of it is nothing to wait for.
    #[error(transparent)]
    Request(PayloadError),
    /// Its own body is missing or malformed.
    #[error(transparent)]
    Body(#[from] BodyError),
}

/// The instance that answers.
#[derive(Debug)]
pub(super) struct Home {
    pub(super) instance: Arc<Instance>,
    pub(super) reusable: bool,
    /// Most idle connections kept, and for how long.
    pub(super) max_idle: (usize, Duration),
    /// Until the answer was read.
    pub(super) active: Option<ActiveRequest>,
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
            Self::Ended { .. } => Ok(None),
        }
    }
}

impl Answer<'_> {
    /// An answer whose head was read.
    pub(super) const fn new(
        head: ResponseHead,
        length: ResponseLength,
        body: AnswerBody,
        home: Home,
        read_timeout: Duration,
    ) -> Self {
        Self {
            head,
            length,
            body,
            writer: None,
            upload: None,
            home,
            read_timeout,
            ahead: None,
            ended: None,
            conversation: None,
        }
    }

    /// Has what comes be read before the client takes it, up to this many bytes in a file: see [`Answer::read_ahead`].
    pub fn buffer(&mut self, most: u64, budget: Budget) {
        let is_shared = matches!(self.body, AnswerBody::Http2 { .. });
        if most > 0 && !is_shared && !self.head.is_event_stream() {
            self.ahead = Some(Ahead::new(most, budget));
        }
    }

    /// The next piece of the response body; `None` at its end. Cancellation loses nothing.
    pub async fn next(&mut self) -> Result<Option<Bytes>, AnswerEnd> {
        if let Some(ahead) = &mut self.ahead
            && let Some(piece) = ahead.take().await.map_err(BodyError::from)?
        {
            return Ok(Some(piece));
        }
        match self.ended.take() {
            Some(ended) => ended.map(|()| None),
            None => self.read().await,
        }
    }

    /// Waits for `taking`, which ends when the client took what it was given, and reads on meanwhile as far as there is
    /// room, so that the instance need not wait for the client.
    pub async fn read_ahead<T>(&mut self, taking: impl Future<Output = T>) -> T {
        let mut taking = pin!(taking);
        while self.ended.is_none() && self.ahead.as_mut().is_some_and(Ahead::has_room) {
            let piece = tokio::select! {
                biased;
                taken = taking.as_mut() => return taken,
                piece = self.read() => piece,
            };
            self.ended = match (piece, &mut self.ahead) {
                (Ok(Some(piece)), Some(ahead)) => {
                    ahead.keep(piece).await;
                    None
                }
                (Ok(_), _) => {
                    self.give_back();
                    Some(Ok(()))
                }
                (Err(error), _) => Some(Err(error)),
            };
        }
        taking.await
    }

    async fn read(&mut self) -> Result<Option<Bytes>, AnswerEnd> {
        loop {
            let Some(upload) = self.upload.as_mut() else {
                let piece = self.body.next();
                return Ok(within(self.read_timeout, piece).await.map_err(|_| BodyError::Timeout)??);
            };
            tokio::select! {
                biased;
                (writer, result) = upload => {
                    self.upload = None;
                    self.writer = writer.filter(|_| result.is_ok());
                    // Where the instance broke the upload its answer may still be good: it may refuse a body early.
                    if let Err(UploadError::Payload(error)) = result {
                        return Err(AnswerEnd::Request(error));
                    }
                }
                piece = self.body.next() => {
                    if let Some(conversation) = &self.conversation {
                        conversation.passed();
                    }
                    return Ok(piece?);
                }
            }
        }
    }

    /// Reads at most about this many bytes of the body at a time.
    pub fn bound(&mut self, most: usize) {
        match &mut self.body {
            AnswerBody::Http1 { source, .. } | AnswerBody::FastCgi { source, .. } => source.bound(most),
            // Comes in frames.
            AnswerBody::Http2 { .. } | AnswerBody::Ended { .. } => {}
        }
    }

    /// The trailers, once the body has ended; none the second time.
    pub fn take_trailers(&mut self) -> Headers {
        match &mut self.body {
            AnswerBody::Http1 { decoder, .. } => decoder.take_trailers(),
            AnswerBody::Http2 { trailers, .. } => trailers.take().unwrap_or_default(),
            AnswerBody::Ended { trailers, .. } => std::mem::take(trailers),
            AnswerBody::FastCgi { .. } => Headers::default(),
        }
    }

    /// Whether trailers can come after the body.
    pub fn may_trail(&self) -> bool {
        match &self.body {
            AnswerBody::Http1 { decoder, .. } => {
                !matches!(decoder, BodyDecoder::Length(_) | BodyDecoder::Done)
            }
            AnswerBody::FastCgi { .. } => false,
            AnswerBody::Http2 { .. } => true,
            AnswerBody::Ended { trailers, .. } => !trailers.is_empty(),
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
            AnswerBody::Ended { errors, .. } => std::mem::take(errors),
            AnswerBody::Http1 { .. } | AnswerBody::Http2 { .. } => Vec::new(),
        }
    }

    /// Gives the connection back if both directions ended cleanly. The instance has done with the request.
    pub fn give_back(&mut self) {
        if self.upload.is_some() || matches!(self.body, AnswerBody::Http2 { .. }) {
            return;
        }
        let rest = AnswerBody::Ended { trailers: self.take_trailers(), errors: self.take_errors() };
        let (mut source, ended) = match std::mem::replace(&mut self.body, rest) {
            AnswerBody::Http1 { source, decoder, .. } => (source, decoder.is_done()),
            AnswerBody::FastCgi { source, reply } => (source, reply.has_ended()),
            AnswerBody::Http2 { .. } | AnswerBody::Ended { .. } => return,
        };
        let Home { instance, reusable, max_idle: (most, time), active } = &mut self.home;
        *active = None;
        if let Some(writer) = self.writer.take()
            && *reusable
            && ended
            && !source.has_buffered()
        {
            source.rest();
            instance.release(UpstreamConnection { source, writer, reused: true }, *most, *time);
        }
    }

    /// The connection's halves after a 101.
    pub fn into_tunnel(self) -> Option<(Source<UpstreamReader>, UpstreamWriter, ActiveRequest)> {
        match self.body {
            AnswerBody::Http1 { source, .. } => Some((source, self.writer?, self.home.active?)),
            _ => None,
        }
    }
}

impl std::fmt::Debug for Answer<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Answer").field("head", &self.head).field("body", &self.body).finish_non_exhaustive()
    }
}
