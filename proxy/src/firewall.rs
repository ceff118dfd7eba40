//! The firewall in the path of one request: feeds the engine, takes its verdicts, keeps large inspections off the
//! serving threads, and makes sure that the logging phase runs whatever becomes of the request.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

pub use hop3_waf::RuleMatch;
use hop3_waf::trace::DebugLog;
use hop3_waf::{
    BodyStatus, Connection, Disruption, EngineMode, Interruption, LimitAction, LogContext, Transaction,
    TransactionStart, Verdict,
};
pub use protection::{AppliedAction, Protection, ProtectionMode};

use crate::budget::Budget;
use crate::context::Context;
use crate::events::{AuditRecord, Event, loggable};
use crate::headers::Headers;
use crate::http1::framing::Refusal;
use crate::http1::response::ResponseHead;
use crate::metrics::AppMetrics;
use crate::request::Request;
use crate::transaction_log::TransactionLog;
use crate::work_queue::Outcome;

mod protection;

/// Bodies beyond this many bytes are inspected on the blocking pool.
const INLINE_BODY: usize = 64 * 1024;

/// What the request path has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Decision {
    /// Go on.
    Pass,
    /// Answer with this status.
    Deny(u16),
    /// Redirect with this status to this place.
    Redirect(u16, String),
    /// Close the connection without an answer.
    Drop,
}

/// Everything about a request that the engine and its audit record need and that does not change.
#[derive(Clone, Debug)]
pub struct TransactionContext {
    /// The transaction id.
    pub id: String,
    /// When the head was complete.
    pub time: SystemTime,
    /// The app.
    pub app: Arc<str>,
    /// Client address after trusted proxies.
    pub client: IpAddr,
    /// Client port.
    pub client_port: u16,
    /// Our address.
    pub server: SocketAddr,
    /// Random bits for the engine.
    pub entropy: u64,
}

/// The head of a request as the engine takes it: as sent, well-formed or not.
#[derive(Clone, Copy, Debug)]
pub struct InspectedHead<'r> {
    /// Method.
    pub method: &'r [u8],
    /// Request target.
    pub target: &'r [u8],
    /// Protocol.
    pub protocol: &'r [u8],
    /// Host in lower case, for the record.
    pub host: &'r Arc<str>,
    /// Header fields.
    pub headers: &'r Headers,
}

impl<'r> From<&'r Request> for InspectedHead<'r> {
    fn from(request: &'r Request) -> Self {
        Self {
            method: &request.method,
            target: &request.target,
            protocol: request.version.as_str().as_bytes(),
            host: &request.host,
            headers: &request.headers,
        }
    }
}

/// One transaction.
pub struct Firewall {
    inspection: Option<Transaction>,
    /// The inspection that has the transaction now.
    away: Option<Away>,
    mode: ProtectionMode,
    metrics: Arc<AppMetrics>,
    context: Arc<Context>,
    log: Option<Arc<dyn TransactionLog>>,
    debug_log: Option<Arc<DebugLog>>,
    record: Box<AuditRecord>,
    /// Whether `SecRequestBodyLimitAction` is `Reject`.
    limit_rejects: bool,
    request_body: usize,
    response_body: usize,
    refused_request: bool,
    finished: bool,
}

/// A phase on a thread of its own.
struct Away {
    phase: usize,
    task: Outcome<(Transaction, Verdict, Duration)>,
}

impl Firewall {
    /// Starts a transaction with the head of a request.
    pub fn begin(
        protection: &Protection,
        transaction: TransactionContext,
        head: InspectedHead<'_>,
        metrics: Arc<AppMetrics>,
        context: Arc<Context>,
    ) -> Self {
        let start = TransactionStart {
            id: transaction.id.clone(),
            unix_time: transaction.time.duration_since(UNIX_EPOCH).unwrap_or_default(),
            entropy: transaction.entropy,
        };
        let client = SocketAddr::new(transaction.client, transaction.client_port);
        let connection = Connection { client, server: transaction.server };
        let mut inspection = Transaction::new(protection.ruleset.clone(), start, connection);
        if let Some(collections) = &protection.collections {
            inspection = inspection.with_store(collections.clone());
        }
        if let Some(lists) = &protection.block_lists {
            inspection = inspection.with_block_lists(lists.clone());
        }
        let debug_log = protection.log.as_ref().and_then(|log| log.debug_log());
        if let Some(debug_log) = &debug_log {
            inspection = inspection.with_trace(debug_log.clone());
        }
        inspection.set_request_line(head.method, head.target, head.protocol);
        for field in head.headers.iter() {
            inspection.add_request_header(&field.name, &field.value);
        }
        let record = AuditRecord {
            id: transaction.id,
            time: transaction.time,
            app: transaction.app,
            client: transaction.client,
            method: loggable(head.method),
            host: head.host.clone(),
            target: loggable(head.target),
            status: 0,
            action: AppliedAction::Passed,
            reason: None,
            headers: Vec::new(),
            context: LogContext::default(),
            matches: Vec::new(),
        };
        Self {
            inspection: Some(inspection),
            away: None,
            mode: protection.mode,
            metrics,
            context,
            log: protection.log.clone(),
            debug_log,
            record: Box::new(record),
            limit_rejects: protection.ruleset.settings().request_body_limit_action == LimitAction::Reject,
            request_body: 0,
            response_body: 0,
            refused_request: false,
            finished: false,
        }
    }

