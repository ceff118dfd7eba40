//! HTTP/2 towards an instance (RFC 9113): shared connections, requests as streams, answers with trailers.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::client::{Builder, ResponseFuture, SendRequest};
use h2::{RecvStream, SendStream};
use tokio::sync::MutexGuard;

use crate::downstream::ResponseLength;
use crate::headers::Headers;
use crate::http1::field::FieldError;
use crate::http1::framing::{BodyLength, content_length};
use crate::http1::response::{ResponseError, ResponseHead};
use crate::http1::source::BodyError;
use crate::http1::target::forwardable;
use crate::upstream::connection::UpstreamStream;
use crate::upstream::http::{AnswerError, ForwardedRequest, Interim, MAX_INTERIM};

/// Most connections to one instance.
const MAX_SESSIONS: usize = 8;
/// Most streams that one connection is given, whatever the instance allows, as long as there may be others.
const MAX_STREAMS: usize = 64;
/// Bytes of a stream that an instance may send before its client takes them.
const STREAM_WINDOW: u32 = 256 * 1024;
/// The same of all streams of a connection: as much as all of its streams may, so that none waits for the clients of others.
/// An instance whose clients are all slow can fill 128 MiB.
const CONNECTION_WINDOW: u32 = STREAM_WINDOW * MAX_STREAMS as u32;
/// How long a connection counts as one that was opened just now.
const FRESH: Duration = Duration::from_secs(1);
/// How long another request's connection is waited for.
const TURN: Duration = Duration::from_millis(250);
/// Largest head, and largest trailers, in bytes.
const MAX_HEAD: u32 = 64 * 1024;
/// Most fields of a head or of trailers.
const MAX_FIELDS: usize = 256;

/// The HTTP/2 connections to one instance.
#[derive(Debug, Default)]
pub struct Http2Sessions {
    all: Mutex<Vec<Arc<Session>>>,
    /// Held by whoever opens one, so that others wait for room on it instead of opening their own.
    opening: tokio::sync::Mutex<()>,
    /// Whether the instance chose HTTP/1.1 the last time.
    declined: AtomicBool,
}

#[derive(Debug)]
struct Session {
    sender: SendRequest<Bytes>,
    /// Of the requests on it: its transport's, not that which the client used.
    scheme: &'static str,
    streams: AtomicUsize,
    closed: Arc<AtomicBool>,
    opened: Instant,
    used: Mutex<Instant>,
}

/// Room for one stream; given back when dropped.
#[derive(Debug)]
pub struct Http2Slot {
    session: Arc<Session>,
    /// Whether the connection was there before, so that it may have ended unnoticed.
    pub reused: bool,
}

/// A request that HTTP/2 has no way to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the request cannot be sent over HTTP/2")]
pub struct Unsendable;

impl Drop for Http2Slot {
    fn drop(&mut self) {
        self.session.streams.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Http2Sessions {
    /// Room on a connection that is open, if wanted one that was opened just now; the fullest one that has some, so that
    /// others become idle.
    pub fn take(&self, fresh: bool) -> Option<Http2Slot> {
        let mut sessions = self.lock();
        if sessions.is_empty() {
            return None;
        }
        sessions.retain(|session| !session.closed.load(Ordering::Relaxed));
        let has_room = |session: &&Arc<Session>| {
            let most = session.sender.current_max_send_streams().clamp(1, MAX_STREAMS);
            session.streams.load(Ordering::Relaxed) < most && (!fresh || session.opened.elapsed() < FRESH)
        };
        let streams = |session: &&Arc<Session>| session.streams.load(Ordering::Relaxed);
        let roomy = sessions.iter().filter(has_room).max_by_key(streams);
        // Beyond the most connections, streams wait for their turn on the emptiest one.
        let full =
            || sessions.iter().min_by_key(streams).filter(|_| !fresh && sessions.len() >= MAX_SESSIONS);
        roomy.or_else(full).map(|session| slot(session, true))
    }

    /// Waits a moment until nobody else opens a connection. None where each request needs one of its own anyway, or where
    /// that takes long: one connection that cannot be made must not keep others from being tried.
    pub async fn turn(&self) -> Option<MutexGuard<'_, ()>> {
        if self.declined.load(Ordering::Relaxed) {
            return None;
        }
        let turn = tokio::time::timeout(TURN, self.opening.lock()).await.ok()?;
        // Whoever came before may have found out.
        (!self.declined.load(Ordering::Relaxed)).then_some(turn)
    }

    /// Notes whether the instance speaks HTTP/2.
    pub fn is_spoken(&self, http2: bool) {
        self.declined.store(!http2, Ordering::Relaxed);
    }

    /// Makes a connection out of a stream, and room on it.
    pub async fn open(&self, stream: UpstreamStream) -> io::Result<Http2Slot> {
        let slot = Self::alone(stream).await?;
        self.lock().push(slot.session.clone());
        Ok(slot)
    }

    /// The same with a connection that nobody shares; it ends with its only stream.
    pub async fn alone(stream: UpstreamStream) -> io::Result<Http2Slot> {
        let scheme = if matches!(stream, UpstreamStream::Tls(_)) { "https" } else { "http" };
        let (sender, connection) = Builder::new()
            .enable_push(false)
            .max_header_list_size(MAX_HEAD)
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_send_buffer_size(256 * 1024)
            .max_concurrent_reset_streams(64)
            .handshake(stream)
            .await
            .map_err(io::Error::other)?;
        let closed = Arc::new(AtomicBool::new(false));
        let ended = closed.clone();
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "HTTP/2 connection to a back end");
            }
            ended.store(true, Ordering::Relaxed);
        });
        let now = Instant::now();
        let (streams, used) = (AtomicUsize::new(0), Mutex::new(now));
        let session = Arc::new(Session { sender, scheme, streams, closed, opened: now, used });
        Ok(slot(&session, false))
    }

    /// Gives up connections that were idle for too long.
    pub fn sweep(&self, patience: Duration) {
        self.lock().retain(|session| {
            let used = *session.used.lock().unwrap_or_else(PoisonError::into_inner);
            let busy = session.streams.load(Ordering::Relaxed) > 0;
            !session.closed.load(Ordering::Relaxed) && (busy || used.elapsed() < patience)
        });
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Session>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn slot(session: &Arc<Session>, reused: bool) -> Http2Slot {
    session.streams.fetch_add(1, Ordering::Relaxed);
    *session.used.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    Http2Slot { session: session.clone(), reused }
}

impl Http2Slot {
    /// The scheme of requests on it. Servers may check that it is the connection's (RFC 9113 section 8.3.1), and some do.
    pub fn scheme(&self) -> &'static str {
        self.session.scheme
    }

    /// Gives its connection no more streams: it may be dead. Those under way go on.
    pub fn retire(&self) {
        self.session.closed.store(true, Ordering::Relaxed);
    }

    /// Sends the head. The stream for the body, and the answer to come.
    ///
    /// # Errors
    /// The connection has ended, or the instance wants no further streams on it (GOAWAY): nothing was sent.
    pub async fn send(
        &self,
        head: http::Request<()>,
        ended: bool,
    ) -> Result<(SendStream<Bytes>, ResponseFuture), AnswerError> {
        let sent = async {
            let mut sender = self.session.sender.clone().ready().await?;
            sender.send_request(head, ended)
        };
        match sent.await {
            Ok((answer, body)) => Ok((body, answer)),
            Err(error) => {
                // Whatever it is, no stream can be opened: the connection is of no use any more.
                self.retire();
                Err(error.into())
            }
        }
    }
}

