//! The public face of one request and its response.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hop3_seclang::ast::{AuditEngine, AuditParts, EngineMode, LimitAction, Phase, Variable};

use crate::audit::AuditTransaction;
use crate::collections::persistent::CollectionStore;
use crate::rule_match::{LogContext, RuleMatch};
use crate::ruleset::Ruleset;
use crate::state::State;
use crate::trace::Event;
use crate::verdict::{BodyStatus, Interruption, Verdict};

/// The two ends of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connection {
    /// Who asks.
    pub client: SocketAddr,
    /// Who was asked.
    pub server: SocketAddr,
}

/// What the host knows when a transaction begins; the engine has no clock and
/// no randomness of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransactionStart {
    /// The transaction's id (`UNIQUE_ID`), unique and safe to show.
    pub id: String,
    /// Now, since the epoch.
    pub unix_time: Duration,
    /// Random bits.
    pub entropy: u64,
}

/// The head of a request as it may be shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShownHead {
    /// Target.
    pub target: String,
    /// Header lines in order.
    pub headers: Vec<(String, String)>,
}

/// One request/response pair. Feed, then evaluate, phase by phase; never
/// panics, whatever the order and the bytes.
#[derive(Debug)]
pub struct Transaction {
    ruleset: Arc<Ruleset>,
    /// Large, and moved about with the transaction.
    state: Box<State>,
    start: TransactionStart,
    connection: Connection,
    /// The last phase that ran.
    reached: Option<Phase>,
}

impl Transaction {
    /// Begins a transaction.
    pub fn new(ruleset: Arc<Ruleset>, start: TransactionStart, connection: Connection) -> Self {
        let mut state = Box::new(State::new(&ruleset, start.unix_time));
        state.set_connection(&start.id, connection.client, connection.server);
        Self { ruleset, state, start, connection, reached: None }
    }

    /// Uses a store for persistent collections; without one they live as long as the transaction.
    #[must_use]
    pub fn with_store(mut self, store: Arc<dyn CollectionStore>) -> Self {
        self.state.store = Some(store);
        self
    }

    /// Lets `@rbl` ask the host's block lists; without them it never matches.
    #[must_use]
    pub fn with_block_lists(mut self, lists: Arc<dyn crate::operators::BlockLists>) -> Self {
        self.state.block_lists = Some(lists);
        self
    }

    /// Has an observer watch the evaluation.
    #[must_use]
    pub fn with_trace(mut self, trace: Arc<dyn crate::trace::Trace>) -> Self {
        self.state.trace = Some(trace);
        self
    }

    /// Evaluates rule by rule, without the scan that chooses the rules: the
    /// reference that the scan is held against, and slower by orders of magnitude.
    #[must_use]
    pub fn with_plain_evaluation(mut self) -> Self {
        self.state.scans = false;
        self
    }

    /// Has each match tell where it stood ([`RuleMatch::reference`]). That
    /// takes reading the request again for every match, so it is off by default.
    #[must_use]
    pub fn with_references(mut self) -> Self {
        self.state.references = true;
        self
    }

    /// Tells how long the transaction has been going on (`DURATION`, `TIME`).
    pub fn set_elapsed(&mut self, elapsed: Duration) {
        self.state.elapsed = elapsed;
    }

    /// Sets a variable of the environment (`ENV`).
    pub fn set_environment(&mut self, name: &[u8], value: &[u8]) {
        let field = self.state.field(name, value);
        self.state.collections.env.push(field);
    }

    /// The request line exactly as the client sent it, e.g. `b"GET"`, `b"/a?b=1"`, `b"HTTP/1.1"`.
    pub fn set_request_line(&mut self, method: &[u8], target: &[u8], protocol: &[u8]) {
        self.state.set_request_line(&self.ruleset, method, target, protocol);
    }

    /// A header line as sent, in order, repeated ones too.
    pub fn add_request_header(&mut self, name: &[u8], value: &[u8]) {
        self.state.add_request_header(name, value);
    }

