//! From the inspected request to the client's answer: files and back ends, responses held back for phase 4 or
//! streamed, upgrades.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;

use crate::budget::Budget;
use crate::conversation::Conversation;
use crate::downstream::{RequestBody, ResponseLength, ResponseSink};
use crate::exchange::{Exchange, Stop, body_stop, proceed};
use crate::firewall::Firewall;
use crate::forwarding::{is_secure, passes_in_trailers, request_headers, strip_response};
use crate::headers::Headers;
use crate::held::not_stored;
use crate::http1::framing::BodyLength;
use crate::http1::response::ResponseHead;
use crate::http1::source::BodyError;
use crate::path_prefix::without_prefix;
use crate::patience::at_once;
use crate::policy::admission::{OwnAnswer, no_file};
use crate::record::Outcome;
use crate::rounds;
use crate::spool::{OF_REQUEST, Spool};
use crate::static_files::{FileAnswer, FileReader, StaticFiles};
use crate::table::LiveRoute;
use crate::trace_context::new_traceparent;
use crate::upstream::affinity::Affinity;
use crate::upstream::answer::{Answer, AnswerEnd};
use crate::upstream::attempt::{AttemptError, Dispatch, attempt};
use crate::upstream::cgi::Script;
use crate::upstream::fastcgi::{FastCgi, ScriptFiles};
use crate::upstream::http::{ForwardedRequest, Interim};
use crate::upstream::pool::Protocol;
use crate::upstream::tunnel::carry;
use crate::upstream::upload::{Payload, PayloadError};

/// Who answers a request to an application of one file per page.
enum Scripted {
    /// This script, or the application as a whole.
    Script(Option<Script>),
    /// A file that was sent already.
    Served,
}

/// Where a response body comes from.
#[derive(Debug)]
pub(crate) enum ResponseBody<'a, 'u> {
    None,
    Kept(Option<Bytes>),
    File(&'a mut FileReader),
    Upstream(&'a mut Answer<'u>),
}

impl ResponseBody<'_, '_> {
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, AnswerEnd> {
        match self {
            Self::None => Ok(None),
            Self::Kept(body) => Ok(body.take().filter(|body| !body.is_empty())),
            Self::File(file) => Ok(file.next().await.map_err(BodyError::Io)?),
            Self::Upstream(answer) => answer.next().await,
        }
    }

    /// Reads at most about this many bytes at a time, where that can be bounded.
    fn bound(&mut self, most: usize) {
        match self {
            Self::None | Self::Kept(_) => {}
            Self::File(file) => file.bound(most),
            Self::Upstream(answer) => answer.bound(most),
        }
    }

    /// Waits for the client to take something, and has the back end's answer read on meanwhile where that is wanted.
    async fn while_taken<T>(&mut self, taking: impl Future<Output = T>) -> T {
        match self {
            Self::Upstream(answer) => answer.read_ahead(taking).await,
            Self::None | Self::Kept(_) | Self::File(_) => taking.await,
        }
    }

    fn may_trail(&self) -> bool {
        matches!(self, Self::Upstream(answer) if answer.may_trail())
    }

    /// What came after the last piece and may be passed on.
    fn trailers(&mut self) -> Headers {
        match self {
            Self::None | Self::Kept(_) | Self::File(_) => Headers::default(),
            Self::Upstream(answer) => {
                let mut trailers = answer.take_trailers();
                trailers.retain(passes_in_trailers);
                trailers
            }
        }
    }
}

impl Exchange<'_> {
    /// Answers with a file.
    pub(crate) async fn serve_file(
        &mut self,
        files: &Arc<StaticFiles>,
        sink: &mut ResponseSink<'_>,
    ) -> Result<(), Stop> {
        let answer = files.answer(self.request).await.map_err(no_file)?;
        self.send_file(answer, sink).await
    }

    async fn send_file(&mut self, mut answer: FileAnswer, sink: &mut ResponseSink<'_>) -> Result<(), Stop> {
        self.inspect_response_head(&answer.head)?;
        let length = ResponseLength::Known(answer.length);
        let body = answer.file.as_mut().map_or(ResponseBody::None, ResponseBody::File);
        self.respond(answer.head, length, body, false, None, sink).await
    }

