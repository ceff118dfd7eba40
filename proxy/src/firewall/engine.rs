//! The engine as the proxy sees it.

use std::net::SocketAddr;
use std::time::Duration;

/// Time, identity and chance of a transaction.
#[derive(Clone, Debug)]
pub struct TransactionStart {
    /// `UNIQUE_ID`.
    pub id: String,
    /// Since 1970.
    pub unix_time: Duration,
    /// Random bits.
    pub entropy: u64,
}

/// Ends of the connection.
#[derive(Clone, Copy, Debug)]
pub struct Connection {
    /// The client.
    pub client: SocketAddr,
    /// We.
    pub server: SocketAddr,
}

/// Outcome of a phase.
#[must_use]
#[derive(Clone, Debug)]
pub enum Verdict {
    /// Go on.
    Pass,
    /// Stop here.
    Interrupt(Interruption),
}

/// What a disruptive rule asks for.
#[derive(Clone, Debug)]
pub struct Interruption {
    /// The rule.
    pub rule_id: u64,
    /// How to stop.
    pub action: Disruption,
    /// Status to answer with.
    pub status: u16,
}

/// Ways to stop a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Disruption {
    /// Answer with an error.
    Deny,
    /// Close the connection without an answer.
    Drop,
    /// Answer with a redirect.
    Redirect(String),
}

/// Whether a piece of a body was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyStatus {
    /// It was.
    Accepted,
    /// The limit is reached.
    LimitReached {
        /// Whether the transaction is to be refused.
        reject: bool,
    },
}

/// A rule that matched.
#[derive(Clone, Debug)]
pub struct RuleMatch {
    /// The rule.
    pub rule_id: u64,
    /// Its message, expanded.
    pub message: String,
    /// Whether it is to be logged.
    pub logged: bool,
    /// Whether it belongs into the audit log.
    pub audit: bool,
}

/// A compiled ruleset.
pub trait Ruleset: Send + Sync + std::fmt::Debug {
    /// Starts a transaction.
    fn begin(&self, start: TransactionStart, connection: Connection) -> Box<dyn Inspection>;
}

/// One transaction.
pub trait Inspection: Send {
    /// The request line.
    fn set_request_line(&mut self, method: &[u8], target: &[u8], protocol: &[u8]);
    /// A request header field.
    fn add_request_header(&mut self, name: &[u8], value: &[u8]);
    /// Phase 1.
    fn process_request_headers(&mut self) -> Verdict;
    /// Whether the body is wanted.
    fn inspects_request_body(&self) -> bool;
    /// A piece of the request body.
    fn append_request_body(&mut self, chunk: &[u8]) -> BodyStatus;
    /// Phase 2.
    fn process_request_body(&mut self) -> Verdict;
    /// A response header field.
    fn add_response_header(&mut self, name: &[u8], value: &[u8]);
    /// Phase 3.
    fn process_response_headers(&mut self, status: u16, protocol: &[u8]) -> Verdict;
    /// Whether the response body is wanted.
    fn inspects_response_body(&self) -> bool;
    /// A piece of the response body.
    fn append_response_body(&mut self, chunk: &[u8]) -> BodyStatus;
    /// Phase 4.
    fn process_response_body(&mut self) -> Verdict;
    /// Phase 5.
    fn process_logging(&mut self);
    /// All matches.
    fn matches(&self) -> &[RuleMatch];
}
