//! Compiled rulesets: immutable, shared by all transactions.

use std::sync::Arc;

use hop3_seclang::Document;
use hop3_seclang::ast::Phase;
use hop3_seclang::diagnostic::Diagnostic;

use crate::collections::tx::{Slot, SlotNames, Value};
use crate::compile::{self, CompileError};
use crate::parts::Parts;
use crate::regex::{Pattern, PcreConstruct};
use crate::rule::Rule;
use crate::rule_control::RuleSelection;
use crate::scan::bits::Bits;
use crate::scan::{Scan, Strategy};
use crate::settings::Settings;

/// A compiled, immutable set of rules. Share it by `Arc`.
#[derive(Debug)]
pub struct Ruleset {
    /// The rules of phases 1 to 5, in order.
    pub(crate) phases: [Vec<Rule>; 5],
    /// For each phase the rules that are evaluated whatever the values are.
    pub(crate) walked: [Bits; 5],
    /// Rules that folding takes to match whenever they are reached.
    pub(crate) relied_on: RuleSelection,
    pub(crate) scan: Scan,
    /// The TX variables that every transaction begins with, by slot.
    pub(crate) prologue: Arc<[Option<Value>]>,
    /// Patterns that select TX variables, with those of the rules' own names that they select.
    pub(crate) tx_selections: Vec<(Arc<Pattern>, Bits)>,
    pub(crate) settings: Settings,
    pub(crate) tx_names: SlotNames,
    /// `TX:MSC_PCRE_LIMITS_EXCEEDED`.
    pub(crate) limits_slot: Slot,
    pub(crate) signatures: Vec<String>,
    pub(crate) warnings: Vec<Diagnostic>,
    pub(crate) fallbacks: Vec<Fallback>,
}

/// A rule that needs the backtracking engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fallback {
    /// The rule.
    pub rule_id: u64,
    /// The first construct of its pattern that no automaton can decide.
    pub construct: PcreConstruct,
}

impl Ruleset {
    /// Compiles a parsed document. Every error is reported, not only the first.
    pub fn compile(document: &Document) -> Result<Ruleset, CompileError> {
        Self::compile_with(document, &Parts::default())
    }

    /// As [`Ruleset::compile`], with parts that rulesets share: what another one in use was given with the same
    /// `parts`, and which is the same here, is not built again and takes no more memory.
    pub fn compile_with(document: &Document, parts: &Parts) -> Result<Ruleset, CompileError> {
        parts.prune();
        compile::compile(document, parts)
    }

    /// Number of rules; a chain counts as one, markers do not count.
    pub fn rule_count(&self) -> usize {
        self.phases.iter().map(Vec::len).sum()
    }

    /// The ids of all rules, phase by phase.
    pub fn rule_ids(&self) -> impl Iterator<Item = u64> {
        self.phases.iter().flatten().map(|rule| rule.id)
    }

    /// How each rule is decided, phase by phase: id and strategy.
    pub fn strategies(&self) -> impl Iterator<Item = (u64, Strategy)> {
        self.phases.iter().enumerate().flat_map(|(phase, rules)| {
            rules.iter().map(|rule| rule.id).zip(self.scan.strategies(phase).iter().copied())
        })
    }

    /// Builds the patterns that are otherwise built when a value first asks for them, but for those of rules that can
    /// never run: for hosts that would rather spend memory than a few milliseconds of some request.
    pub fn prepare(&self) {
        let strategies = (0..self.phases.len()).flat_map(|phase| self.scan.strategies(phase));
        let rules = self.phases.iter().flatten().zip(strategies);
        let alive = rules.filter(|(_, strategy)| **strategy != Strategy::Folded).map(|(rule, _)| rule);
        let conditions = alive.flat_map(|rule| &rule.links).filter_map(|link| link.condition.as_ref());
        conditions.for_each(|condition| condition.operator.prepare());
    }

    /// Settings such as `SecRuleEngine` and the body limits.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// `SecComponentSignature`, in order.
    pub fn component_signatures(&self) -> &[String] {
        &self.signatures
    }

    /// What compiled but is probably not meant.
    pub fn warnings(&self) -> &[Diagnostic] {
        &self.warnings
    }

    /// Rules whose patterns run on the backtracking engine.
    pub fn fallbacks(&self) -> &[Fallback] {
        &self.fallbacks
    }

    /// Which of the rules' own TX names a pattern selects, if it is known.
    pub(crate) fn tx_selection(&self, pattern: &Arc<Pattern>) -> Option<&Bits> {
        let known = self.tx_selections.iter().find(|(known, _)| Arc::ptr_eq(known, pattern));
        known.map(|(_, slots)| slots)
    }

    pub(crate) fn phase(&self, phase: Phase) -> &[Rule] {
        &self.phases[usize::from(phase.number() - 1)]
    }
}
