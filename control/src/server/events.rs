//! What the proxy reports: requests go to the log and, where they are traced, to the collector; what the firewall saw is
//! counted, logged and kept.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hop3_proxy::Event;
use tokio::sync::mpsc::Receiver;
use tokio::sync::watch;

use super::access_log::RequestLog;
use super::log::together;
use super::successor::EventWay;
use super::traces::TraceExport;
use crate::control::Control;
use crate::failure::chain;
use crate::model::FirewallEvent;
use crate::store::{Durable, StoreError};

/// Events taken from the queue at a time.
const BATCH: usize = 256;
/// How long events gather before they are taken: waking up for each would cost more than noting it.
const GATHER: Duration = Duration::from_millis(10);
/// How long a kept event may be lost by a crash.
const FLUSH: Duration = Duration::from_secs(1);
/// Firewall events that wait while the store is neither ours nor a successor's.
const WAITING: usize = 10_000;

/// Takes events to where they belong.
#[derive(Debug)]
pub struct EventKeeper {
    /// Where firewall events are kept.
    pub control: Arc<Control>,
    /// Where requests are logged; may be exchanged.
    pub requests: Arc<Mutex<RequestLog>>,
    /// Where spans go.
    pub traces: Option<TraceExport>,
    /// Where firewall events go once the store is a successor's.
    pub successor: watch::Receiver<Option<EventWay>>,
    /// Those that wait for either.
    pub waiting: Vec<FirewallEvent>,
}

impl EventKeeper {
    /// Takes events from `queue` until the proxy is gone.
    pub async fn run(mut self, mut queue: Receiver<Event>) {
        let mut batch = Vec::with_capacity(BATCH);
        let mut unflushed = false;
        let mut flush = tokio::time::interval(FLUSH);
        loop {
            tokio::select! {
                taken = queue.recv_many(&mut batch, BATCH) => {
                    if taken == 0 {
                        tokio::task::block_in_place(|| self.flush(true));
                        return;
                    }
                    let events = match self.writes_a_file() {
                        true => tokio::task::block_in_place(|| self.observe(&mut batch)),
                        false => together(|| self.observe(&mut batch)),
                    };
                    if !events.is_empty() {
                        tokio::task::block_in_place(|| self.keep(Durable::WithTheNextCommit, events));
                        unflushed = true;
                    }
                    if taken < BATCH {
                        tokio::time::sleep(GATHER).await;
                    }
                }
                _ = flush.tick() => {
                    tokio::task::block_in_place(|| self.flush(unflushed));
                    unflushed = false;
                }
            }
        }
    }

    fn writes_a_file(&self) -> bool {
        matches!(&*self.requests.lock().unwrap_or_else(PoisonError::into_inner), RequestLog::File(_))
    }

    fn observe(&self, batch: &mut Vec<Event>) -> Vec<FirewallEvent> {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        let mut events = Vec::new();
        for event in batch.drain(..) {
            match event {
                Event::Access(record) => {
                    requests.write(&record);
                    if let Some(traces) = &self.traces {
                        traces.add(&record);
                    }
                }
                Event::Audit(record) => events.extend(self.control.watch().observe(&record).inspect(log)),
            }
        }
        events
    }

    fn flush(&mut self, unflushed: bool) {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).flush();
        if unflushed || !self.waiting.is_empty() {
            let waiting = std::mem::take(&mut self.waiting);
            self.keep(Durable::Now, waiting);
        }
    }

    fn keep(&mut self, durability: Durable, mut events: Vec<FirewallEvent>) {
        let way = self.successor.borrow().clone();
        if let Some(way) = way {
            let lost = events.len();
            if lost > 0
                && let Err(error) = way.send(&events)
            {
                tracing::error!(%error, lost, "the successor does not keep firewall events");
            }
            return;
        }
        let kept = self.control.store().note(durability, |change| change.append_firewall_events(&events));
        match kept {
            Ok(()) => {}
            Err(StoreError::Away) => {
                let room = WAITING.saturating_sub(self.waiting.len());
                let lost = events.len().saturating_sub(room);
                if lost > 0 {
                    tracing::error!(lost, "firewall events are lost, since nobody has the store");
                }
                events.truncate(room);
                self.waiting.append(&mut events);
            }
            Err(error) => {
                tracing::error!(error = chain(&error), lost = events.len(), "firewall events cannot be kept");
            }
        }
    }
}

fn log(event: &FirewallEvent) {
    let rules: Vec<String> = event.rules.iter().map(|rule| rule.id.to_string()).collect();
    tracing::info!(
        target: "waf",
        id = event.transaction,
        app = event.app,
        client = event.client,
        method = event.method,
        uri = event.uri,
        status = event.status,
        rules = rules.join(","),
        "{}",
        if event.blocked { "blocked" } else { "detected" }
    );
}
