//! Getting an answer from a route's instances: choosing, connecting, sending, trying again when that is safe.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use h2::SendStream;
use h2::client::ResponseFuture;
use rustix::io::Errno;

use crate::http1::body::BodyDecoder;
use crate::http1::framing::BodyLength;
use crate::http1::source::HeadError;
use crate::route::RouteLimits;
use crate::upstream::affinity::Affinity;
use crate::upstream::answer::{Answer, AnswerBody, Home};
use crate::upstream::balancer::{Balancer, Choice};
use crate::upstream::cgi::Script;
use crate::upstream::connection::{UpstreamConnection, UpstreamWriter};
use crate::upstream::fastcgi::{self, Reply, put_stdin};
use crate::upstream::http::{AnswerError, ForwardedRequest, Interim, read_answer};
use crate::upstream::http2::{self, Http2Slot};
use crate::upstream::instance::{Connected, Instance, Wire};
use crate::upstream::upload::{
    Framing, Payload, PayloadError, UploadError, Uploading, send, send_head, send_stream,
};
use crate::upstream::uwsgi;

/// Everything about a request that decides where and how it is sent.
#[derive(Debug)]
pub struct Dispatch<'d> {
    /// The instances.
    pub balancer: &'d Balancer,
    /// The head.
    pub request: &'d ForwardedRequest,
    /// The file that answers it, for FastCGI.
    pub script: Option<&'d Script>,
    /// What ties it to an instance.
    pub affinity: Affinity,
    /// Whether it may be sent again after it was sent once (RFC 9110 section 9.2.1).
    pub safe: bool,
    /// Deadlines.
    pub limits: &'d RouteLimits,
    /// Where interim answers are put.
    pub interim: &'d Interim,
}

