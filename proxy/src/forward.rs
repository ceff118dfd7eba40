//! From the inspected request to the client's answer: files and back ends, responses held back for phase 4 or
//! streamed, upgrades.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use hop3_waf::BodyStatus;

use crate::downstream::{RequestBody, ResponseLength, ResponseSink};
use crate::exchange::{Exchange, Stop, body_stop, proceed};
use crate::forwarding::{is_secure, passes_in_trailers, request_headers, strip_response};
use crate::headers::Headers;
use crate::http1::body::BodyDecoder;
use crate::http1::framing::BodyLength;
use crate::http1::response::ResponseHead;
use crate::http1::source::BodyError;
use crate::spool::Spool;
use crate::static_files::{FileReader, StaticFiles};
use crate::table::LiveRoute;
use crate::trace_context::new_traceparent;
use crate::upstream::attempt::{Answer, AttemptError, Payload, Protocol, attempt};
use crate::upstream::balancer::Balancer;
use crate::upstream::http::{ForwardedRequest, Interim};
use crate::upstream::tunnel::carry;

/// Where a response body comes from.
#[derive(Debug)]
enum ResponseBody<'a, 'u> {
    None,
    File(&'a mut FileReader),
    Upstream(&'a mut Answer<'u>),
}

impl ResponseBody<'_, '_> {
    async fn next(&mut self) -> Result<Option<Bytes>, BodyError> {
        match self {
            Self::None => Ok(None),
            Self::File(file) => Ok(file.next().await?),
            Self::Upstream(answer) => answer.next().await,
        }
    }

