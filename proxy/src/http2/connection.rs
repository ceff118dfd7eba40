//! Serving an HTTP/2 connection: each stream is a task of its own.
//!
//! The framing layer is the `h2` crate, started with the bounded options that pingora
//! maintains (header list, concurrent streams) and ours on top. The two halves of a
//! stream stay apart, so that an upload and an early answer can pass each other.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use h2::RecvStream;
use h2::server::{Connection, SendResponse};
use pingora_core::protocols::http::v2::server::default_h2_options;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::bans::Met;
use crate::config::ServerLimits;
use crate::conn::{Conn, ConnectionInfo, Lender, LentConn};
use crate::context::Context;
use crate::downstream::{BodyStream, RequestBody, ResponseSink, SinkStream};
use crate::drain::Drain;
use crate::exchange::serve;
use crate::headers::Headers;
use crate::http1::refused::RefusedRequest;
use crate::http2::request::{convert, refused_request};
use crate::http2::sink::Http2Sink;
use crate::refusal::{refuse, refuse_unseen};
use crate::request::Request;

/// Requests that are malformed before the connection is given up.
const MAX_REFUSED: usize = 32;
/// Streams that the client gave up before the connection is, if most of its streams were.
const MAX_GIVEN_UP: usize = 128;
/// Requests served on one connection.
const MAX_REQUESTS: usize = 10_000;

/// Bytes read before the streams that they opened have a turn: a head of header fields that are named by index takes a
/// hundred times as much memory until its stream has looked at it.
const BYTES_PER_TURN: usize = 16 * 1024;

/// Time an idle client has to confirm that no more requests are taken.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Serves a connection to its end.
pub async fn serve_connection(
    context: Arc<Context>,
    info: Arc<ConnectionInfo>,
    conn: Conn,
    drain: &mut Drain,
) {
    let limits = &context.config.limits;
    let mut options = default_h2_options();
    options
        .max_concurrent_streams(limits.max_streams)
        .max_header_list_size(u32::try_from(limits.max_head).unwrap_or(u32::MAX))
        .initial_window_size(256 * 1024)
        .initial_connection_window_size(1024 * 1024)
        // Per stream: a hundred streams that nobody reads must stay far below 16 MiB, and a piece may lie in an allocation
        // of twice its length.
        .max_send_buffer_size(32 * 1024)
        .max_concurrent_reset_streams(64)
        .max_pending_accept_reset_streams(64)
        .max_local_error_reset_streams(Some(256));
    let lender = Arc::new(Lender::default());
    let lent = LentConn::new(conn, lender.clone());
    let Ok(Ok(mut connection)) = timeout(limits.handshake_timeout, options.handshake::<_, Bytes>(lent)).await
    else {
        return;
    };
    let misuse = Arc::new(Misuse::default());
    let finished = Arc::new(Notify::new());
    let mut streams = JoinSet::new();
    let mut accepted = 0;
    let mut closing = false;
    let mut passed = false;
    let is_banned = || context.bans.turns_away(info.client.ip(), Met::Request, SystemTime::now());
    loop {
        let next = tokio::select! {
            next = after_streams(&mut connection, &lender, &mut passed) => next,
            _ = drain.begun(), if !closing => {
                connection.graceful_shutdown();
                closing = true;
                continue;
            }
            () = idle(&mut streams, if closing { LAST_WORDS } else { limits.keep_alive_timeout }) => {
                if closing {
                    // The client neither closes nor confirms that it saw the end coming.
                    break;
                }
                connection.graceful_shutdown();
                closing = true;
                continue;
            }
            malformed = lender.malformed() => {
                misuse.refused.fetch_add(malformed, Ordering::Relaxed);
                refuse_unseen(&context, &info, malformed);
                if misuse.is_too_much(accepted) || is_banned() {
                    connection.abrupt_shutdown(h2::Reason::ENHANCE_YOUR_CALM);
                    break;
                }
                continue;
            }
            () = finished.notified() => {
                while streams.try_join_next().is_some() {}
                continue;
            }
        };
        let Some(Ok((request, respond))) = next else { break };
        accepted += 1;
        if accepted == MAX_REQUESTS && !closing {
            connection.graceful_shutdown();
            closing = true;
        }
        if misuse.is_too_much(accepted) || is_banned() {
            connection.abrupt_shutdown(h2::Reason::ENHANCE_YOUR_CALM);
            break;
        }
        let arrived = Arrived::new(request, &info, limits);
        let (context, info) = (context.clone(), info.clone());
        let (misuse, finished) = (misuse.clone(), finished.clone());
        // A task copies its future about, so it gets a small one.
        streams.spawn(Box::pin(async move {
            serve_stream(&context, &info, arrived, respond, &misuse).await;
            finished.notify_one();
        }));
    }
    finish(connection, streams, &lender).await;
}

