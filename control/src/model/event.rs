//! What the firewall reported about one transaction.

use hop3_runtimes::names::AppName;
use serde::{Deserialize, Serialize};

use super::Timestamp;

/// A transaction in which at least one rule matched that asks to be logged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirewallEvent {
    /// When the transaction ended.
    pub time: Timestamp,
    /// The transaction's id, the same that the refusal page shows.
    pub transaction: String,
    /// The app or the static route it was for.
    pub app: String,
    /// The client's address.
    pub client: String,
    /// Request method.
    pub method: String,
    /// Request target as the client sent it, secrets masked, cut to a bounded length.
    pub uri: String,
    /// The status the client received.
    pub status: u16,
    /// Whether the request or its response was refused.
    pub blocked: bool,
    /// Why it was refused, when no rule says so (a limit of the engine).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The rules that matched, in order.
    pub rules: Vec<RuleHit>,
}

/// One rule that matched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleHit {
    /// The rule's id.
    pub id: u64,
    /// Its message, expanded.
    pub message: String,
    /// Its matched data, secrets masked, cut to a bounded length.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub data: String,
    /// Its severity in SecLang's words, e.g. `CRITICAL`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity: Option<String>,
}

impl FirewallEvent {
    /// Whether the event belongs to `app`.
    pub fn is_of(&self, app: &AppName) -> bool {
        self.app == app.as_str()
    }
}