/// Why there is no usable answer.
#[derive(Debug, thiserror::Error)]
pub enum AttemptError {
    /// No instance could be reached; nothing was sent.
    #[error("cannot connect to {endpoint}: {source}")]
    Connect {
        /// The last one tried.
        endpoint: String,
        /// Why.
        source: io::Error,
    },
    /// All instances are set aside after failures; nothing was sent.
    #[error("all instances are set aside after failures")]
    Open(Duration),
    /// All instances have as many requests as they may have; nothing was sent.
    #[error("all instances are busy")]
    Busy,
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
    /// There is no more of the request's body: no instance is to blame.
    #[error(transparent)]
    Payload(PayloadError),
    /// The target is too long once it is escaped.
    #[error("the request target is too long for the back end")]
    TargetTooLong,
    /// The instance speaks HTTP/2, which has no way to say this.
    #[error(transparent)]
    Unsendable(#[from] http2::Unsendable),
    /// The head does not fit into a uwsgi packet.
    #[error(transparent)]
    TooLarge(#[from] uwsgi::PacketTooLarge),
    /// The head does not fit into FastCGI parameters.
    #[error(transparent)]
    ParametersTooLarge(#[from] fastcgi::ParametersTooLarge),
}

impl AttemptError {
    /// Whether no instance was there to take the request: waiting may help, and the request can be sent anew.
    pub const fn is_unreachable(&self) -> bool {
        matches!(self, Self::Connect { .. } | Self::Open(_))
    }
}

/// Why an instance gave no answer.
enum Failed {
    Payload(PayloadError),
    /// The request is at fault, whatever the instance.
    Unsendable(AttemptError),
    Answer(AnswerError),
    Timeout,
}

impl<E: Into<AnswerError>> From<E> for Failed {
    fn from(error: E) -> Self {
        Self::Answer(error.into())
    }
}

/// Sends the request and waits for the response head.
pub async fn attempt<'u>(
    dispatch: &Dispatch<'_>,
    mut payload: Payload<'u, '_>,
) -> Result<Answer<'u>, AttemptError> {
    let Dispatch { balancer, request, limits, .. } = dispatch;
    if !request.has_fitting_target() {
        return Err(AttemptError::TargetTooLong);
    }
    let pool = balancer.pool();
    let mut tries = Tries::default();
    loop {
        let last_try = tries.instances.len() >= pool.retries;
        let instance = match balancer.choose(&tries.instances, &dispatch.affinity, request.client) {
            Choice::Instance(instance) => instance.clone(),
            Choice::Busy => return Err(AttemptError::Busy),
            Choice::Open(pause) => return Err(AttemptError::Open(pause)),
        };
        let trial = instance.trial(request.client);
        if trial.is_none() && instance.open_for(request.client, &pool.breaker).is_some() {
            // Another request was faster to try it.
            continue;
        }
        let Some(active) = instance.begin(pool.max_connections) else {
            // Another request was faster to take its last place.
            continue;
        };
        let waiting = instance.wait();
        let fresh = !tries.instances.is_empty();
        let connected = instance.connect(fresh, request.websocket, limits.connect_timeout).await;
        let endpoint = || instance.endpoint().to_string();
        let connected = match connected {
            Ok(connected) => connected,
            Err(source) => {
                tries.unreached(&instance, balancer, &source);
                let waited = matches!(source.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock);
                let hopeless = balancer.instances().nth(1).is_none() && waited;
                if last_try || hopeless {
                    if is_full(&source) {
                        return Err(AttemptError::Busy);
                    }
                    return Err(AttemptError::Connect { endpoint: endpoint(), source });
                }
                continue;
            }
        };
        let begun = match begin(connected, &payload, dispatch).await {
            Ok(begun) => begun,
            Err(NotBegun::Unsendable(error)) => return Err(error),
            Err(NotBegun::Late) => {
                tries.unanswered(&instance, dispatch);
                return Err(AttemptError::Timeout(endpoint()));
            }
            // Nothing was sent, so that it can be sent over another connection, whatever it is. This one is used no more.
            Err(NotBegun::Ended { reused: true, .. }) => continue,
            Err(NotBegun::Ended { source, .. }) if last_try => {
                return Err(AttemptError::Answer { endpoint: endpoint(), source });
            }
            Err(NotBegun::Ended { .. }) => {
                tries.instances.push(instance);
                continue;
            }
        };
        let replayable = !matches!(payload, Payload::Streamed(_));
        let body = match &mut payload {
            Payload::Empty => Payload::Empty,
            Payload::Spooled(spool) => Payload::Spooled(spool.clone()),
            // A streamed body is sent once; there is no second try after this.
            streamed => std::mem::replace(streamed, Payload::Empty),
        };
        let max_idle = (pool.max_idle, pool.max_idle_time);
        let home = Home { instance: instance.clone(), reusable: true, max_idle, active: Some(active) };
        let reused = begun.is_reused();
        // A process is there already where a connection is used again.
        let _waiting = waiting.filter(|_| !reused);
        tries.sent += 1;
        match over(begun, body, dispatch, home).await {
            Ok(answer) => {
                instance.succeeded();
                return Ok(answer);
            }
            Err(Failed::Payload(error)) => return Err(AttemptError::Payload(error)),
            Err(Failed::Unsendable(error)) => return Err(error),
            Err(Failed::Timeout) => {
                tries.unanswered(&instance, dispatch);
                return Err(AttemptError::Timeout(endpoint()));
            }
            Err(Failed::Answer(source)) => {
                // What ended two connections that were meant for it alone will end a third one: a request that kills
                // whoever takes it must not get round.
                let lost = dispatch.safe && may_be_lost(&source) && (reused || tries.sent == 1);
                let again = replayable && !last_try && (was_refused(&source) || lost);
                if !(again && reused) {
                    tries.unanswered(&instance, dispatch);
                }
                if !again {
                    return Err(AttemptError::Answer { endpoint: endpoint(), source });
                }
                tries.instances.push(instance);
            }
        }
    }
}

/// What was tried for one request, and what of it was counted.
#[derive(Debug, Default)]
struct Tries {
    instances: Vec<Arc<Instance>>,
    /// How often the request was sent.
    sent: usize,
    /// Whether a missing answer was counted.
    counted: bool,
}

impl Tries {
    /// Notes that an instance could not be connected to: once for each instance.
    fn unreached(&mut self, instance: &Arc<Instance>, balancer: &Balancer, error: &io::Error) {
        let again = self.instances.iter().any(|tried| Arc::ptr_eq(tried, instance));
        if !again && !is_our_own(error) && !is_full(error) {
            instance.unreached(&balancer.pool().breaker);
        }
        self.instances.push(instance.clone());
    }

