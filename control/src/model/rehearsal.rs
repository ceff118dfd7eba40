//! What a request led to when it was put before the rules, and why.

use serde::{Deserialize, Serialize};

use super::{FirewallEvent, RuleHit};

/// A request put before rules that nobody is behind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rehearsal {
    /// The rules: `base`, `owasp-crs`, or a path.
    pub ruleset: String,
    /// Their version, where they have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Rules loaded.
    pub rule_count: usize,
    /// The first line of the request, for people.
    pub request: String,
    /// What would have been done.
    pub outcome: Outcome,
    /// The rules that matched and are logged, in order.
    pub rules: Vec<RuleHit>,
    /// What would let the request pass, when it was refused or found suspicious.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exclusion: Option<Exclusion>,
}

/// The end of an inspection.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// What would have been done.
    pub action: Action,
    /// The status of the refusal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Why it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Anomaly score of the request, where the rules count one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<i64>,
    /// The score at which requests are refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<i64>,
}

/// What is done to a request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// It goes on to the app.
    #[default]
    Pass,
    /// It would be refused, but the rules only detect.
    Detect,
    /// It is refused.
    Deny,
    /// It is redirected.
    Redirect,
    /// Its connection is closed.
    Drop,
}

/// Lines for `hop3.toml` that silence the rules that matched, for what they matched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exclusion {
    /// `[[waf.tuning]]` tables, ready to be pasted.
    pub toml: String,
    /// What the same request leads to with them; `None` when that was not tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// Rules that still match with them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remaining: Vec<u64>,
}

/// A logged transaction, explained.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// What was logged; transformation steps are filled in where they could be worked out again.
    pub event: FirewallEvent,
    /// Whether the logged head of the request, put before today's rules, leads to the same rules.
    pub reproduced: bool,
    /// What it leads to, when it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// What would let the request pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exclusion: Option<Exclusion>,
}
