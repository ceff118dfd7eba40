//! What the proxy reports: requests go to the log, what the firewall saw is counted, logged and kept.

use std::sync::Arc;
use std::time::Duration;

use hop3_proxy::{AccessRecord, Event};
use tokio::sync::mpsc::Receiver;

use crate::control::Control;
use crate::failure::chain;
use crate::model::FirewallEvent;
use crate::store::Durable;

/// Events taken from the queue at a time.
const BATCH: usize = 256;
/// How long a kept event may be lost by a crash.
const FLUSH: Duration = Duration::from_secs(1);

/// Takes events from `queue` until the proxy is gone.
pub async fn keep(mut queue: Receiver<Event>, control: Arc<Control>, log_access: bool) {
    let mut batch = Vec::with_capacity(BATCH);
    let mut unflushed = false;
    let mut flush = tokio::time::interval(FLUSH);
    loop {
        tokio::select! {
            taken = queue.recv_many(&mut batch, BATCH) => {
                if taken == 0 {
                    store(&control, Durable::Now, &[]);
                    return;
                }
                let events: Vec<_> = batch.drain(..).filter_map(|event| observe(&event, &control, log_access)).collect();
                if !events.is_empty() {
                    store(&control, Durable::WithTheNextCommit, &events);
                    unflushed = true;
                }
            }
            _ = flush.tick(), if unflushed => {
                store(&control, Durable::Now, &[]);
                unflushed = false;
            }
        }
    }
}

fn store(control: &Control, durability: Durable, events: &[FirewallEvent]) {
    let kept = tokio::task::block_in_place(|| {
        control.store().note(durability, |change| change.append_firewall_events(events))
    });
    if let Err(error) = kept {
        tracing::error!(error = chain(&error), lost = events.len(), "firewall events cannot be kept");
    }
}

fn observe(event: &Event, control: &Control, log_access: bool) -> Option<FirewallEvent> {
    match event {
        Event::Access(record) => {
            if log_access {
                log_request(record);
            }
            None
        }
        Event::Audit(record) => {
            let event = control.watch().observe(record)?;
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
            Some(event)
        }
    }
}

fn log_request(record: &AccessRecord) {
    let path = record.target.split('?').next().unwrap_or_default();
    tracing::info!(
        target: "access",
        id = record.id,
        app = &*record.app,
        client = %record.client,
        method = record.method,
        host = &*record.host,
        // The query may hold secrets.
        path,
        protocol = record.protocol,
        status = record.status,
        received = record.received,
        sent = record.sent,
        ms = record.duration.as_secs_f64() * 1000.0,
        note = record.note,
        "request"
    );
}
