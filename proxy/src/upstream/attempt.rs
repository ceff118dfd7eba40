//! Getting an answer from a route's instances: connecting, sending, trying another instance when that is safe.

use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::AsyncWriteExt;

use crate::downstream::RequestBody;
use crate::http1::body::BodyDecoder;
use crate::http1::response::{ResponseError, ResponseHead};
use crate::http1::source::{BodyError, HeadError, Source};
use crate::route::RouteLimits;
use crate::spool::Spool;
use crate::upstream::balancer::Balancer;
use crate::upstream::connection::{UpstreamConnection, UpstreamReader, UpstreamWriter};
use crate::upstream::http::{AnswerError, ForwardedRequest, Interim, read_answer};
use crate::upstream::instance::{ActiveRequest, Instance};
use crate::upstream::uwsgi;

/// Tries after the first one.
const MAX_RETRIES: usize = 2;

/// How the head is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1.
    Http,
    /// uwsgi.
    Uwsgi,
}

/// The request body on its way to the back end.
#[derive(Debug)]
pub enum Payload<'p, 'c> {
    /// None.
    Empty,
    /// Already read.
    Spooled(&'p Spool),
    /// Passed on as it arrives.
    Streamed(&'p mut RequestBody<'c>),
}

/// Why there is no usable answer.
#[derive(Debug, thiserror::Error)]
pub enum AttemptError {
    /// No instance could be reached.
    #[error("cannot connect to {endpoint}: {source}")]
    Connect {
        /// The last one tried.
        endpoint: String,
        /// Why.
        source: io::Error,
    },
    /// The answer is missing or malformed.
    #[error("{endpoint}: {source}")]
    Answer {
        /// The instance.
        endpoint: String,
        /// Why.
        source: AnswerError,
    },
    /// No answer in time.
    #[error("{0} did not answer in time")]
    Timeout(String),
    /// The client failed to send its body.
    #[error("request body: {0}")]
    Client(BodyError),
    /// The head does not fit into the protocol.
    #[error(transparent)]
    TooLarge(#[from] uwsgi::PacketTooLarge),
}

type Uploading<'u> = Pin<Box<dyn Future<Output = (UpstreamWriter, Result<(), UploadError>)> + Send + 'u>>;

/// Why a body did not arrive.
#[derive(Debug)]
enum UploadError {
    Client(BodyError),
    Upstream,
}

/// An answer whose body is still to be read, while the request body may still be under way.
pub struct Answer<'u> {
    /// The response head, hop-by-hop fields included.
    pub head: ResponseHead,
    /// Framing and progress of the body.
    pub decoder: BodyDecoder,
    source: Source<UpstreamReader>,
    writer: Option<UpstreamWriter>,
    upload: Option<Uploading<'u>>,
    instance: Arc<Instance>,
    reusable: bool,
    read_timeout: Duration,
    _active: ActiveRequest,
}

impl Answer<'_> {
    /// The next piece of the response body; `None` at its end.
    pub async fn next(&mut self) -> Result<Option<Bytes>, BodyError> {
        loop {
            let Some(upload) = self.upload.as_mut() else {
                let piece = self.source.body(&mut self.decoder);
                return tokio::time::timeout(self.read_timeout, piece)
                    .await
                    .map_err(|_| BodyError::Timeout)?;
            };
            tokio::select! {
                biased;
                (writer, result) = upload => {
                    self.upload = None;
                    // Whatever broke the upload, the answer may still be good: an instance may refuse a body early.
                    self.writer = result.is_ok().then_some(writer);
                }
                piece = self.source.body(&mut self.decoder) => return piece,
            }
        }
    }

    /// Gives the connection back if both directions ended cleanly.
    pub fn release(self) {
        let Self { source, writer: Some(writer), upload: None, instance, reusable: true, decoder, .. } = self
        else {
            return;
        };
        if decoder.is_done() && !source.has_buffered() {
            instance.release(UpstreamConnection { source, writer, reused: true });
        }
    }

    /// The connection's halves after a 101.
    pub fn into_tunnel(self) -> Option<(Source<UpstreamReader>, UpstreamWriter, ActiveRequest)> {
        Some((self.source, self.writer?, self._active))
    }
}