    /// What came after the last piece and may be passed on.
    fn trailers(&mut self) -> Headers {
        match self {
            Self::None | Self::File(_) => Headers::default(),
            Self::Upstream(answer) => {
                let mut trailers = answer.decoder.take_trailers();
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
        files: &StaticFiles,
        sink: &mut ResponseSink<'_>,
    ) -> Result<(), Stop> {
        let mut answer =
            files.answer(self.request).await.map_err(|status| Stop::answer(status, "static files"))?;
        self.inspect_response_head(&answer.head)?;
        let length = ResponseLength::Known(answer.length);
        let body = answer.file.as_mut().map_or(ResponseBody::None, ResponseBody::File);
        self.respond(&answer.head, length, body, None, sink).await
    }

    /// Sends the request to a back end and its answer to the client.
    pub(crate) async fn forward(
        &mut self,
        live: &Arc<LiveRoute>,
        balancer: &Balancer,
        protocol: Protocol,
        mut spool: Option<Spool>,
        body: &mut RequestBody<'_>,
        sink: &mut ResponseSink<'_>,
    ) -> Result<(), Stop> {
        if protocol == Protocol::Uwsgi && spool.is_none() && self.request.body == BodyLength::Streamed {
            spool = Some(read_whole(body).await?);
        }
        let forwarded = self.forwarded_request(live, spool.as_ref(), protocol);
        if forwarded.websocket {
            return self.forward_upgrade(live, balancer, &forwarded, body, sink).await;
        }
        let limits = &live.route.limits;
        let (started, safe) = (Instant::now(), self.request.is_safe());
        let interim = Interim::default();
        if spool.is_none() && self.request.body != BodyLength::Empty {
            let payload = Payload::Streamed(body);
            let attempted = attempt(balancer, protocol, &forwarded, payload, safe, limits, &interim);
            let answer = self.wait_for_answer(attempted, &interim, None, sink).await?;
            return self.relay(answer, started, None, sink).await;
        }
        let payload =
            spool.as_ref().filter(|spool| spool.length() > 0).map_or(Payload::Empty, Payload::Spooled);
        let attempted = attempt(balancer, protocol, &forwarded, payload, safe, limits, &interim);
        let answer = self.wait_for_answer(attempted, &interim, Some(&mut *body), sink).await?;
        self.relay(answer, started, Some(body), sink).await
    }

    /// Waits for a back end as long as the client does, and passes interim responses on as they come.
    async fn wait_for_answer<'u>(
        &self,
        attempted: impl Future<Output = Result<Answer<'u>, AttemptError>>,
        interim: &Interim,
        mut client: Option<&mut RequestBody<'_>>,
        sink: &mut ResponseSink<'_>,
    ) -> Result<Answer<'u>, Stop> {
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
                    sink.send_interim(&head).await.map_err(|error| Stop::client_gone(&error))?;
                }
            }
            if let Some(answer) = answer {
                return answer.map_err(attempt_stop);
            }
        }
    }

    /// Sends a WebSocket handshake; a 101 turns both connections into a tunnel, anything else is an ordinary answer.
    async fn forward_upgrade(
        &mut self,
        live: &LiveRoute,
        balancer: &Balancer,
        forwarded: &ForwardedRequest,
        body: &mut RequestBody<'_>,
        sink: &mut ResponseSink<'_>,
    ) -> Result<(), Stop> {
        let (started, interim) = (Instant::now(), Interim::default());
        let answer =
            attempt(balancer, Protocol::Http, forwarded, Payload::Empty, true, &live.route.limits, &interim);
        let mut answer = self.wait_for_answer(answer, &interim, Some(&mut *body), sink).await?;
        if answer.head.status != 101 {
            return self.relay(answer, started, Some(body), sink).await;
        }
        strip_response(&mut answer.head.headers, true);
        self.inspect_response_head(&answer.head)?;
        let result = tunnel(answer, live, body, sink).await;
        self.upstream_time = Some(started.elapsed());
        result
    }

    /// Phases 3 and 4 of a back end's answer, then the answer to the client, as long as it waits for it.
    async fn relay(
        &mut self,
        mut answer: Answer<'_>,
        started: Instant,
        client: Option<&mut RequestBody<'_>>,
        sink: &mut ResponseSink<'_>,
    ) -> Result<(), Stop> {
        strip_response(&mut answer.head.headers, false);
        self.inspect_response_head(&answer.head)?;
        let length = match &answer.decoder {
            BodyDecoder::Done | BodyDecoder::Trailed(_) => ResponseLength::Known(0),
            BodyDecoder::Length(length) => ResponseLength::Known(*length),
            BodyDecoder::Chunked(_) | BodyDecoder::UntilClose => ResponseLength::Unknown,
        };
        let head = answer.head.clone();
        let result = self.respond(&head, length, ResponseBody::Upstream(&mut answer), client, sink).await;
        self.upstream_time = Some(started.elapsed());
        if result.is_ok() {
            answer.release();
        }
        result
    }

    fn forwarded_request(
        &self,
        live: &LiveRoute,
        spool: Option<&Spool>,
        protocol: Protocol,
    ) -> ForwardedRequest {
        let config = &self.context.config;
        let identity_only = live.route.waf.as_ref().is_some_and(|protection| protection.inspects_responses());
        let mut headers = request_headers(self.request, self.connection, config, &self.id, identity_only);
        if config.new_traces && !headers.contains("traceparent") {
            let entropy = [(); 3].map(|()| self.context.entropy());
            headers.push("traceparent", new_traceparent(entropy));
        }
        ForwardedRequest {
            method: self.request.method.clone(),
            path_and_query: self.request.path_and_query.clone(),
            headers,
            body: match spool.map(Spool::length) {
                None => self.request.body,
                Some(0) => BodyLength::Empty,
                Some(length) => BodyLength::Known(length),
            },
            websocket: self.request.websocket && protocol == Protocol::Http,
            client: self.client,
            tls: is_secure(self.request, self.connection, config),
            server: self.connection.server,
            protocol: self.request.version.as_str(),
        }
    }

    /// Phase 4 where it applies, then head and body to the client.
    async fn respond(
        &mut self,
        head: &ResponseHead,
        mut length: ResponseLength,
        mut body: ResponseBody<'_, '_>,
        mut client: Option<&mut RequestBody<'_>>,
        sink: &mut ResponseSink<'_>,
    ) -> Result<(), Stop> {
        let bodiless = self.request.is_head() || head.is_bodiless();
        let streams = head.is_event_stream() || self.request.is_grpc();
        let mut held = BytesMut::new();
        let mut ended = bodiless;
        if !streams && let Some(firewall) = self.firewall.as_mut() {
            if !bodiless && firewall.wants_response_body() {
                while !ended {
                    let piece = tokio::select! {
                        biased;
                        piece = body.next() => piece.map_err(upstream_stop)?,
                        () = left(sink, client.as_deref_mut()) => return Err(given_up()),
                    };
                    let Some(piece) = piece else {
                        ended = true;
                        break;
                    };
                    held.extend_from_slice(&piece);
                    match firewall.response_body_piece(&piece) {
                        BodyStatus::Accepted => {}
                        BodyStatus::LimitReached { reject: false } => break,
                        BodyStatus::LimitReached { reject: true } => {
                            return Err(Stop::answer(502, "response larger than the firewall inspects"));
                        }
                    }
                }
            }
            proceed(firewall.response_body().await)?;
            if ended && !bodiless {
                length = ResponseLength::Known(held.len() as u64);
            }
        }
        let gone = |error: std::io::Error| Stop::client_gone(&error);
        sink.send_head(head, length).map_err(gone)?;
        sink.send_data(held.freeze()).await.map_err(gone)?;
        while !ended {
            let mut next = pin!(body.next());
            let at_once = poll_fn(|context| Poll::Ready(next.as_mut().poll(context))).await;
            let piece = match at_once {
                Poll::Ready(piece) => piece,
                Poll::Pending => {
                    // Nothing more for now: what was gathered must not wait.
                    sink.flush().await.map_err(gone)?;
                    tokio::select! {
                        biased;
                        piece = next => piece,
                        () = left(sink, client.as_deref_mut()) => return Err(given_up()),
                    }
                }
            };
            match piece.map_err(upstream_stop)? {
                Some(piece) => sink.send_data(piece).await.map_err(gone)?,
                None => ended = true,
            }
        }
        sink.finish(&body.trailers()).await.map_err(gone)
    }
}