/// What a client did on one connection that costs us more than it.
#[derive(Debug, Default)]
struct Misuse {
    refused: AtomicUsize,
    given_up: AtomicUsize,
}

impl Misuse {
    fn is_too_much(&self, accepted: usize) -> bool {
        let given_up = self.given_up.load(Ordering::Relaxed);
        self.refused.load(Ordering::Relaxed) >= MAX_REFUSED
            || (given_up >= MAX_GIVEN_UP && given_up * 2 > accepted)
    }
}

/// The next request. Whenever something woke the connection, streams that can go on do so first: what they have to
/// send then leaves in one write instead of one for each. `passed` says whether that happened since the last wait.
async fn after_streams(
    connection: &mut Connection<LentConn, Bytes>,
    lender: &Lender,
    passed: &mut bool,
) -> Option<Result<(http::Request<RecvStream>, SendResponse<Bytes>), h2::Error>> {
    std::future::poll_fn(|context| {
        if !*passed {
            *passed = true;
            lender.allow(BYTES_PER_TURN);
            // A task that wakes itself goes behind all that are ready.
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let next = connection.poll_accept(context);
        *passed = next.is_ready();
        if !*passed && lender.is_used_up() {
            context.waker().wake_by_ref();
        }
        next
    })
    .await
}

/// Waits until no stream was open for the whole time.
async fn idle(streams: &mut JoinSet<()>, patience: Duration) {
    while streams.join_next().await.is_some() {}
    tokio::time::sleep(patience).await;
}

/// Lets the streams that are under way write to the end, as far as the connection still carries them.
async fn finish(mut connection: Connection<LentConn, Bytes>, mut streams: JoinSet<()>, lender: &Lender) {
    lender.allow(usize::MAX);
    let all = async { while streams.join_next().await.is_some() {} };
    tokio::select! {
        _ = std::future::poll_fn(|context| connection.poll_closed(context)) => {}
        () = all => {}
    }
    let closed = std::future::poll_fn(|context| connection.poll_closed(context));
    if timeout(Duration::from_secs(1), closed).await.is_err() {
        // The client does not take what is written: the kernel must not keep it for him.
        lender.reset();
    }
}

/// A stream whose head was looked at. That happens before the next one is taken: a head of many crumbs is several times as
/// large as what it is made into.
struct Arrived {
    request: Result<Request, RefusedRequest>,
    is_head: bool,
    stream: RecvStream,
}

impl Arrived {
    fn new(request: http::Request<RecvStream>, info: &ConnectionInfo, limits: &ServerLimits) -> Self {
        let (parts, stream) = request.into_parts();
        let request = convert(&parts, stream.is_end_stream(), info.scheme, limits.max_fields)
            .map_err(|refusal| refused_request(refusal, &parts, limits.max_fields));
        Self { request, is_head: parts.method == http::Method::HEAD, stream }
    }
}

async fn serve_stream(
    context: &Arc<Context>,
    info: &ConnectionInfo,
    arrived: Arrived,
    respond: SendResponse<Bytes>,
    misuse: &Misuse,
) {
    let limits = &context.config.limits;
    let Arrived { request, is_head, stream } = arrived;
    let mut sink = ResponseSink::new(SinkStream::Http2(Http2Sink::new(respond, is_head, limits)));
    match request {
        Ok(request) => {
            let mut body = RequestBody::new(BodyStream::Http2(stream, Headers::default()), limits);
            serve(context, info, &request, &mut body, &mut sink).await;
            if sink.was_given_up() {
                misuse.given_up.fetch_add(1, Ordering::Relaxed);
            }
        }
        Err(refused) => {
            misuse.refused.fetch_add(1, Ordering::Relaxed);
            refuse(context, info, refused, &mut sink).await;
        }
    }
}