    /// Notes that an instance took the request and gave no proper answer: once for all instances, since the request
    /// itself may be to blame.
    fn unanswered(&mut self, instance: &Arc<Instance>, dispatch: &Dispatch<'_>) {
        let Dispatch { balancer, request, .. } = dispatch;
        if !self.counted {
            self.counted = true;
            let has_others = balancer.has_another(instance);
            instance.unanswered(request.client, has_others, &balancer.pool().breaker);
        }
    }
}

/// Whether a connection failed for want of something on this side: no instance can help that.
fn is_our_own(error: &io::Error) -> bool {
    let wants = [Errno::MFILE, Errno::NFILE, Errno::ADDRNOTAVAIL, Errno::NOBUFS, Errno::NOMEM];
    wants.iter().any(|want| error.raw_os_error() == Some(want.raw_os_error()))
}

/// Whether the instance is there and its queue is full: it has much to do, and whoever asks may be the reason.
fn is_full(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
}

/// Whether the instance said that it did not look at the request (RFC 9113 section 8.7): by refusing its stream, or by a last
/// stream before it, for only such streams end with what a GOAWAY says.
fn was_refused(error: &AnswerError) -> bool {
    matches!(error, AnswerError::Http2(error) if error.is_remote()
        && (error.is_go_away() || error.reason() == Some(h2::Reason::REFUSED_STREAM)))
}

/// Whether the connection ended without a byte of an answer.
fn may_be_lost(error: &AnswerError) -> bool {
    match error {
        AnswerError::Http2(error) => error.is_io(),
        error => error.is_silence(),
    }
}

/// A request that can be sent, or that has begun.
enum Begun {
    /// On a connection of its own.
    Stream(Box<UpstreamConnection>),
    /// With its head sent, as a stream of an HTTP/2 connection.
    Http2(Http2Slot, SendStream<Bytes>, ResponseFuture),
}

/// Why nothing was sent.
enum NotBegun {
    /// The request is at fault, whatever the instance.
    Unsendable(AttemptError),
    /// The connection took nothing for too long.
    Late,
    /// The connection takes no more; whether it had served others.
    Ended { source: AnswerError, reused: bool },
}

impl Begun {
    /// Whether the connection was there before this request, so that it may have ended unnoticed.
    const fn is_reused(&self) -> bool {
        match self {
            Self::Stream(connection) => connection.reused,
            Self::Http2(slot, ..) => slot.reused,
        }
    }
}

/// Opens a stream where the connection has some. Until then nothing of the payload is taken.
async fn begin(
    connected: Connected,
    payload: &Payload<'_, '_>,
    dispatch: &Dispatch<'_>,
) -> Result<Begun, NotBegun> {
    let Dispatch { request, limits, .. } = dispatch;
    let slot = match connected {
        Connected::Stream(connection) => return Ok(Begun::Stream(connection)),
        Connected::Http2(slot) => slot,
    };
    let head = http2::head(request, slot.scheme()).map_err(|error| NotBegun::Unsendable(error.into()))?;
    let sending =
        tokio::time::timeout(limits.write_timeout, slot.send(head, matches!(payload, Payload::Empty)));
    let ended = |source| NotBegun::Ended { source, reused: slot.reused };
    let (body, answer) = sending.await.map_err(|_| NotBegun::Late)?.map_err(ended)?;
    Ok(Begun::Http2(slot, body, answer))
}

/// A request and its answer.
async fn over<'u>(
    begun: Begun,
    payload: Payload<'u, '_>,
    dispatch: &Dispatch<'_>,
    home: Home,
) -> Result<Answer<'u>, Failed> {
    match begun {
        Begun::Stream(connection) => {
            // Anew for each try: it is as large as the client's own, and nothing to keep while the answer takes its time.
            let head = written_head(dispatch, home.instance.wire()).map_err(Failed::Unsendable)?;
            over_stream(*connection, head, payload, dispatch, home).await
        }
        Begun::Http2(slot, body, answer) => over_http2((slot, body, answer), payload, dispatch, home).await,
    }
}

/// The head as the connection's protocol has it.
fn written_head(dispatch: &Dispatch<'_>, wire: Wire) -> Result<Bytes, AttemptError> {
    Ok(match wire {
        Wire::Uwsgi => uwsgi::packet(dispatch.request)?.freeze(),
        Wire::FastCgi => fastcgi::head(dispatch.request, dispatch.script)?.freeze(),
        Wire::Http1 | Wire::H2c | Wire::Tls(_) => dispatch.request.to_http1().freeze(),
    })
}

