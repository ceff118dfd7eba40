//! Reading from a connection through one buffer: heads and bodies.

use std::io;
use std::pin::Pin;

use bytes::{BufMut, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};

use crate::conn::ConnReader;
use crate::http1::body::{BodyDecoder, Decoded, FramingError};
use crate::http1::field::{FieldError, HeadScanner};

/// Fewest and most bytes asked for at a time: few while heads come, many while a body streams.
const READ_SIZES: std::ops::RangeInclusive<usize> = 4 * 1024..=64 * 1024;
/// Room beyond this is not kept while a connection rests.
const LARGE: usize = 16 * 1024;
/// Most bytes of further requests that are read while one is being answered.
const MAX_AHEAD: usize = 64 * 1024;

/// A reading half with the bytes that were read but not used yet.
#[derive(Debug)]
pub struct Source<R> {
    io: R,
    buffer: BytesMut,
    /// Bytes asked for at a time, by what came lately.
    room: usize,
    /// Most of them.
    most: usize,
}

/// Why no head could be read.
#[derive(Debug, thiserror::Error)]
pub enum HeadError {
    /// The peer closed before the first byte: the ordinary end of a connection.
    #[error("the connection was closed")]
    Closed,
    /// The peer closed, or the connection broke, within the head.
    #[error("the connection broke: {0}")]
    Io(#[from] io::Error),
    /// The head exceeds the limit.
    #[error("the head is too large")]
    TooLarge,
    /// The lines of the head are malformed.
    #[error(transparent)]
    Field(#[from] FieldError),
}

/// Why no body could be read.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Io(#[from] io::Error),
    /// The framing is broken.
    #[error(transparent)]
    Framing(#[from] FramingError),
    /// Nothing arrived within the time limit, or too little.
    #[error("the body took too long")]
    Timeout,
    /// The body is longer than the route allows.
    #[error("the body is too large")]
    TooLarge,
    /// The HTTP/2 stream was reset or the connection failed.
    #[error("the stream was reset: {0}")]
    Stream(#[from] h2::Error),
}

impl<R: AsyncRead + Unpin> Source<R> {
    /// Wraps a reading half.
    pub fn new(io: R) -> Self {
        Self { io, buffer: BytesMut::new(), room: *READ_SIZES.start(), most: *READ_SIZES.end() }
    }

    /// Asks for at most this many bytes at a time (at least for those that are asked for while heads come).
    pub fn bound(&mut self, most: usize) {
        self.most = most.clamp(*READ_SIZES.start(), *READ_SIZES.end());
    }

    /// As new, where nothing is buffered: without a bound, and without the room that a large body took.
    pub fn rest(&mut self) {
        self.most = *READ_SIZES.end();
        if self.buffer.is_empty() && self.buffer.capacity() > LARGE {
            self.buffer = BytesMut::new();
        }
    }

    /// The reading half, without what was read ahead.
    pub fn into_inner(self) -> R {
        self.io
    }

    /// Whether bytes wait in the buffer.
    pub fn has_buffered(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// The buffered bytes and the reading half, for tunnels.
    pub fn parts(&mut self) -> (&mut BytesMut, &mut R) {
        (&mut self.buffer, &mut self.io)
    }

    /// Reads once; the number of new bytes, 0 at the end. Cancellation loses nothing.
    pub async fn fill(&mut self) -> io::Result<usize> {
        let room = self.room.min(self.most);
        if self.buffer.capacity() - self.buffer.len() < room / 2 {
            if self.buffer.is_empty() && !self.buffer.try_reclaim(room) {
                // A reservation would be as large as the largest before it.
                self.buffer = BytesMut::with_capacity(room);
            }
            self.buffer.reserve(room);
        }
        let space = (self.buffer.capacity() - self.buffer.len()).min(self.most);
        let read = self.io.read_buf(&mut (&mut self.buffer).limit(space)).await?;
        if read == space {
            self.room = (self.room * 2).min(*READ_SIZES.end());
        } else if read < room / 4 {
            self.room = (self.room / 2).max(*READ_SIZES.start());
        }
        Ok(read)
    }

    /// Reads a head up to and including its empty line.
    pub async fn head(&mut self, maximum: usize) -> Result<Bytes, HeadError> {
        let mut scanner = HeadScanner::default();
        loop {
            match scanner.scan(&self.buffer)? {
                Some(length) if length > maximum => return Err(HeadError::TooLarge),
                Some(length) => return Ok(self.buffer.split_to(length).freeze()),
                None if self.buffer.len() >= maximum => return Err(HeadError::TooLarge),
                None => {}
            }
            if self.fill().await? == 0 {
                return Err(if self.buffer.is_empty() {
                    HeadError::Closed
                } else {
                    HeadError::Io(io::ErrorKind::UnexpectedEof.into())
                });
            }
        }
    }

    /// The next piece of a body; `None` at its end. Cancellation loses nothing.
    pub async fn body(&mut self, decoder: &mut BodyDecoder) -> Result<Option<Bytes>, BodyError> {
        let mut closed = false;
        loop {
            match decoder.decode(&mut self.buffer, closed)? {
                Decoded::Data(data) => return Ok(Some(data)),
                Decoded::End => return Ok(None),
                Decoded::NeedMore => closed = self.fill().await? == 0,
            }
        }
    }
}

impl Source<ConnReader> {
    /// Waits until at least one byte is there; `false` when the client closed instead. An idle connection keeps no buffer.
    pub async fn wait_idle(&mut self) -> io::Result<bool> {
        if self.has_buffered() {
            return Ok(true);
        }
        if let ConnReader::Tls(reader) = &mut self.io {
            // What waits below TLS may be no data at all, so one byte is asked for, which needs no buffer.
            let (mut first, buffer) = ([0], &mut self.buffer);
            let read = std::future::poll_fn(|context| {
                let mut room = ReadBuf::new(&mut first);
                let polled = Pin::new(&mut *reader).poll_read(context, &mut room);
                if polled.is_pending() {
                    *buffer = BytesMut::new();
                }
                polled.map_ok(|()| room.filled().len())
            });
            if read.await? == 0 {
                return Ok(false);
            }
            self.buffer.reserve(self.room);
            self.buffer.extend_from_slice(&first);
            return Ok(true);
        }
        self.readable().await?;
        Ok(self.fill().await? > 0)
    }

    /// Waits until the client closes. What it sends before that is kept, up to a bound beyond which this never ends.
    pub async fn closed(&mut self) {
        while self.buffer.len() < MAX_AHEAD {
            if self.readable().await.is_err() || matches!(self.fill().await, Ok(0) | Err(_)) {
                return;
            }
        }
        std::future::pending().await
    }

    /// Waits for input without holding memory for it, as far as the connection can tell: below TLS it cannot.
    async fn readable(&mut self) -> io::Result<()> {
        if let ConnReader::Tcp(reader) = &self.io {
            let mut ready = std::pin::pin!(reader.readable());
            let buffer = &mut self.buffer;
            return std::future::poll_fn(|context| {
                let polled = ready.as_mut().poll(context);
                if polled.is_pending() && buffer.is_empty() {
                    *buffer = BytesMut::new();
                }
                polled
            })
            .await;
        }
        Ok(())
    }
}
