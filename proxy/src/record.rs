//! What is written down about a request at its end: phase 5, counters, the access record.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use tokio::runtime::Handle;

use crate::bans::{Circumstances, Offence};
use crate::context::Context;
use crate::events::{AccessRecord, Event, loggable};
use crate::exchange::Exchange;
use crate::firewall::Firewall;
use crate::metrics::UNROUTED;
use crate::table::LiveRoute;

/// Status in logs and metrics of a request that got no answer: the client left, or we had to stop.
pub(crate) const NO_ANSWER: u16 = 499;
/// Why, where the exchange was dropped with its connection and could not say so itself.
const CUT: &str = "client: the connection ended before the answer was complete";

/// What went over the wire.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Outcome {
    /// Status sent, if a head was sent.
    pub(crate) status: Option<u16>,
    /// Body bytes received.
    pub(crate) received: u64,
    /// Body bytes sent.
    pub(crate) sent: u64,
}

impl Drop for Exchange<'_> {
    fn drop(&mut self) {
        let Outcome { status, received, sent } = self.outcome;
        let status = status.unwrap_or(NO_ANSWER);
        if let Some(offence) = self.offence(status) {
            report_offence(self.context, self.live.as_deref(), self.client, offence, &self.id);
        }
        match self.firewall.take() {
            Some(firewall) if firewall.is_inspecting() => self.finish_later(firewall, status),
            Some(firewall) => firewall.finish(status),
            None => {}
        }
        let duration = self.started.elapsed();
        let (app, metrics) = match &self.live {
            Some(live) => (live.route.app.clone(), live.metrics.clone()),
            None => {
                let unrouted: Arc<str> = UNROUTED.into();
                let metrics = self.context.metrics.app(&unrouted);
                (unrouted, metrics)
            }
        };
        metrics.count_request(&self.request.method, status, duration);
        if let Some(upstream) = self.upstream_time {
            metrics.upstream.observe(upstream);
        }
        if !self.context.events.wants_access() {
            return;
        }
        let text = |name: &str| self.request.headers.get(name).map(|value| loggable(value));
        let record = AccessRecord {
            id: std::mem::take(&mut self.id),
            time: self.time,
            app,
            client: self.client,
            method: loggable(&self.request.method),
            host: self.request.host.clone(),
            target: loggable(&self.request.target),
            protocol: self.request.version.as_str(),
            status,
            received,
            sent,
            duration,
            upstream: self.upstream_time,
            user_agent: text("user-agent"),
            referer: text("referer"),
            note: self.note.take().or_else(|| self.outcome.status.is_none().then(|| CUT.to_owned())),
            trace: self.trace,
        };
        self.context.events.send(Event::Access(Box::new(record)), &self.context.metrics);
    }
}

impl Exchange<'_> {
    /// The end of a request whose client left while it was inspected: what is found counts all the same.
    fn finish_later(&mut self, mut firewall: Firewall, status: u16) {
        // Without a runtime the server is gone; what is known is logged as the firewall is dropped.
        let Ok(runtime) = Handle::try_current() else { return };
        let (context, live, client, id) =
            (self.context.clone(), self.live.clone(), self.client, self.id.clone());
        let held = std::mem::take(&mut self.held);
        runtime.spawn(async move {
            let _too_late = firewall.settle().await;
            drop(held);
            if firewall.refused_request() {
                report_offence(&context, live.as_deref(), client, Offence::Firewall, &id);
            }
            firewall.finish(status);
        });
    }

    /// What the client did wrong, if it did.
    fn offence(&self, status: u16) -> Option<Offence> {
        let refused = || self.firewall.as_ref().is_some_and(Firewall::refused_request);
        match status {
            _ if self.offence.is_some() => self.offence,
            _ if refused() => Some(Offence::Firewall),
            // A client that is merely asked for credentials did nothing wrong.
            401 if self.shows_credentials() => Some(Offence::Authentication),
            404 => Some(Offence::NotFound),
            _ => None,
        }
    }

    /// Whether the request carries credentials, in its header or in a form.
    fn shows_credentials(&self) -> bool {
        self.request.headers.get("authorization").is_some() || &self.request.method[..] == b"POST"
    }
}

/// Counts what a client did against the rules of the route, or against those of requests without one.
pub(crate) fn report_offence(
    context: &Context,
    live: Option<&LiveRoute>,
    client: IpAddr,
    offence: Offence,
    transaction: &str,
) {
    let app = live.map(|live| (&live.route.app, live.route.bans.as_deref()));
    context.bans.report(client, offence, Circumstances { app, transaction }, SystemTime::now());
}
