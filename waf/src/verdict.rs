//! What the engine tells the host.

use hop3_seclang::ast::AllowScope;

/// Whether the transaction may go on.
#[must_use]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may.
    Pass,
    /// It may not; only with `SecRuleEngine On`.
    Interrupt(Interruption),
}

/// A decision against a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interruption {
    /// The rule that decided; 0 for a limit of the engine.
    pub rule_id: u64,
    /// What to do.
    pub action: Disruption,
    /// The HTTP status to answer with.
    pub status: u16,
    /// Where to redirect to.
    pub url: Option<String>,
    /// One line for the log.
    pub log: String,
    /// The phase, 1 to 5.
    pub phase: u8,
}

/// What an interruption asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Disruption {
    /// Answer with the status.
    Deny,
    /// Close the connection without an answer.
    Drop,
    /// Answer with a redirect to the URL.
    Redirect,
    /// Forward to the URL instead (`proxy`); a host that cannot must deny.
    Proxy,
}

/// What became of a piece of a body.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyStatus {
    /// It was kept for inspection, or is not inspected at all.
    Accepted,
    /// The limit was reached: what fits was kept.
    LimitReached {
        /// The host must refuse the transaction: a request with 413, a response with 502.
        reject: bool,
    },
}

/// How far an `allow` reaches.
pub(crate) type Allowance = AllowScope;
