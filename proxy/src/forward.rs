//! From the inspected request to the client's answer: back ends, kept answers, and what is answered when no instance is.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant, SystemTime};

use self::files::Scripted;
pub(crate) use self::response::{ResponseBody, given_up, left, upstream_stop};
use crate::budget::Budget;
use crate::conversation::Conversation;
use crate::downstream::{RequestBody, ResponseLength, ResponseSink};
use crate::exchange::{Exchange, Stop, body_stop};
use crate::forwarding::strip_response;
use crate::held::not_stored;
use crate::http1::framing::BodyLength;
use crate::policy::admission::OwnAnswer;
use crate::rounds;
use crate::spool::{OF_REQUEST, Spool};
use crate::table::LiveRoute;
use crate::upstream::affinity::Affinity;
use crate::upstream::answer::Answer;
use crate::upstream::attempt::{AttemptError, Dispatch, attempt};
use crate::upstream::http::Interim;
use crate::upstream::pool::Protocol;
use crate::upstream::upload::{Payload, PayloadError};

mod files;
mod request;
mod response;
mod tunnel;

/// Bytes of a request body that is read whole before it is sent where its stream may be refused, so that it can be sent again.
const SMALL: u64 = 16 * 1024;

impl Exchange<'_> {
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
                || (protocol.needs_length() && self.request.body == BodyLength::Streamed)
                || (balancer.pool().may_refuse_streams()
                    && matches!(self.request.body, BodyLength::Known(..=SMALL)));
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
