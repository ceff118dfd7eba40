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
    /// The host that was asked, in lower case; empty in records of older versions.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub host: String,
    /// Request method.
    pub method: String,
    /// Request target as the client sent it, secrets masked, cut to a bounded length.
    pub uri: String,
    /// Header lines of the request in order, secrets masked, bounded; empty in records of older versions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
    /// The status the client received.
    pub status: u16,
    /// Whether the request or its response was refused.
    pub blocked: bool,
    /// Why it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The rules that matched, in order.
    pub rules: Vec<RuleHit>,
}

/// One rule that matched.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RuleHit {
    /// The rule's id.
    pub id: u64,
    /// Its message, expanded, secrets masked.
    pub message: String,
    /// Its matched data, secrets masked, cut to a bounded length.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub data: String,
    /// Its severity in SecLang's words, e.g. `CRITICAL`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub severity: Option<String>,
    /// The phase, 1 to 5; 0 in records of older versions.
    pub phase: u8,
    /// The file it stands in.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub file: String,
    /// Its line there, from 1.
    pub line: u32,
    /// The operator that completed the match, as ModSecurity spells it in its log, e.g. `Rx`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub operator: String,
    /// Its argument, expanded and shortened.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub argument: String,
    /// Whether this rule refused the transaction.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub disruptive: bool,
    /// The values that matched, the whole chain's, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<ValueHit>,
}

/// A value that matched. Texts are bounded; bytes that are no printable UTF-8 are written `\xHH`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ValueHit {
    /// Where it stood, e.g. `ARGS:id`.
    pub variable: String,
    /// The value that the operator was given.
    pub value: String,
    /// The value before all transformations, when it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub original: Option<String>,
    /// The transformations in order, when they are known.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<Step>,
    /// The bytes that matched, where the rule captures them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub matched: Option<String>,
}

/// One transformation of a value.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Its name in SecLang, e.g. `urlDecodeUni`.
    pub transformation: String,
    /// The value after it; `None` when it changed nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

impl FirewallEvent {
    /// Whether the event belongs to `app`.
    pub fn is_of(&self, app: &AppName) -> bool {
        self.app == app.as_str()
    }
}