    /// Sends the request to a back end and its answer to the client, or a kept answer.
    pub(crate) async fn forward(
        &mut self,
        live: &Arc<LiveRoute>,
        spool: Option<Spool>,
        body: &mut RequestBody<'_>,
        sink: &mut ResponseSink<'_>,
    ) -> Result<(), Stop> {
        if let Some(kept) = self.kept(live) {
            let mut head = kept.head_for(self.request, SystemTime::now());
            // What the rules say may depend on this request, and they may be others than when the answer was kept.
            self.inspect_response_head(&head)?;
            if self.request.is_head() {
                head.headers.set("content-length", kept.body.len().to_string());
            }
            let length = ResponseLength::Known(kept.body.len() as u64);
            let kept_body = Some(kept.body.clone());
            return self.respond(head, length, ResponseBody::Kept(kept_body), false, Some(body), sink).await;
        }
        let mut live = live.clone();
        let mut spool = spool.map(Arc::new);
        rounds::wait_for_others().await;
        loop {
            let Some(balancer) = live.group(&self.request.headers, self.client) else {
                return Err(Stop::answer(503, "no instance"));
            };
            let protocol = &balancer.pool().protocol;
            let buffered = live.route.policy.as_ref().is_some_and(|policy| policy.request_buffering)
                || (protocol.needs_length() && self.request.body == BodyLength::Streamed);
            if buffered && spool.is_none() && self.request.body != BodyLength::Empty {
                spool = Some(Arc::new(read_whole(self.budget(), body).await?));
            }
            let forwarded = self.forwarded_request(&live, spool.as_deref(), protocol);
            let script = match protocol {
                Protocol::FastCgi(application) => {
                    match self.script(application, &live, &forwarded, sink).await? {
                        Scripted::Script(script) => script,
                        Scripted::Served => return Ok(()),
                    }
                }
                _ => None,
            };
            let interim = Interim::default();
            let dispatch = Dispatch {
                balancer,
                request: &forwarded,
                script: script.as_ref(),
                affinity: Affinity::of(balancer.pool(), &forwarded),
                safe: forwarded.websocket || self.request.is_safe(),
                limits: &live.route.limits,
                interim: &interim,
            };
            let started = Instant::now();
            let failed = if spool.is_none() && self.request.body != BodyLength::Empty {
                let conversation = Arc::new(Conversation::new(live.route.limits.tunnel_timeout));
                body.conversation = Some(conversation.clone());
                let attempted = attempt(&dispatch, Payload::Streamed(&mut *body));
                match self.wait_for_answer(attempted, &interim, None, sink).await? {
                    Ok(mut answer) => {
                        conversation.passed();
                        answer.conversation = Some(conversation);
                        answer.buffer(balancer.pool().response_buffering, self.budget());
                        self.name_instance(&dispatch, &mut answer);
                        return self.relay(answer, started, &live, None, sink).await;
                    }
                    Err(error) => error,
                }
            } else {
                let spooled = spool.clone().filter(|spool| spool.length() > 0);
                let attempted = attempt(&dispatch, spooled.map_or(Payload::Empty, Payload::Spooled));
                match self.wait_for_answer(attempted, &interim, Some(&mut *body), sink).await? {
                    Ok(answer) if forwarded.websocket => {
                        drop(spool);
                        return self.upgrade(answer, started, &live, body, sink).await;
                    }
                    Ok(mut answer) => {
                        // What is still on its way holds it as long.
                        drop(spool);
                        answer.buffer(balancer.pool().response_buffering, self.budget());
                        self.name_instance(&dispatch, &mut answer);
                        return self.relay(answer, started, &live, Some(body), sink).await;
                    }
                    Err(error) => error,
                }
            };
            let patience = self.patience(&live).filter(|_| failed.is_unreachable());
            let next = match patience {
                Some(until) => self.next_chance(&live, until, body, sink).await?,
                None => None,
            };
            match next {
                Some(next) => live = next,
                None => return Err(attempt_stop(failed)),
            }
        }
    }