/// Sends the request and waits for the response head.
pub async fn attempt<'u>(
    balancer: &Balancer,
    protocol: Protocol,
    request: &ForwardedRequest,
    mut payload: Payload<'u, '_>,
    safe: bool,
    limits: &RouteLimits,
    interim: &Interim,
) -> Result<Answer<'u>, AttemptError> {
    let head = match protocol {
        Protocol::Http => request.to_http1().freeze(),
        Protocol::Uwsgi => uwsgi::packet(request)?.freeze(),
    };
    let head_request = &request.method[..] == b"HEAD";
    let mut tried: Vec<Arc<Instance>> = Vec::new();
    loop {
        let last_try = tried.len() == MAX_RETRIES;
        let Some(instance) = balancer.choose(&tried).cloned() else {
            let endpoint = "no instance".to_owned();
            return Err(AttemptError::Connect { endpoint, source: io::ErrorKind::NotFound.into() });
        };
        tried.push(instance.clone());
        let active = instance.begin();
        let connection = match idle_or_new(&instance, protocol, tried.len() > 1, limits).await {
            Ok(connection) => connection,
            Err(source) => {
                instance.failed();
                if last_try || (balancer.instances().len() == 1 && source.kind() == io::ErrorKind::TimedOut) {
                    let endpoint = instance.endpoint().to_string();
                    return Err(AttemptError::Connect { endpoint, source });
                }
                continue;
            }
        };
        let reused = connection.reused;
        let UpstreamConnection { mut source, writer, .. } = connection;
        let replayable = !matches!(payload, Payload::Streamed(_));
        let body = match &mut payload {
            Payload::Empty => Payload::Empty,
            Payload::Spooled(spool) => Payload::Spooled(spool),
            // A streamed body is sent once; there is no second try after this.
            streamed => std::mem::replace(streamed, Payload::Empty),
        };
        let chunked = request.body == crate::http1::framing::BodyLength::Streamed;
        let mut upload: Option<Uploading<'u>> = None;
        let mut sent_writer = None;
        if matches!(body, Payload::Empty) {
            let mut writer = writer;
            // A write that fails is found out by the read below, which may still find an early answer.
            if writer.write_all(&head).await.is_ok() {
                sent_writer = Some(writer);
            }
        } else {
            upload = Some(Box::pin(send(writer, head.clone(), body, chunked)));
        }
        let answer =
            wait_for_answer(&mut source, &mut upload, &mut sent_writer, request.websocket, limits, interim)
                .await;
        let endpoint = || instance.endpoint().to_string();
        match answer {
            Ok(head) => {
                instance.succeeded();
                let answered =
                    if head.status == 101 { Ok(BodyDecoder::Done) } else { head.body(head_request) };
                let decoder = answered.map_err(|error| malformed(endpoint(), error))?;
                let reusable = protocol == Protocol::Http && head.allows_reuse();
                let read_timeout = limits.read_timeout;
                let writer = sent_writer;
                return Ok(Answer {
                    head,
                    decoder,
                    source,
                    writer,
                    upload,
                    instance,
                    reusable,
                    read_timeout,
                    _active: active,
                });
            }
            Err(WaitError::Client(error)) => return Err(AttemptError::Client(error)),
            Err(WaitError::Timeout) => {
                instance.failed();
                return Err(AttemptError::Timeout(endpoint()));
            }
            Err(WaitError::Answer(source)) => {
                let nothing_came =
                    matches!(source, AnswerError::Nothing(HeadError::Closed | HeadError::Io(_)));
                if nothing_came && safe && replayable && !last_try {
                    if !reused {
                        instance.failed();
                    }
                    continue;
                }
                instance.failed();
                return Err(AttemptError::Answer { endpoint: endpoint(), source });
            }
        }
    }
}

fn malformed(endpoint: String, error: ResponseError) -> AttemptError {
    AttemptError::Answer { endpoint, source: error.into() }
}