    /// Phase 1.
    pub fn process_request_headers(&mut self) -> Verdict {
        self.run_once(Phase::RequestHeaders)
    }

    /// Whether the body has to be handed in; final after phase 1.
    pub fn inspects_request_body(&self) -> bool {
        self.state.engine != EngineMode::Off && self.state.request_body_access
    }

    /// Most bytes of a request body that are kept.
    pub fn request_body_limit(&self) -> usize {
        self.state.request_body_limit
    }

    /// Hands in a piece of the request body.
    pub fn append_request_body(&mut self, chunk: &[u8]) -> BodyStatus {
        if !self.inspects_request_body() {
            return BodyStatus::Accepted;
        }
        let state = &mut self.state;
        let (length, limit) = (chunk.len(), state.request_body_limit);
        state.trace(|_| Event::BodyPiece { of_response: false, length, limit });
        state.expect_request_body();
        if !keep(state.texts.body_mut(), chunk, state.request_body_limit) {
            return BodyStatus::Accepted;
        }
        state.inbound_data_error = true;
        let reject = state.engine == EngineMode::On
            && self.ruleset.settings.request_body_limit_action == LimitAction::Reject;
        state.trace(|_| Event::BodyOverLimit { of_response: false, reject });
        if reject {
            state.refuse(Phase::RequestBody, 413, "The request body is larger than SecRequestBodyLimit.");
        }
        BodyStatus::LimitReached { reject }
    }

    /// Parses the body and runs phase 2. Always to be called, body or not.
    pub fn process_request_body(&mut self) -> Verdict {
        if self.reached.is_none() {
            let _ = self.process_request_headers();
        }
        if self.reached < Some(Phase::RequestBody) && self.state.engine != EngineMode::Off {
            self.state.read_request_body(&self.ruleset);
        }
        self.run_once(Phase::RequestBody)
    }

    /// A response header as the back end sent it.
    pub fn add_response_header(&mut self, name: &[u8], value: &[u8]) {
        self.state.add_response_header(name, value);
    }

    /// Phase 3.
    pub fn process_response_headers(&mut self, status: u16, protocol: &[u8]) -> Verdict {
        self.state.set_response_line(status, protocol);
        self.run_once(Phase::ResponseHeaders)
    }

    /// Whether the response body has to be handed in: access is on and its type is listed.
    pub fn inspects_response_body(&self) -> bool {
        self.state.engine != EngineMode::Off && self.state.inspects_response_body(&self.ruleset)
    }

    /// Most bytes of a response body that are kept.
    pub fn response_body_limit(&self) -> usize {
        self.state.response_body_limit
    }

    /// Hands in a piece of the response body as the back end sent it; what
    /// Content-Encoding says is undone for inspection.
    pub fn append_response_body(&mut self, chunk: &[u8]) -> BodyStatus {
        if !self.inspects_response_body() {
            return BodyStatus::Accepted;
        }
        let state = &mut self.state;
        let (length, limit) = (chunk.len(), state.response_body_limit);
        state.trace(|_| Event::BodyPiece { of_response: true, length, limit });
        if !keep(&mut state.response_body, chunk, state.response_body_limit) {
            return BodyStatus::Accepted;
        }
        state.outbound_data_error = true;
        let reject = state.engine == EngineMode::On
            && self.ruleset.settings.response_body_limit_action == LimitAction::Reject;
        state.trace(|_| Event::BodyOverLimit { of_response: true, reject });
        if reject {
            state.refuse(Phase::ResponseBody, 502, "The response body is larger than SecResponseBodyLimit.");
        }
        BodyStatus::LimitReached { reject }
    }

    /// Phase 4. Always to be called, body or not.
    pub fn process_response_body(&mut self) -> Verdict {
        if self.reached < Some(Phase::ResponseBody) {
            self.state.read_response_body(&self.ruleset);
        }
        self.run_once(Phase::ResponseBody)
    }

    /// Phase 5, once.
    pub fn process_logging(&mut self) {
        if self.reached == Some(Phase::Logging) {
            return;
        }
        // Phase 5 cannot interrupt.
        let _ = self.run_once(Phase::Logging);
    }

