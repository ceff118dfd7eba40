//! What the client gets of an answer: held back for phase 4 or streamed, as long as it waits for it.

use std::pin::pin;
use std::task::Poll;
use std::time::Instant;

use bytes::Bytes;

use super::payload_stop;
use crate::downstream::{RequestBody, ResponseLength, ResponseSink};
use crate::exchange::{Exchange, Stop, proceed};
use crate::firewall::Firewall;
use crate::forwarding::{passes_in_trailers, strip_response};
use crate::headers::Headers;
use crate::held::not_stored;
use crate::http1::response::ResponseHead;
use crate::http1::source::BodyError;
use crate::patience::at_once;
use crate::static_files::FileReader;
use crate::table::LiveRoute;
use crate::upstream::answer::{Answer, AnswerEnd};

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
    /// Phases 3 and 4 of a back end's answer, then the answer to the client, as long as it waits for it.
    pub(super) async fn relay(
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

    /// Phase 4 where it applies, then head and body to the client. `keep` says whether the answer may be put into the
    /// route's cache.
    pub(super) async fn respond(
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
                proceed(firewall.response_body(&self.connection.budget).await)?;
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
    pub(super) fn keep_allowed(&self, fields: &mut Headers) {
        if let Some(policy) = self.live.as_ref().and_then(|live| live.route.policy.as_deref()) {
            fields.retain(|field| !policy.response_headers.overrules(&field.name));
        }
    }
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

pub(crate) fn upstream_stop(error: AnswerEnd) -> Stop {
    match error {
        AnswerEnd::Request(error) => payload_stop(error),
        AnswerEnd::Body(BodyError::Timeout) => Stop::answer(504, "the back end's response took too long"),
        AnswerEnd::Body(error) => Stop::answer(502, format!("the back end's response: {error}")),
    }
}