    /// Waits for a back end as long as the client does, and passes interim responses on as they come.
    async fn wait_for_answer<'u>(
        &self,
        attempted: impl Future<Output = Result<Answer<'u>, AttemptError>>,
        interim: &Interim,
        mut client: Option<&mut RequestBody<'_>>,
        sink: &mut ResponseSink<'_>,
    ) -> Result<Result<Answer<'u>, AttemptError>, Stop> {
        let mut attempted = pin!(attempted);
        loop {
            let progress = poll_fn(|context| match attempted.as_mut().poll(context) {
                Poll::Ready(answer) => Poll::Ready(Some(answer)),
                Poll::Pending if !interim.is_empty() => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            });
            let answer = tokio::select! {
                biased;
                answer = progress => answer,
                () = left(sink, client.as_deref_mut()) => return Err(given_up()),
            };
            for mut head in interim.take() {
                // They were not inspected; where answers are, they do not pass.
                if self.firewall.is_none() {
                    strip_response(&mut head.headers, false);
                    self.keep_allowed(&mut head.headers);
                    sink.send_interim(&head).await.map_err(|error| Stop::client_gone(&error))?;
                }
            }
            if let Some(answer) = answer {
                return Ok(answer);
            }
        }
    }

    /// Tells the browser which instance answered, where the group wants it back there.
    fn name_instance(&self, dispatch: &Dispatch<'_>, answer: &mut Answer<'_>) {
        let balancer = dispatch.balancer;
        let Some(id) = balancer.cookie_for(answer.instance(), &dispatch.affinity) else { return };
        let Some(sticky) = &balancer.pool().sticky else { return };
        let age = sticky.max_age.map_or_else(String::new, |age| format!("; Max-Age={}", age.as_secs()));
        let secure = if dispatch.request.tls { "; Secure" } else { "" };
        let cookie = format!("{}={id:016x}; Path=/; HttpOnly; SameSite=Lax{secure}{age}", sticky.name);
        answer.head.headers.push("set-cookie", cookie);
    }

    /// The file that answers, for applications that run one file per page. Files beside the scripts are served.
    async fn script(
        &mut self,
        application: &FastCgi,
        live: &LiveRoute,
        forwarded: &ForwardedRequest,
        sink: &mut ResponseSink<'_>,
    ) -> Result<Scripted, Stop> {
        let Some(scripts) = &application.scripts else { return Ok(Scripted::Script(None)) };
        let target = &forwarded.path_and_query;
        if matches!(&self.request.method[..], b"GET" | b"HEAD") && ScriptFiles::may_be_file(target) {
            let prefix = stripped_prefix(live).unwrap_or_default();
            match scripts.files.answer_below(prefix, self.request).await {
                Ok(answer) => return self.send_file(answer, sink).await.map(|()| Scripted::Served),
                Err(404) => {}
                Err(status) => return Err(no_file(status)),
            }
        }
        let (scripts, target) = (scripts.clone(), target.clone());
        let found = tokio::task::spawn_blocking(move || scripts.find(&target)).await;
        match found {
            Ok(Ok(script)) => Ok(Scripted::Script(Some(script))),
            Ok(Err(_)) => Err(Stop::answer(404, "no script for this path")),
            Err(error) => Err(Stop::answer(500, error.to_string())),
        }
    }

    /// After a WebSocket handshake: a 101 turns both connections into a tunnel, anything else is an ordinary answer.
    async fn upgrade(
        &mut self,
        mut answer: Answer<'_>,
        started: Instant,
        live: &LiveRoute,
        body: &mut RequestBody<'_>,
        sink: &mut ResponseSink<'_>,
    ) -> Result<(), Stop> {
        if answer.head.status != 101 {
            return self.relay(answer, started, live, Some(body), sink).await;
        }
        strip_response(&mut answer.head.headers, true);
        self.inspect_response_head(&answer.head)?;
        answer.head.headers.set("x-request-id", self.id.clone());
        let silence = live.route.limits.tunnel_timeout;
        let result = tunnel(answer, silence, &mut self.outcome, body, sink).await;
        (body.received, sink.sent) = (self.outcome.received, self.outcome.sent);
        self.upstream_time = Some(started.elapsed());
        result
    }

    /// Phases 3 and 4 of a back end's answer, then the answer to the client, as long as it waits for it.
    async fn relay(
        &mut self,
        mut answer: Answer<'_>,
        started: Instant,
        live: &LiveRoute,
        client: Option<&mut RequestBody<'_>>,
        sink: &mut ResponseSink<'_>,
    ) -> Result<(), Stop> {
        strip_response(&mut answer.head.headers, false);
        self.inspect_response_head(&answer.head)?;
        if let Some(cache) = live.state.cache.as_ref().filter(|_| !self.request.is_safe())
            && answer.head.status < 400
        {
            cache.invalidate(&self.request.path_and_query);
        }
        let head = std::mem::replace(&mut answer.head, ResponseHead::empty());
        let length = answer.length;
        let result =
            self.respond(head, length, ResponseBody::Upstream(&mut answer), true, client, sink).await;
        self.upstream_time = Some(started.elapsed());
        let errors = answer.take_errors();
        if !errors.is_empty() {
            let stderr = errors.trim_ascii().escape_ascii();
            tracing::warn!(app = %live.route.app, %stderr, "a FastCGI application wrote to its standard error");
        }
        if result.is_ok() {
            answer.give_back();
        }
        result
    }

    fn forwarded_request(
        &self,
        live: &LiveRoute,
        spool: Option<&Spool>,
        protocol: &Protocol,
    ) -> ForwardedRequest {
        let headers = self.forwarded_fields(live);
        let stripped = stripped_prefix(live);
        let path_and_query = match stripped {
            Some(prefix) => without_prefix(&self.request.path_and_query, prefix.as_bytes()),
            None => self.request.path_and_query.clone(),
        };
        let script_name =
            stripped.map_or_else(Bytes::new, |prefix| Bytes::copy_from_slice(prefix.as_bytes()));
        let body = match spool.map(Spool::length) {
            None => self.request.body,
            Some(0) => BodyLength::Empty,
            Some(length) => BodyLength::Known(length),
        };
        ForwardedRequest {
            method: self.request.method.clone(),
            path_and_query,
            script_name,
            headers,
            body,
            websocket: self.request.websocket && matches!(protocol, Protocol::Http),
            client: self.client,
            tls: is_secure(self.request, self.connection, &self.context.config),
            server: self.connection.server,
            protocol: self.request.version.as_str(),
        }
    }

    /// The fields that the route's back end sees of the request.
    pub(crate) fn forwarded_fields(&self, live: &LiveRoute) -> Headers {
        let config = &self.context.config;
        let identity_only = live.route.waf.as_ref().is_some_and(|protection| protection.inspects_responses());
        let mut headers = request_headers(self.request, self.connection, config, &self.id, identity_only);
        if let Some(certificate) = self.vouched_certificate(live) {
            headers.push("client-cert", certificate.field().to_owned());
        }
        if let Some(span) = &self.trace {
            headers.set("traceparent", span.traceparent());
        } else if config.new_traces && !headers.contains("traceparent") {
            let entropy = [(); 3].map(|()| self.context.entropy());
            headers.push("traceparent", new_traceparent(entropy));
        }
        if let Some(prefix) = stripped_prefix(live) {
            // Behind what a trusted proxy took off before.
            let earlier = headers.get("x-forwarded-prefix").map_or(&b""[..], |earlier| earlier);
            let whole = [earlier.strip_suffix(b"/").unwrap_or(earlier), prefix.as_bytes()].concat();
            headers.set("x-forwarded-prefix", whole);
        }
        if let Some(policy) = &live.route.policy {
            policy.request_headers.apply(&mut headers);
        }
        headers
    }

    /// Phase 4 where it applies, then head and body to the client. `keep` says whether the answer may be put into the
    /// route's cache.
    async fn respond(
        &mut self,
        mut head: ResponseHead,
        mut length: ResponseLength,
        mut body: ResponseBody<'_, '_>,
        keep: bool,
        mut client: Option<&mut RequestBody<'_>>,
        sink: &mut ResponseSink<'_>,
    ) -> Result<(), Stop> {
        let bodiless = self.request.is_head() || head.is_bodiless();
        let streams = head.is_event_stream();
        body.bound(sink.appetite());
        let mut held = None;
        let mut ended = bodiless;
        if !streams && self.firewall.is_some() {
            if !bodiless && self.firewall.as_ref().is_some_and(Firewall::wants_response_body) {
                held = Some(self.hold_response(&mut body, &mut ended, client.as_deref_mut(), sink).await?);
            }
            if let Some(firewall) = self.firewall.as_mut() {
                let _turn = self.connection.budget.turn().await;
                proceed(firewall.response_body().await)?;
            }
            if let Some(held) = held.as_ref().filter(|_| ended) {
                length = ResponseLength::Known(held.length());
            }
        }
        let early = if ended || streams { Vec::new() } else { at_hand(&mut body, &mut ended).await? };
        let gone = |error: std::io::Error| Stop::client_gone(&error);
        let failed = |error: std::io::Error| Stop::answer(500, format!("compressing the answer: {error}"));
        let mut outgoing = self.outgoing(&mut head, &mut length, keep).map_err(failed)?;
        if !body.may_trail() {
            sink.ends_with_body();
        }
        sink.send_head(head, length).map_err(gone)?;
        self.let_go(streams, sink);
        if let Some(held) = held {
            let mut pieces = held.into_pieces();
            while let Some(piece) = pieces.next().await.map_err(|error| not_stored("response", &error))? {
                let piece = outgoing.piece(piece).map_err(gone)?;
                body.while_taken(sink.send_data(piece)).await.map_err(gone)?;
            }
        }
        for piece in early {
            let piece = outgoing.piece(piece).map_err(gone)?;
            body.while_taken(sink.send_data(piece)).await.map_err(gone)?;
        }
        while !ended {
            body.bound(sink.appetite());
            let at_once = at_once(pin!(body.next())).await;
            let piece = match at_once {
                Poll::Ready(piece) => piece,
                Poll::Pending => {
                    // Nothing more for now: what was gathered must not wait.
                    let gathered = outgoing.flush().map_err(gone)?;
                    body.while_taken(sink.send_data(gathered)).await.map_err(gone)?;
                    body.while_taken(sink.flush()).await.map_err(gone)?;
                    tokio::select! {
                        biased;
                        piece = body.next() => piece,
                        () = left(sink, client.as_deref_mut()) => return Err(given_up()),
                    }
                }
            };
            match piece.map_err(upstream_stop)? {
                Some(piece) => {
                    let piece = outgoing.piece(piece).map_err(gone)?;
                    body.while_taken(sink.send_data(piece)).await.map_err(gone)?;
                }
                None => ended = true,
            }
        }
        if !bodiless {
            sink.send_data(outgoing.finish().map_err(gone)?).await.map_err(gone)?;
        }
        let mut trailers = body.trailers();
        self.keep_allowed(&mut trailers);
        sink.finish(&trailers).await.map_err(gone)
    }

    /// Removes from trailers, and from the header of an interim answer, what the route overrules in every answer.
    fn keep_allowed(&self, fields: &mut Headers) {
        if let Some(policy) = self.live.as_ref().and_then(|live| live.route.policy.as_deref()) {
            fields.retain(|field| !policy.response_headers.overrules(&field.name));
        }
    }
}

