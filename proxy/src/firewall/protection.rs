//! What a route's firewall is made of, and what its verdicts may do.

use std::sync::Arc;

use hop3_waf::{BlockLists, CollectionStore, Ruleset};

use crate::transaction_log::TransactionLog;

/// The firewall of a route.
#[derive(Clone)]
pub struct Protection {
    /// The compiled rules.
    pub ruleset: Arc<Ruleset>,
    /// What verdicts do. A ruleset with `SecRuleEngine DetectionOnly` never interrupts, whatever stands here.
    pub mode: ProtectionMode,
    /// Where persistent collections (`initcol`) live; without it they end with each transaction.
    pub collections: Option<Arc<dyn CollectionStore>>,
    /// What `@rbl` asks; without it it never matches.
    pub block_lists: Option<Arc<dyn BlockLists>>,
    /// Where audit records and debug logs go.
    pub log: Option<Arc<dyn TransactionLog>>,
}

impl Protection {
    /// A firewall that blocks, without persistent collections, block lists and logs.
    pub const fn new(ruleset: Arc<Ruleset>) -> Self {
        Self { ruleset, mode: ProtectionMode::Block, collections: None, block_lists: None, log: None }
    }

    /// Whether responses are inspected, so that back ends are asked for uncompressed ones.
    pub fn inspects_responses(&self) -> bool {
        self.ruleset.settings().response_body_access
    }
}

impl std::fmt::Debug for Protection {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let rules = self.ruleset.rule_count();
        out.debug_struct("Protection")
            .field("mode", &self.mode)
            .field("rules", &rules)
            .finish_non_exhaustive()
    }
}

/// What verdicts do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProtectionMode {
    /// Disruptive verdicts stop the request.
    Block,
    /// Verdicts are logged and counted only.
    Detect,
}

/// What was done to a request because of the firewall.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppliedAction {
    /// Nothing.
    Passed,
    /// It would have been stopped, but the mode is detection only.
    Detected,
    /// It was answered with an error.
    Denied,
    /// It was redirected.
    Redirected,
    /// Its connection was closed.
    Dropped,
}

impl AppliedAction {
    /// `pass`, `detect`, `deny`, `redirect` or `drop`, as in metrics.
    pub const fn as_str(self) -> &'static str {
        crate::metrics::app::ACTIONS[self as usize]
    }
}
