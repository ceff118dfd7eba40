//! What the firewall reports: counted, bounded, kept. Secrets are masked by the engine before.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use hop3_proxy::{AppliedAction, AuditRecord};

use super::rehearsal::escaped;
use crate::model::{FirewallEvent, RuleHit, Timestamp, ValueHit};

/// Longest request target that is kept, in bytes.
const TARGET_LIMIT: usize = 1024;
/// Longest matched data that is kept, in bytes.
const DATA_LIMIT: usize = 400;
/// Most rules kept of one transaction.
const RULES_LIMIT: usize = 40;
/// Most matched values kept of one rule.
const VALUES_LIMIT: usize = 8;
/// Most bytes of matched values kept of one transaction: a client that sends much is not to fill the disk.
const VALUES_ROOM: usize = 8 * 1024;
/// Longest matched value or operator's argument that is kept, in bytes.
const VALUE_LIMIT: usize = 200;

/// Transactions since the server started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Refused.
    pub blocked: u64,
    /// Matched and let through.
    pub detected: u64,
}

/// Counts by app or route.
#[derive(Debug, Default)]
pub struct Watch(Mutex<HashMap<String, Counts>>);

impl Watch {
    /// Counts a record and turns it into the event that is kept; `None` when nobody wants to read of it.
    pub fn observe(&self, record: &AuditRecord) -> Option<FirewallEvent> {
        let event = event(record);
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let counts = counts.entry(event.app.clone()).or_default();
        if event.blocked {
            counts.blocked += 1;
        } else if !event.rules.is_empty() {
            counts.detected += 1;
        }
        (event.blocked || !event.rules.is_empty()).then_some(event)
    }

    /// What was counted for an app or route.
    pub fn counts(&self, app: &str) -> Counts {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(app).copied().unwrap_or_default()
    }

    /// Forgets an app.
    pub fn forget(&self, app: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(app);
    }
}

fn event(record: &AuditRecord) -> FirewallEvent {
    let blocked =
        matches!(record.action, AppliedAction::Denied | AppliedAction::Redirected | AppliedAction::Dropped);
    FirewallEvent {
        time: Timestamp::from(record.time),
        transaction: record.id.clone(),
        app: record.app.to_string(),
        client: record.client.to_string(),
        host: record.host.to_string(),
        method: record.method.clone(),
        uri: cut(&record.target, TARGET_LIMIT),
        headers: record.headers.clone(),
        status: record.status,
        blocked,
        reason: record.reason.as_deref().map(|reason| cut(reason, DATA_LIMIT)),
        rules: bounded(record.matches.iter().take(RULES_LIMIT).map(hit).collect()),
    }
}

/// The rules with as many values as there is room for.
fn bounded(mut rules: Vec<RuleHit>) -> Vec<RuleHit> {
    let mut room = VALUES_ROOM;
    for rule in &mut rules {
        rule.values.retain(|value| match room.checked_sub(value.variable.len() + value.value.len()) {
            Some(rest) => {
                room = rest;
                true
            }
            None => false,
        });
    }
    rules
}

/// A matching rule as it is kept.
fn hit(found: &hop3_waf::RuleMatch) -> RuleHit {
    let values = found.matched.iter().take(VALUES_LIMIT).map(|matched| ValueHit {
        variable: cut(&matched.variable, VALUE_LIMIT),
        value: cut(&escaped(&matched.value), VALUE_LIMIT),
        ..ValueHit::default()
    });
    RuleHit {
        id: found.rule_id,
        message: cut(&found.message, DATA_LIMIT),
        data: cut(&found.data, DATA_LIMIT),
        severity: found.severity.map(|severity| format!("{severity:?}").to_uppercase()),
        phase: found.phase,
        file: found.rule_file.to_string(),
        line: found.rule_line,
        operator: found.operator.clone(),
        argument: cut(&found.parameter, VALUE_LIMIT),
        disruptive: found.disruptive,
        values: values.collect(),
    }
}

/// `text` cut to at most `limit` bytes at a character's border, with `…` where something is missing.
fn cut(text: &str, limit: usize) -> String {
    if text.len() <= limit {
        return text.to_owned();
    }
    format!("{}…", &text[..text.floor_char_boundary(limit)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_leave_whole_characters() {
        assert_eq!(cut("/ééé", 4), "/é…");
        assert_eq!(cut("/ééé", 7), "/ééé");
    }

    #[test]
    fn values_of_one_transaction_have_bounded_room() {
        let value = ValueHit { value: "x".repeat(VALUE_LIMIT), ..ValueHit::default() };
        let rule = RuleHit { values: vec![value; VALUES_LIMIT], ..RuleHit::default() };
        let kept = bounded(vec![rule; RULES_LIMIT]);
        assert_eq!(kept.len(), RULES_LIMIT, "every rule is named");
        let values: usize = kept.iter().map(|rule| rule.values.len()).sum();
        assert_eq!(values, VALUES_ROOM / VALUE_LIMIT);
    }
}