/// The path prefix that the back end does not see.
fn stripped_prefix(live: &LiveRoute) -> Option<&str> {
    let strips = live.route.policy.as_ref().is_some_and(|policy| policy.strip_prefix);
    let prefix = live.route.path_prefix.trim_end_matches('/');
    (strips && !prefix.is_empty()).then_some(prefix)
}

/// Bytes that are looked at before the head is sent.
const AT_HAND: usize = 16 * 1024;

/// What a back end has sent already: an answer that breaks its promises at once still becomes a 502.
async fn at_hand(body: &mut ResponseBody<'_, '_>, ended: &mut bool) -> Result<Vec<Bytes>, Stop> {
    let (mut pieces, mut size) = (Vec::new(), 0);
    // What comes from files is our own, and reading it cannot be broken off.
    if !matches!(body, ResponseBody::Upstream(_)) {
        return Ok(pieces);
    }
    while size < AT_HAND {
        let next = pin!(body.next());
        match at_once(next).await {
            Poll::Ready(Ok(Some(piece))) => {
                size += piece.len();
                pieces.push(piece);
            }
            Poll::Ready(Ok(None)) => {
                *ended = true;
                break;
            }
            Poll::Ready(Err(error)) => return Err(upstream_stop(error)),
            Poll::Pending => break,
        }
    }
    Ok(pieces)
}