async fn idle_or_new(
    instance: &Instance,
    protocol: Protocol,
    fresh: bool,
    limits: &RouteLimits,
) -> io::Result<UpstreamConnection> {
    let idle = if protocol == Protocol::Http && !fresh { instance.idle_connection() } else { None };
    match idle {
        Some(connection) => Ok(connection),
        None => instance.connect(limits.connect_timeout).await,
    }
}

enum WaitError {
    Client(BodyError),
    Answer(AnswerError),
    Timeout,
}

/// Reads the head while the body is still being sent. The time limit starts when the request is complete.
async fn wait_for_answer(
    source: &mut Source<UpstreamReader>,
    upload: &mut Option<Uploading<'_>>,
    sent_writer: &mut Option<UpstreamWriter>,
    upgrade: bool,
    limits: &RouteLimits,
    interim: &Interim,
) -> Result<ResponseHead, WaitError> {
    let mut answer = pin!(read_answer(source, upgrade, interim));
    while let Some(uploading) = upload.as_mut() {
        tokio::select! {
            biased;
            (writer, result) = uploading => {
                *upload = None;
                match result {
                    Ok(()) => *sent_writer = Some(writer),
                    Err(UploadError::Client(error)) => return Err(WaitError::Client(error)),
                    // The answer may already be on its way: an instance that refuses a body closes its side.
                    Err(UploadError::Upstream) => {}
                }
            }
            // An early answer: the upload goes on beside it.
            answer = &mut answer => return answer.map_err(WaitError::Answer),
        }
    }
    let answer = tokio::time::timeout(limits.response_timeout, answer).await;
    answer.map_err(|_| WaitError::Timeout)?.map_err(WaitError::Answer)
}

/// Sends head and body, and gives the writer back.
async fn send(
    mut writer: UpstreamWriter,
    head: Bytes,
    payload: Payload<'_, '_>,
    chunked: bool,
) -> (UpstreamWriter, Result<(), UploadError>) {
    let result = send_all(&mut writer, head, payload, chunked).await;
    (writer, result)
}

async fn send_all(
    writer: &mut UpstreamWriter,
    head: Bytes,
    mut payload: Payload<'_, '_>,
    chunked: bool,
) -> Result<(), UploadError> {
    let upstream = |_: io::Error| UploadError::Upstream;
    let mut reader = match &payload {
        Payload::Spooled(spool) => Some(spool.reader()),
        _ => None,
    };
    let mut pending = head;
    loop {
        let piece = match (&mut payload, reader.as_mut()) {
            (_, Some(reader)) => reader.next().await.map_err(upstream)?,
            (Payload::Streamed(body), None) => {
                if !pending.is_empty() {
                    // The head must not wait for a body that may take its time.
                    writer.write_all(&std::mem::take(&mut pending)).await.map_err(upstream)?;
                }
                body.next().await.map_err(UploadError::Client)?
            }
            _ => None,
        };
        match piece {
            Some(piece) if chunked => {
                let size = Bytes::from(format!("{:x}\r\n", piece.len()));
                let mut framed = std::mem::take(&mut pending).chain(size).chain(piece).chain(&b"\r\n"[..]);
                writer.write_all_buf(&mut framed).await.map_err(upstream)?;
            }
            Some(piece) => {
                let mut framed = std::mem::take(&mut pending).chain(piece);
                writer.write_all_buf(&mut framed).await.map_err(upstream)?;
            }
            None => {
                let mut rest = BytesMut::from(&std::mem::take(&mut pending)[..]);
                if chunked {
                    rest.extend_from_slice(b"0\r\n");
                    if let Payload::Streamed(body) = &mut payload {
                        for field in body.take_trailers().iter() {
                            rest.extend_from_slice(
                                &[&field.name, &b": "[..], &field.value, b"\r\n"].concat(),
                            );
                        }
                    }
                    rest.extend_from_slice(b"\r\n");
                }
                return writer.write_all_buf(&mut rest).await.map_err(upstream);
            }
        }
    }
}

impl std::fmt::Debug for Answer<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Answer")
            .field("head", &self.head)
            .field("decoder", &self.decoder)
            .finish_non_exhaustive()
    }
}