/// Passes bytes both ways until both sides are done.
async fn tunnel(
    answer: Answer<'_>,
    live: &LiveRoute,
    body: &mut RequestBody<'_>,
    sink: &mut ResponseSink<'_>,
) -> Result<(), Stop> {
    let gone = |error: std::io::Error| Stop::client_gone(&error);
    sink.send_head(&answer.head, ResponseLength::Unknown).map_err(gone)?;
    sink.flush().await.map_err(gone)?;
    let silence = live.route.limits.tunnel_timeout;
    let (Some((mut source, mut writer, _active)), Some(client)) = (answer.into_tunnel(), body.http1_source())
    else {
        return Err(Stop::Abort("the connection cannot be upgraded".to_owned()));
    };
    let Some(http1) = sink.http1() else { return Ok(()) };
    let (client_buffer, client_reader) = client.parts();
    let (upstream_buffer, upstream_reader) = source.parts();
    let up = carry(client_buffer, client_reader, &mut writer, silence);
    let down = carry(upstream_buffer, upstream_reader, http1.writer(), silence);
    match tokio::try_join!(up, down) {
        Ok((received, sent)) => {
            body.received += received;
            sink.sent += sent;
            Ok(())
        }
        Err(error) => Err(Stop::Abort(format!("upgraded connection: {error}"))),
    }
}

/// Waits until the client no longer wants its answer: it reset its stream, or closed its connection.
async fn left(sink: &mut ResponseSink<'_>, client: Option<&mut RequestBody<'_>>) {
    match client {
        Some(client) => tokio::select! {
            () = sink.given_up() => {}
            () = client.client_left() => {}
        },
        None => sink.given_up().await,
    }
}

fn given_up() -> Stop {
    Stop::Abort("client: left before the answer was complete".to_owned())
}

/// Reads a body that its protocol cannot stream.
async fn read_whole(body: &mut RequestBody<'_>) -> Result<Spool, Stop> {
    let mut spool = Spool::default();
    while let Some(piece) = body.next().await.map_err(body_stop)? {
        spool
            .append(piece)
            .await
            .map_err(|error| Stop::answer(500, format!("cannot store the request body: {error}")))?;
    }
    Ok(spool)
}

fn attempt_stop(error: AttemptError) -> Stop {
    match error {
        AttemptError::Client(error) => body_stop(error),
        AttemptError::TooLarge(_) => Stop::answer(431, error.to_string()),
        AttemptError::Timeout(_) => Stop::answer(504, error.to_string()),
        AttemptError::Connect { ref source, .. } if source.kind() == std::io::ErrorKind::TimedOut => {
            Stop::answer(504, error.to_string())
        }
        AttemptError::Connect { .. } | AttemptError::Answer { .. } => Stop::answer(502, error.to_string()),
    }
}

fn upstream_stop(error: BodyError) -> Stop {
    match error {
        BodyError::Timeout => Stop::answer(504, "the back end's response took too long"),
        error => Stop::answer(502, format!("the back end's response: {error}")),
    }
}