/// Passes bytes both ways until both sides are done. The outcome is kept up to date: a shutdown drops whatever is under
/// way.
async fn tunnel(
    mut answer: Answer<'_>,
    silence: Duration,
    outcome: &mut Outcome,
    body: &mut RequestBody<'_>,
    sink: &mut ResponseSink<'_>,
) -> Result<(), Stop> {
    let gone = |error: std::io::Error| Stop::client_gone(&error);
    let head = std::mem::replace(&mut answer.head, ResponseHead::empty());
    sink.send_head(head, ResponseLength::Unknown).map_err(gone)?;
    sink.flush().await.map_err(gone)?;
    let (Some((mut source, mut writer, _active)), Some(client)) = (answer.into_tunnel(), body.http1_source())
    else {
        return Err(Stop::Abort("the connection cannot be upgraded".to_owned()));
    };
    let Some(http1) = sink.http1() else { return Ok(()) };
    let (client_buffer, client_reader) = client.parts();
    let (upstream_buffer, upstream_reader) = source.parts();
    outcome.status = Some(101);
    let conversation = Conversation::new(silence);
    conversation.passed();
    let up = carry(client_buffer, client_reader, &mut writer, &conversation, &mut outcome.received);
    let down = carry(upstream_buffer, upstream_reader, http1.writer(), &conversation, &mut outcome.sent);
    let ended = tokio::try_join!(up, down);
    ended.map(|_| ()).map_err(|error| Stop::Abort(format!("upgraded connection: {error}")))
}