    /// Phase 1.
    pub fn request_headers(&mut self) -> Decision {
        self.run(1, |inspection| inspection.process_request_headers())
    }

    /// Whether the request body has to be read and handed over before phase 2.
    pub fn wants_request_body(&self) -> bool {
        self.inspection.as_ref().is_some_and(|inspection| inspection.inspects_request_body())
    }

    /// Most bytes of a request body that the engine takes.
    pub fn request_body_limit(&self) -> u64 {
        self.inspection.as_ref().map_or(0, |inspection| inspection.request_body_limit() as u64)
    }

    /// Whether a larger one is refused.
    pub fn rejects_larger_requests(&self) -> bool {
        self.limit_rejects
            && self.inspection.as_ref().is_some_and(|inspection| inspection.engine() == EngineMode::On)
    }

    /// Hands over a piece of the request body.
    pub fn request_body_piece(&mut self, piece: &[u8]) -> BodyStatus {
        self.request_body += piece.len();
        let inspection = self.inspection.as_mut();
        inspection.map_or(BodyStatus::LimitReached { reject: true }, |inspection| {
            inspection.append_request_body(piece)
        })
    }

    /// Phase 2. Of large bodies only so many are inspected at a time as `budget` has threads for.
    pub async fn request_body(&mut self, budget: &Budget) -> Decision {
        let process = |inspection: &mut Transaction| inspection.process_request_body();
        self.run_sized(2, self.request_body, budget, process).await
    }

    /// Phase 3.
    pub fn response_headers(&mut self, head: &ResponseHead) -> Decision {
        self.run(3, |inspection| {
            for field in head.headers.iter() {
                inspection.add_response_header(&field.name, &field.value);
            }
            let protocol: &[u8] = if head.http10 { b"HTTP/1.0" } else { b"HTTP/1.1" };
            inspection.process_response_headers(head.status, protocol)
        })
    }

    /// Whether the response body has to be held back until phase 4.
    pub fn wants_response_body(&self) -> bool {
        self.inspection.as_ref().is_some_and(|inspection| inspection.inspects_response_body())
    }

    /// Most bytes of a response body that the engine takes.
    pub fn response_body_limit(&self) -> u64 {
        self.inspection.as_ref().map_or(0, |inspection| inspection.response_body_limit() as u64)
    }

    /// Hands over a piece of the response body.
    pub fn response_body_piece(&mut self, piece: &[u8]) -> BodyStatus {
        self.response_body += piece.len();
        let inspection = self.inspection.as_mut();
        inspection.map_or(BodyStatus::LimitReached { reject: true }, |inspection| {
            inspection.append_response_body(piece)
        })
    }

    /// Phase 4, as phase 2.
    pub async fn response_body(&mut self, budget: &Budget) -> Decision {
        let process = |inspection: &mut Transaction| inspection.process_response_body();
        self.run_sized(4, self.response_body, budget, process).await
    }

    /// Whether what the client sent was refused. An answer that was held back is not the client's doing.
    pub const fn refused_request(&self) -> bool {
        self.refused_request
    }

    /// Whether an inspection is under way, whose caller has left unless he is just waiting for it.
    pub const fn is_inspecting(&self) -> bool {
        self.away.is_some()
    }

    /// Waits for the inspection under way, if one is. A wait that is given up can be taken up again.
    pub async fn settle(&mut self) -> Decision {
        let Some(Away { phase, task }) = &mut self.away else { return Decision::Pass };
        let (phase, ended) = (*phase, task.await);
        self.away = None;
        match ended {
            Ok((inspection, verdict, elapsed)) => {
                self.inspection = Some(inspection);
                self.observe(phase, elapsed);
                self.decide(phase, verdict)
            }
            Err(error) => {
                tracing::error!(id = %self.record.id, %error, "inspection failed; the request is refused");
                self.record.action = AppliedAction::Denied;
                Decision::Deny(500)
            }
        }
    }

    /// Phase 5, with the status that was sent; then the audit record.
    pub fn finish(mut self, status: u16) {
        self.record.status = status;
        self.log();
    }

    /// Phases 1, 2 and 5 for the log of a request that is refused whatever the rules say. Phase 2 is left out when a
    /// body was announced: nobody can tell where it ends.
    pub fn refused(mut self, refusal: Refusal, announces_body: bool) {
        let mut decision = self.request_headers();
        if decision == Decision::Pass && !announces_body {
            decision = self.run(2, Transaction::process_request_body);
        }
        if decision != Decision::Pass {
            self.record.action = AppliedAction::Denied;
        }
        self.record.reason.get_or_insert_with(|| refusal.to_string());
        self.finish(refusal.status());
    }