/// A request and its answer over a connection of their own.
async fn over_stream<'u>(
    connection: UpstreamConnection,
    head: Bytes,
    payload: Payload<'u, '_>,
    dispatch: &Dispatch<'_>,
    home: Home,
) -> Result<Answer<'u>, Failed> {
    let Dispatch { request, limits, interim, .. } = dispatch;
    let UpstreamConnection { mut source, writer, .. } = connection;
    let wire = home.instance.wire();
    let framing = match (wire, request.body) {
        (Wire::FastCgi, _) => Framing::FastCgi,
        (Wire::H2c | Wire::Http1 | Wire::Tls(_), BodyLength::Streamed) => Framing::Chunked,
        (_, BodyLength::Known(length)) => Framing::Plain(length),
        (_, BodyLength::Empty | BodyLength::Streamed) => Framing::Plain(0),
    };
    let (mut upload, mut sent): (Option<Uploading<'u>>, _) = (None, None);
    if !matches!(payload, Payload::Empty) {
        upload = Some(Box::pin(send(writer, head, payload, framing, limits.write_timeout)));
    } else if framing == Framing::FastCgi {
        let mut whole = bytes::BytesMut::from(head);
        put_stdin(&mut whole, 0);
        sent = send_head(writer, &whole, limits.write_timeout).await;
    } else {
        sent = send_head(writer, &head, limits.write_timeout).await;
        drop(head);
    }
    let head_request = &request.method[..] == b"HEAD";
    if wire == Wire::FastCgi {
        let mut reply = Reply::new(head_request);
        let read = wait(reply.head(&mut source), &mut upload, &mut sent, limits).await;
        log_errors(&home, &mut reply);
        let (head, length) = read?;
        let body = AnswerBody::FastCgi { source, reply };
        let answer = Answer::new(head, length, body, home, limits.read_timeout);
        return Ok(Answer { writer: sent, upload, ..answer });
    }
    let head =
        wait(read_answer(&mut source, request.websocket, interim), &mut upload, &mut sent, limits).await?;
    let decoder = if head.status == 101 { BodyDecoder::Done } else { head.body(head_request)? };
    let length = length_of(&decoder);
    let exact = wire == Wire::Uwsgi;
    let home = Home { reusable: !exact && head.allows_reuse(), ..home };
    let body = AnswerBody::Http1 { source, decoder, exact };
    Ok(Answer { writer: sent, upload, ..Answer::new(head, length, body, home, limits.read_timeout) })
}

/// A request and its answer as one stream of an HTTP/2 connection.
async fn over_http2<'u>(
    (slot, body, answer): (Http2Slot, SendStream<Bytes>, ResponseFuture),
    payload: Payload<'u, '_>,
    dispatch: &Dispatch<'_>,
    home: Home,
) -> Result<Answer<'u>, Failed> {
    let Dispatch { request, limits, interim, .. } = dispatch;
    if let Payload::Streamed(body) = &payload
        && request.headers.is_grpc()
        && let Some(conversation) = &body.conversation
    {
        // Many servers send the head of an answer only with the first message, and that may be long in coming.
        conversation.passed();
    }
    let mut upload: Option<Uploading<'u>> = match payload {
        Payload::Empty => None,
        payload => Some(Box::pin(send_stream(body, payload, limits.write_timeout))),
    };
    let mut sent = None;
    let answer = http2::read_answer(answer, interim);
    let response = wait(answer, &mut upload, &mut sent, limits).await;
    if matches!(response, Err(Failed::Timeout)) {
        // It may be the connection that is dead: others must not wait on it, too.
        slot.retire();
    }
    let response = response?;
    let (head, length, stream) = http2::answer(response, &request.method[..] == b"HEAD")?;
    let body = AnswerBody::Http2 { stream, trailers: None, _slot: slot };
    Ok(Answer { upload, ..Answer::new(head, length, body, home, limits.read_timeout) })
}

fn length_of(decoder: &BodyDecoder) -> crate::downstream::ResponseLength {
    use crate::downstream::ResponseLength;
    match decoder {
        BodyDecoder::Done | BodyDecoder::Trailed(_) => ResponseLength::Known(0),
        BodyDecoder::Length(length) => ResponseLength::Known(*length),
        BodyDecoder::Chunked(_) | BodyDecoder::UntilClose => ResponseLength::Unknown,
    }
}

/// Waits for the head while the body is still being sent. The time limit starts when the request is complete.
async fn wait<T>(
    answer: impl Future<Output = Result<T, AnswerError>>,
    upload: &mut Option<Uploading<'_>>,
    sent: &mut Option<UpstreamWriter>,
    limits: &RouteLimits,
) -> Result<T, Failed> {
    let mut answer = pin!(answer);
    while let Some(uploading) = upload.as_mut() {
        tokio::select! {
            biased;
            (writer, result) = uploading => {
                *upload = None;
                match result {
                    Ok(()) => *sent = writer,
                    Err(UploadError::Payload(error)) => return Err(Failed::Payload(error)),
                    Err(UploadError::Late) => return Err(Failed::Timeout),
                    // The answer may already be on its way: an instance that refuses a body closes its side. One that
                    // got too little sees the end of the connection.
                    Err(UploadError::Upstream) => {}
                }
            }
            // An early answer: the upload goes on beside it.
            answer = &mut answer => return answer.map_err(Failed::Answer),
        }
    }
    let answer = tokio::time::timeout(limits.response_timeout, answer).await;
    answer.map_err(|_| Failed::Timeout)?.map_err(Failed::Answer)
}

fn log_errors(home: &Home, reply: &mut Reply) {
    let errors = reply.take_errors();
    if !errors.is_empty() {
        tracing::warn!(endpoint = %home.instance.endpoint(), stderr = %errors.trim_ascii().escape_ascii(), "FastCGI application");
    }
}

impl From<HeadError> for AnswerError {
    fn from(error: HeadError) -> Self {
        Self::Head(error)
    }
}