/// The request as HTTP/2: pseudo header fields, names in lower case, no framing.
pub fn head(request: &ForwardedRequest, scheme: &'static str) -> Result<http::Request<()>, Unsendable> {
    let host = request.headers.get("host").map_or(&b""[..], |host| host);
    let uri = http::Uri::builder()
        .scheme(scheme)
        .authority(host)
        .path_and_query(&*forwardable(&request.path_and_query))
        .build()
        .map_err(|_| Unsendable)?;
    let mut head =
        http::Request::builder().method(&request.method[..]).uri(uri).version(http::Version::HTTP_2);
    for field in request.headers.iter().filter(|field| !crate::headers::is_name(&field.name, "host")) {
        head = head.header(&field.name[..], &field.value[..]);
    }
    if let BodyLength::Known(length) = request.body {
        head = head.header("content-length", length);
    }
    head.body(()).map_err(|_| Unsendable)
}

/// Waits for the answer. Interim ones (1xx) before it are put aside, except `100 Continue`, which is ours to say.
pub async fn read_answer(
    mut answer: ResponseFuture,
    interim: &Interim,
) -> Result<http::Response<RecvStream>, AnswerError> {
    let mut came = 0;
    std::future::poll_fn(|context| {
        while let Poll::Ready(Some(response)) = answer.poll_informational(context) {
            let (parts, ()) = response?.into_parts();
            let status = parts.status.as_u16();
            came += 1;
            if came > MAX_INTERIM || status == 101 {
                return Poll::Ready(Err(AnswerError::Interim(status)));
            }
            if status > 101 {
                let mut head = ResponseHead::new(status);
                head.headers = fields(&parts.headers).map_err(ResponseError::Field)?;
                interim.push(head);
            }
        }
        Pin::new(&mut answer).poll(context).map_err(AnswerError::from)
    })
    .await
}

/// The answer's head and the stream of its body.
pub fn answer(
    response: http::Response<RecvStream>,
    head_request: bool,
) -> Result<(ResponseHead, ResponseLength, RecvStream), ResponseError> {
    let (parts, stream) = response.into_parts();
    let mut head = ResponseHead::new(parts.status.as_u16());
    head.headers = fields(&parts.headers).map_err(ResponseError::Field)?;
    let length = content_length(&head.headers).map_err(|_| ResponseError::Length)?;
    let length = match length {
        _ if head_request || head.is_bodiless() => ResponseLength::Known(0),
        // Trailers may follow: a stream that ended has none and no body either.
        _ if stream.is_end_stream() => ResponseLength::Known(0),
        Some(length) => ResponseLength::Known(length),
        None => ResponseLength::Unknown,
    };
    Ok((head, length, stream))
}

/// The next piece of a body, `None` at its end.
pub async fn body(stream: &mut RecvStream) -> Result<Option<Bytes>, BodyError> {
    loop {
        let Some(piece) = stream.data().await.transpose()? else { return Ok(None) };
        stream.flow_control().release_capacity(piece.len())?;
        if !piece.is_empty() {
            return Ok(Some(piece));
        }
    }
}

/// The trailers after the body.
pub async fn trailers(stream: &mut RecvStream) -> Result<Option<Headers>, BodyError> {
    let Some(trailers) = stream.trailers().await? else { return Ok(None) };
    let invalid = |error: FieldError| io::Error::new(io::ErrorKind::InvalidData, error);
    Ok(Some(fields(&trailers).map_err(invalid)?))
}

fn fields(map: &http::HeaderMap) -> Result<Headers, FieldError> {
    if map.len() > MAX_FIELDS {
        return Err(FieldError::TooMany);
    }
    let mut headers = Headers::with_capacity(map.len() + 4);
    for (name, value) in map {
        crate::http1::field::check_value(value.as_bytes())?;
        headers
            .push(Bytes::copy_from_slice(name.as_str().as_bytes()), Bytes::copy_from_slice(value.as_bytes()));
    }
    Ok(headers)
}