    fn run(&mut self, phase: usize, work: impl FnOnce(&mut Transaction) -> Verdict) -> Decision {
        let Some(inspection) = self.inspection.as_mut() else { return Decision::Deny(500) };
        let started = Instant::now();
        let verdict = work(inspection);
        self.observe(phase, started.elapsed());
        self.decide(phase, verdict)
    }

    async fn run_sized(
        &mut self,
        phase: usize,
        size: usize,
        budget: &Budget,
        work: impl FnOnce(&mut Transaction) -> Verdict + Send + 'static,
    ) -> Decision {
        if size <= INLINE_BODY {
            return self.run(phase, work);
        }
        let Some(mut inspection) = self.inspection.take() else { return Decision::Deny(500) };
        let task = budget.inspections().submit(move || {
            let started = Instant::now();
            let verdict = work(&mut inspection);
            (inspection, verdict, started.elapsed())
        });
        self.away = Some(Away { phase, task });
        self.settle().await
    }

    fn observe(&self, phase: usize, elapsed: Duration) {
        if let Some(histogram) = self.metrics.inspection.get(phase - 1) {
            histogram.observe(elapsed);
        }
    }

    fn decide(&mut self, phase: usize, verdict: Verdict) -> Decision {
        let Verdict::Interrupt(Interruption { action, status, url, log, .. }) = verdict else {
            return Decision::Pass;
        };
        self.record.reason = Some(log);
        if self.mode == ProtectionMode::Detect {
            self.record.action = AppliedAction::Detected;
            return Decision::Pass;
        }
        let error_status = if (400..600).contains(&status) { status } else { 403 };
        let (applied, decision) = match (action, url) {
            (Disruption::Drop, _) => (AppliedAction::Dropped, Decision::Drop),
            (Disruption::Redirect, Some(to)) => {
                let status = if matches!(status, 301 | 302 | 303 | 307 | 308) { status } else { 302 };
                match crate::http1::field::check_value(to.as_bytes()) {
                    Ok(()) => (AppliedAction::Redirected, Decision::Redirect(status, to)),
                    Err(_) => (AppliedAction::Denied, Decision::Deny(403)),
                }
            }
            // `proxy` would send the request to a place of the rule's choice; it is refused instead.
            _ => (AppliedAction::Denied, Decision::Deny(error_status)),
        };
        self.record.action = applied;
        self.refused_request = phase <= 2;
        decision
    }

    /// Runs phase 5 and emits the record, once.
    fn log(&mut self) {
        if std::mem::replace(&mut self.finished, true) {
            return;
        }
        if let Some(inspection) = self.inspection.as_mut() {
            let started = Instant::now();
            inspection.set_elapsed(self.record.time.elapsed().unwrap_or_default());
            inspection.process_logging();
            let elapsed = started.elapsed();
            let logged = inspection.matches().iter().filter(|found| found.logged || found.audit);
            self.record.matches.extend(logged.cloned());
            self.observe(5, elapsed);
        }
        for found in &self.record.matches {
            self.metrics.count_rule(found.rule_id);
        }
        self.metrics.count_verdict(self.record.action as usize);
        self.write_logs();
        let silent = self.record.matches.is_empty() && self.record.action == AppliedAction::Passed;
        if !silent && self.context.events.is_enabled() {
            self.record.context = self.inspection.as_ref().map(Transaction::log_context).unwrap_or_default();
            self.mask_head();
            self.context.events.send(Event::Audit(self.record.clone()), &self.context.metrics);
        }
    }

    /// The head of the request as it may be shown, in the event.
    fn mask_head(&mut self) {
        match self.inspection.as_mut() {
            Some(inspection) => {
                let head = inspection.shown_head();
                self.record.target = loggable(head.target.as_bytes());
                self.record.headers = head.headers;
            }
            None => self.record.target = loggable(&hop3_waf::masking::text(self.record.target.as_bytes())),
        }
    }

    /// Hands over the audit record and the debug log, where they are wanted; what is dropped is counted.
    fn write_logs(&mut self) {
        let (Some(log), Some(inspection)) = (&self.log, self.inspection.as_mut()) else { return };
        let status = self.record.status;
        let mut dropped = 0;
        if log.wants_audit() && inspection.audit_relevant_with(status) {
            let (_, parts) = inspection.audit();
            let mut record = inspection.audit_record();
            // What was sent, whatever the rules wanted.
            record.response.status = status;
            dropped += u64::from(log.audit(record, parts).is_err());
        }
        if let Some(debug_log) = &self.debug_log {
            let lines = debug_log.take(&self.record.id, &inspection.log_context().uri);
            dropped += u64::from(!lines.is_empty() && log.debug(lines).is_err());
        }
        if dropped > 0 {
            self.context.metrics.events_dropped.fetch_add(dropped, Ordering::Relaxed);
        }
    }
}

impl Drop for Firewall {
    fn drop(&mut self) {
        self.log();
    }
}

impl std::fmt::Debug for Firewall {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Firewall").field("record", &self.record).finish_non_exhaustive()
    }
}
