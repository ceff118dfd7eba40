//! What an engine says about an exchange, and how two answers differ.

use std::collections::BTreeMap;
use std::fmt;

use super::setup::SCORES;

/// The answer of one engine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// The rules it logged, each with its phase.
    pub rules: BTreeMap<u64, u8>,
    /// The first phase in which it stopped the exchange, and the status it wants.
    pub stop: Option<(u8, u16)>,
    /// The anomaly scores that the rule set reported last.
    pub scores: String,
    /// The log lines, for people.
    pub lines: Vec<String>,
}

/// Rules that follow from the scores of others.
fn is_derived(rule: u64) -> bool {
    matches!(rule / 1000, 949 | 959 | 980)
}

impl Observed {
    /// Notes a rule that was logged with its message.
    pub fn log(&mut self, rule: u64, phase: u8, message: &str) {
        self.rules.entry(rule).or_insert(phase);
        if rule == SCORES {
            self.scores = message.to_owned();
        }
    }
}

/// Which engine logged more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// This one.
    Hop3,
    /// The other.
    Libmodsecurity,
}

/// One thing in which two answers differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    /// Only one side logged a rule.
    Logged {
        /// The rule.
        rule: u64,
        /// The side that logged it.
        by: Side,
    },
    /// Both logged a rule, in different phases.
    Phase {
        /// The rule.
        rule: u64,
    },
    /// The same rules are logged, the scores differ: this engine's, then the other's.
    Scores(String, String),
    /// The same rules are logged, the decisions differ: this engine's, then the other's.
    Stop(Option<(u8, u16)>, Option<(u8, u16)>),
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Logged { rule, by } => write!(f, "{rule} by {by:?} alone"),
            Self::Phase { rule } => write!(f, "{rule} in another phase"),
            Self::Scores(ours, theirs) => write!(f, "scores {ours:?} and {theirs:?}"),
            Self::Stop(ours, theirs) => write!(f, "stopped {ours:?} and {theirs:?}"),
        }
    }
}

/// Everything in which two answers differ. What follows from scores or decisions is told only when nothing else is.
pub fn differences(ours: &Observed, theirs: &Observed) -> Vec<Difference> {
    // Where one side stopped, the other goes on: what it then logs follows from the decision.
    let last = [ours.stop, theirs.stop].into_iter().flatten().map(|(phase, _)| phase).min().unwrap_or(5);
    let follows = |rule: &u64| {
        is_derived(*rule)
            || [ours, theirs].iter().filter_map(|side| side.rules.get(rule)).all(|phase| *phase > last)
    };
    let (derived, mut found): (Vec<_>, Vec<_>) = logged(ours, theirs).into_iter().partition(|difference| {
        matches!(difference, Difference::Logged { rule, .. } | Difference::Phase { rule } if follows(rule))
    });
    if !found.is_empty() {
        return found;
    }
    found = derived;
    if ours.scores != theirs.scores {
        found.push(Difference::Scores(ours.scores.clone(), theirs.scores.clone()));
    }
    if ours.stop != theirs.stop {
        found.push(Difference::Stop(ours.stop, theirs.stop));
    }
    found
}

fn logged(ours: &Observed, theirs: &Observed) -> Vec<Difference> {
    let mut found = Vec::new();
    for (&rule, phase) in &ours.rules {
        match theirs.rules.get(&rule) {
            None => found.push(Difference::Logged { rule, by: Side::Hop3 }),
            Some(other) if other != phase => found.push(Difference::Phase { rule }),
            Some(_) => {}
        }
    }
    let missing = theirs.rules.keys().filter(|rule| !ours.rules.contains_key(rule));
    found.extend(missing.map(|&rule| Difference::Logged { rule, by: Side::Libmodsecurity }));
    found
}
