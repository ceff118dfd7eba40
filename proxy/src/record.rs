//! What is written down about a request at its end: phase 5, counters, the access record.

use std::sync::Arc;

use crate::events::{AccessRecord, Event, loggable};
use crate::exchange::Exchange;
use crate::metrics::UNROUTED;

/// Status in logs and metrics of a request that got no answer: the client left, or we had to stop.
const NO_ANSWER: u16 = 499;
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
        if let Some(firewall) = self.firewall.take() {
            firewall.finish(status);
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