/// Waits until the client no longer wants its answer: it reset its stream, or closed its connection.
pub(crate) async fn left(sink: &mut ResponseSink<'_>, client: Option<&mut RequestBody<'_>>) {
    match client {
        Some(client) => tokio::select! {
            () = sink.given_up() => {}
            () = client.client_left() => {}
        },
        None => sink.given_up().await,
    }
}

pub(crate) fn given_up() -> Stop {
    Stop::Abort("client: left before the answer was complete".to_owned())
}

/// Reads a body that its protocol cannot stream.
async fn read_whole(budget: Budget, body: &mut RequestBody<'_>) -> Result<Spool, Stop> {
    let mut spool = Spool::new(budget, OF_REQUEST);
    while let Some(piece) = body.next().await.map_err(body_stop)? {
        spool.append(piece).await.map_err(|error| not_stored("request", &error))?;
    }
    Ok(spool)
}

fn attempt_stop(error: AttemptError) -> Stop {
    match error {
        AttemptError::Payload(error) => payload_stop(error),
        AttemptError::TooLarge(_) | AttemptError::ParametersTooLarge(_) => {
            Stop::answer(431, error.to_string())
        }
        AttemptError::TargetTooLong => Stop::answer(414, error.to_string()),
        AttemptError::Unsendable(_) => Stop::answer(400, error.to_string()),
        AttemptError::Open(pause) => OwnAnswer::retry(503, pause, error.to_string()).into(),
        AttemptError::Busy => OwnAnswer::retry(503, Duration::from_secs(1), error.to_string()).into(),
        AttemptError::Timeout(_) => Stop::answer(504, error.to_string()),
        AttemptError::Connect { ref source, .. } if source.kind() == std::io::ErrorKind::TimedOut => {
            Stop::answer(504, error.to_string())
        }
        AttemptError::Connect { .. } | AttemptError::Answer { .. } => Stop::answer(502, error.to_string()),
    }
}

fn payload_stop(error: PayloadError) -> Stop {
    match error {
        PayloadError::Client(error) => body_stop(error),
        PayloadError::Stored(_) => Stop::answer(500, error.to_string()),
    }
}

pub(crate) fn upstream_stop(error: AnswerEnd) -> Stop {
    match error {
        AnswerEnd::Request(error) => payload_stop(error),
        AnswerEnd::Body(BodyError::Timeout) => Stop::answer(504, "the back end's response took too long"),
        AnswerEnd::Body(error) => Stop::answer(502, format!("the back end's response: {error}")),
    }
}
