//! `ctl`: what one transaction changes about its rules and settings.
//!
//! Which rules a removal means is worked out at load, so that at run time it
//! is a few bits.

use hop3_seclang::ast::{AuditEngine, BodyProcessor, EngineMode, PartsChange, Variable, XmlIntoArgs};

use crate::rule::{RuleIndex, Selector};

/// A `ctl` action.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Control {
    Engine(EngineMode),
    AuditEngine(AuditEngine),
    AuditLogParts(PartsChange),
    DebugLogLevel(u8),
    ForceRequestBodyVariable(bool),
    ForceResponseBodyVariable(bool),
    RequestBodyAccess(bool),
    RequestBodyLimit(usize),
    RequestBodyProcessor(BodyProcessor),
    ResponseBodyAccess(bool),
    ResponseBodyLimit(usize),
    ResponseBodyProcessor(BodyProcessor),
    XmlIntoArgs(XmlIntoArgs),
    RemoveRules(RuleSelection),
    RemoveTarget(RuleSelection, Variable, Selector),
}

/// A set of rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RuleSelection {
    words: Vec<u64>,
}

impl RuleSelection {
    pub(crate) fn insert(&mut self, rule: RuleIndex) {
        let word = rule.0 as usize / 64;
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        self.words[word] |= 1 << (rule.0 % 64);
    }

    pub(crate) fn contains(&self, rule: RuleIndex) -> bool {
        self.words.get(rule.0 as usize / 64).is_some_and(|word| word & (1 << (rule.0 % 64)) != 0)
    }

    /// Whether a rule is in both.
    pub(crate) fn intersects(&self, other: &Self) -> bool {
        self.words.iter().zip(&other.words).any(|(word, other)| word & other != 0)
    }

    pub(crate) fn extend(&mut self, other: &Self) {
        if other.words.len() > self.words.len() {
            self.words.resize(other.words.len(), 0);
        }
        self.words.iter_mut().zip(&other.words).for_each(|(word, more)| *word |= more);
    }
}

impl FromIterator<RuleIndex> for RuleSelection {
    fn from_iter<T: IntoIterator<Item = RuleIndex>>(rules: T) -> Self {
        let mut selection = Self::default();
        rules.into_iter().for_each(|rule| selection.insert(rule));
        selection
    }
}

/// What `ctl` actions of one transaction changed about its rules.
#[derive(Debug, Default)]
pub(crate) struct RuleChanges {
    removed: RuleSelection,
    narrowed: RuleSelection,
    targets: Vec<RemovedTarget>,
}

#[derive(Debug)]
struct RemovedTarget {
    rules: RuleSelection,
    variable: Variable,
    selector: Selector,
}

/// Most target removals in one transaction; more than any rule set has.
const TARGETS_LIMIT: usize = 10_000;

impl RuleChanges {
    pub(crate) fn remove(&mut self, rules: &RuleSelection) {
        self.removed.extend(rules);
    }

    pub(crate) fn remove_target(&mut self, rules: &RuleSelection, variable: Variable, selector: &Selector) {
        if self.targets.len() < TARGETS_LIMIT {
            self.narrowed.extend(rules);
            self.targets.push(RemovedTarget { rules: rules.clone(), variable, selector: selector.clone() });
        }
    }

    pub(crate) fn is_removed(&self, rule: RuleIndex) -> bool {
        self.removed.contains(rule)
    }

    /// What a rule may not look at any more.
    pub(crate) fn removed_targets(&self, rule: RuleIndex) -> impl Iterator<Item = (Variable, &Selector)> {
        let targets = if self.narrowed.contains(rule) { self.targets.as_slice() } else { &[] };
        targets
            .iter()
            .filter(move |target| target.rules.contains(rule))
            .map(|target| (target.variable, &target.selector))
    }
}
