//! Bodies that are held back for the firewall: read whole, shown to the engine, inspected, and only then sent on.
//!
//! A body is read into a spool first and shown to the engine when it is complete: so it is known what it will take of
//! the connection's budget, and a client that takes its time holds nothing that another stream waits for.

use std::ops::ControlFlow;
use std::time::Duration;

use hop3_waf::BodyStatus;

use crate::budget::{Budget, FREE, Purpose};
use crate::downstream::{RequestBody, ResponseSink};
use crate::exchange::{Exchange, Stop, body_stop};
use crate::firewall::Firewall;
use crate::forward::{ResponseBody, given_up, left, upstream_stop};
use crate::metrics::app::Limited;
use crate::patience::within;
use crate::policy::admission::OwnAnswer;
use crate::spool::{OF_REQUEST, OF_RESPONSE, Spool};

impl Exchange<'_> {
    /// Reads the request body whole, for phase 2 and for the back end.
    pub(crate) async fn hold_request(
        &mut self,
        body: &mut RequestBody<'_>,
        sink: &mut ResponseSink<'_>,
    ) -> Result<Spool, Stop> {
        let mut spool = Spool::new(self.budget(), OF_REQUEST);
        let limit = self.firewall.as_ref().map_or(0, Firewall::request_body_limit);
        let rejects = self.firewall.as_ref().is_some_and(Firewall::rejects_larger_requests);
        while let Some(piece) = body.next().await.map_err(body_stop)? {
            spool.append(piece).await.map_err(|error| not_stored("request", &error))?;
            if rejects && spool.length() > limit {
                break;
            }
        }
        self.share(Purpose::Request, spool.length().min(limit), None, sink).await?;
        let Some(firewall) = self.firewall.as_mut() else { return Ok(spool) };
        match show(&spool, |piece| firewall.request_body_piece(piece)).await? {
            BodyStatus::LimitReached { reject: true } => {
                Err(Stop::answer(413, "request body larger than the firewall inspects"))
            }
            BodyStatus::LimitReached { reject: false } | BodyStatus::Accepted => Ok(spool),
        }
    }

    /// Reads as much of a response body as the engine inspects, for phase 4. `ended` turns true when that was all of it.
    pub(crate) async fn hold_response(
        &mut self,
        body: &mut ResponseBody<'_, '_>,
        ended: &mut bool,
        mut client: Option<&mut RequestBody<'_>>,
        sink: &mut ResponseSink<'_>,
    ) -> Result<Spool, Stop> {
        let mut spool = Spool::new(self.budget(), OF_RESPONSE);
        let limit = self.firewall.as_ref().map_or(0, Firewall::response_body_limit);
        while !*ended && spool.length() <= limit {
            let piece = tokio::select! {
                biased;
                piece = body.next() => piece.map_err(upstream_stop)?,
                () = left(sink, client.as_deref_mut()) => return Err(given_up()),
            };
            match piece {
                Some(piece) => {
                    spool.append(piece).await.map_err(|error| not_stored("response", &error))?;
                }
                None => *ended = true,
            }
        }
        self.share(Purpose::Response, spool.length().min(limit), client, sink).await?;
        let Some(firewall) = self.firewall.as_mut() else { return Ok(spool) };
        match show(&spool, |piece| firewall.response_body_piece(piece)).await? {
            BodyStatus::LimitReached { reject: true } => {
                Err(Stop::answer(502, "response larger than the firewall inspects"))
            }
            BodyStatus::LimitReached { reject: false } | BodyStatus::Accepted => Ok(spool),
        }
    }

    /// What may be held of this client's bodies.
    pub(crate) fn budget(&self) -> Budget {
        self.connection.budget.of_client(self.client)
    }

    /// Gives back the engine's memory of bodies, and of an answer that `streams` for hours perhaps, once the head of the answer
    /// is out: nothing but phase 5 is to come, which need not wait for a client that takes its time with the rest.
    pub(crate) fn let_go(&mut self, streams: bool, sink: &ResponseSink<'_>) {
        if self.held.is_empty() && !streams {
            return;
        }
        if let (Some(firewall), Some(status)) = (self.firewall.take(), sink.status) {
            firewall.finish(status);
        }
        self.held.clear();
    }

    /// Waits for memory of the connection's budget, as long as the client wants the answer. The engine keeps bodies until
    /// phase 5; see [`Exchange::let_go`].
    async fn share(
        &mut self,
        purpose: Purpose,
        bytes: u64,
        client: Option<&mut RequestBody<'_>>,
        sink: &mut ResponseSink<'_>,
    ) -> Result<(), Stop> {
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        if bytes <= FREE {
            return Ok(());
        }
        let budget = self.budget();
        let taken = tokio::select! {
            biased;
            taken = within(self.context.config.limits.body_deadline, budget.take(purpose, bytes)) => taken,
            () = left(sink, client) => return Err(given_up()),
        };
        let note = match taken {
            Ok(Ok(grant)) => {
                self.held.push(grant);
                return Ok(());
            }
            Ok(Err(exhausted)) => exhausted.to_string(),
            Err(_) => "the connection's other streams hold as many bodies as it may".to_owned(),
        };
        if let Some(live) = &self.live {
            live.metrics.count_limited(Limited::Memory);
        }
        Err(OwnAnswer::retry(503, Duration::from_secs(1), note).into())
    }
}

/// Shows a body to the engine, until that has enough.
async fn show(spool: &Spool, mut take: impl FnMut(&[u8]) -> BodyStatus) -> Result<BodyStatus, Stop> {
    let mut status = BodyStatus::Accepted;
    let shown = spool.show(|piece| {
        status = take(piece);
        if status == BodyStatus::Accepted { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    shown.await.map_err(|error| Stop::answer(500, format!("cannot read a stored body: {error}")))?;
    Ok(status)
}

pub(crate) fn not_stored(what: &str, error: &std::io::Error) -> Stop {
    Stop::answer(500, format!("cannot store the {what} body: {error}"))
}