    /// Runs a phase unless it, or a later one, ran before.
    fn run_once(&mut self, phase: Phase) -> Verdict {
        if self.reached >= Some(phase) {
            return self.state.verdict();
        }
        self.reached = Some(phase);
        let verdict = self.state.run_phase(&self.ruleset, phase);
        self.write_records();
        verdict
    }

    /// Applies what rules changed about persistent records to the store, so
    /// that other transactions see it while this one goes on.
    fn write_records(&mut self) {
        let Some(store) = &self.state.store else { return };
        let timeout = self.ruleset.settings.collection_timeout;
        for record in &mut self.state.records {
            record.flush(&**store, self.start.unix_time, timeout);
        }
    }

    /// The rules that matched and are logged, audited or disruptive, in order.
    pub fn matches(&self) -> &[RuleMatch] {
        &self.state.matches
    }

    /// The decision against the transaction, if there is one.
    pub fn interruption(&self) -> Option<&Interruption> {
        self.state.interruption.as_ref()
    }

    /// The transaction's id.
    pub fn id(&self) -> &str {
        &self.start.id
    }

    /// The ends of the connection.
    pub fn connection(&self) -> Connection {
        self.connection
    }

    /// Whether rules run and may interrupt, `ctl:ruleEngine` considered.
    pub fn engine(&self) -> EngineMode {
        self.state.engine
    }

    /// Which parts of the audit log are wanted, and when; `ctl` considered.
    pub fn audit(&self) -> (AuditEngine, AuditParts) {
        (self.state.audit_engine, self.state.audit_log_parts)
    }

    /// Whether the transaction belongs in the audit log (`SecAuditEngine`,
    /// `SecAuditLogRelevantStatus`, `auditlog`); final after phase 5.
    pub fn audit_relevant(&self) -> bool {
        self.state.is_audit_relevant(&self.ruleset, None)
    }

    /// The same, when the host answered with a status that the engine did not see.
    pub fn audit_relevant_with(&self, status: u16) -> bool {
        let relevant = self.state.is_audit_relevant(&self.ruleset, Some(status));
        let pattern = self.ruleset.settings.audit_relevant_status.as_deref().unwrap_or_default();
        self.state.trace(|state| Event::AuditDecided {
            engine: state.audit_engine,
            status,
            pattern,
            relevant,
        });
        relevant
    }

    /// The head of the request as it may be shown: bounded and masked. Bytes that are no UTF-8 are replaced.
    pub fn shown_head(&mut self) -> ShownHead {
        self.state.shown_head()
    }

    /// What the audit log says about the transaction, bounded and masked.
    pub fn audit_record(&mut self) -> AuditTransaction {
        let context = self.log_context();
        let Connection { client, server } = self.connection;
        self.state.audit_record(&self.ruleset, &context, client, server)
    }

    /// The value of a TX variable, for reports such as the anomaly score.
    pub fn tx(&self, name: &str) -> Option<Vec<u8>> {
        let slot = self.state.tx.find(&self.ruleset.tx_names, name.as_bytes())?;
        let mut text = Vec::new();
        self.state.tx.get(slot)?.write(&mut text);
        Some(text)
    }

    /// What log lines say about this transaction.
    pub fn log_context(&self) -> LogContext {
        let text = |variable| String::from_utf8_lossy(self.state.bytes(variable)).into_owned();
        LogContext {
            client: text(Variable::RemoteAddr),
            hostname: match text(Variable::ServerName) {
                name if name.is_empty() => text(Variable::ServerAddr),
                name => name,
            },
            uri: text(Variable::RequestFilename),
            unique_id: self.start.id.clone(),
        }
    }
}

/// Keeps what fits; whether the limit was reached.
fn keep(body: &mut Vec<u8>, chunk: &[u8], limit: usize) -> bool {
    let room = limit.saturating_sub(body.len());
    body.extend_from_slice(&chunk[..chunk.len().min(room)]);
    chunk.len() > room
}
