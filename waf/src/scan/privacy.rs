//! Which TX variables are a rule's own affair: written by it, read by nobody
//! else. What a rule does to them may be left undone when its chain cannot match.

use std::collections::BTreeSet;

use hop3_seclang::ast::{Collection, Variable};

use crate::collections::tx::SlotNames;
use crate::regex::Pattern;
use crate::rule::{Action, Condition, Key, Rule, Selector};
use crate::template::{MacroKey, Piece, Template};

/// What all rules together do with TX variables whose names are made of macros.
#[derive(Debug, Default)]
pub(super) struct Privacy {
    /// Rule by rule the literal beginnings of such names, in lower case.
    written: Vec<(u64, Vec<u8>)>,
    /// Rule by rule the beginnings that patterns over TX ask for.
    read: Vec<(u64, Vec<u8>)>,
    /// Texts, in lower case, one of which a name must contain for other patterns to select it.
    pub(super) sought: Vec<Vec<u8>>,
    /// Whether some rule may read any variable.
    open: bool,
    /// Rules that read captured groups which they did not capture themselves.
    capture_readers: BTreeSet<u64>,
}

impl Privacy {
    /// Reads all rules.
    pub(super) fn of(phases: &[Vec<Rule>; 5]) -> Self {
        let mut privacy = Self::default();
        phases.iter().flatten().for_each(|rule| privacy.read_rule(rule));
        privacy
    }

    /// Whether the rule reads what rules before it captured.
    pub(super) fn reads_captures(&self, rule: u64) -> bool {
        self.capture_readers.contains(&rule)
    }

    /// Whether only this rule writes what `read` selects, and reads what begins with `written`.
    pub(super) fn is_private(&self, rule: u64, written: &[u8], read: &[u8], names: &SlotNames) -> bool {
        let alone = |uses: &[(u64, Vec<u8>)], prefix: &[u8]| {
            uses.iter().all(|(other, used)| *other == rule || !compatible(used, prefix))
        };
        !self.open
            && written.starts_with(read)
            && alone(&self.written, read)
            && alone(&self.read, written)
            && !names.iter().any(|name| name.to_ascii_lowercase().starts_with(read))
    }

    fn read_rule(&mut self, rule: &Rule) {
        let mut captured = false;
        for link in &rule.links {
            if let Some(condition) = &link.condition {
                self.read_condition(rule.id, condition, captured);
                captured |= link.capture && !condition.negated && condition.operator.captures();
            }
            for action in &link.actions {
                self.read_action(rule.id, action, captured);
            }
        }
        let told = rule.message.iter().chain(&rule.log_data).chain(&rule.tags);
        told.for_each(|template| self.read_template(rule.id, template, captured));
    }

    fn read_condition(&mut self, rule: u64, condition: &Condition, captured: bool) {
        if let Some(template) = condition.operator.argument() {
            self.read_template(rule, template, captured);
        }
        self.open |= condition.operator.touches_tx();
        for target in condition.targets.iter().filter(|target| target.variable == Variable::Tx) {
            match &target.selector {
                Selector::Slot(slot) => self.reads(rule, slot.0 < 10 && !captured),
                Selector::Pattern(pattern) => match pattern.prefix() {
                    Some(prefix) => {
                        let digit = prefix.first().is_none_or(u8::is_ascii_digit);
                        self.reads(rule, digit && !captured);
                        self.read.push((rule, prefix.to_vec()));
                    }
                    None => self.read_unanchored(pattern),
                },
                _ => self.open = true,
            }
        }
    }

    /// A pattern that may match anywhere in a name needs some text in it, or reads everything.
    fn read_unanchored(&mut self, pattern: &Pattern) {
        for requirement in pattern.required() {
            match &requirement.literals {
                Some(texts) if texts.iter().all(|text| !text.iter().all(u8::is_ascii_digit)) => {
                    self.sought.extend(texts.iter().map(|text| text.to_vec()));
                }
                _ => self.open = true,
            }
        }
    }

    fn read_action(&mut self, rule: u64, action: &Action, captured: bool) {
        match action {
            Action::SetVar { collection, key, value, .. } => {
                self.read_template(rule, value, captured);
                if let Key::Name(name) = key {
                    self.read_template(rule, name, captured);
                    if *collection == Collection::Tx {
                        self.written.push((rule, name.literal_prefix()));
                    }
                }
            }
            Action::ExpireVar { key, seconds, .. } => {
                self.read_template(rule, key, captured);
                self.read_template(rule, seconds, captured);
            }
            Action::DeprecateVar { key, .. } | Action::InitCol { key, .. } => {
                self.read_template(rule, key, captured)
            }
            Action::SetEnv { name, value } => {
                self.read_template(rule, name, captured);
                value.iter().for_each(|value| self.read_template(rule, value, captured));
            }
            Action::Control(_) | Action::Sanitise(_) => {}
            #[allow(unreachable_patterns, reason = "what is not known to leave TX alone may read all of it")]
            _ => self.open = true,
        }
    }

    fn reads(&mut self, rule: u64, does: bool) {
        if does {
            self.capture_readers.insert(rule);
        }
    }

    fn read_template(&mut self, rule: u64, template: &Template, captured: bool) {
        for piece in template.pieces() {
            match piece {
                Piece::Tx(slot) => self.reads(rule, slot.0 < 10 && !captured),
                Piece::Variable(Variable::Tx, Some(MacroKey::Pattern(_)) | None)
                | Piece::Variable(Variable::Rule, _) => {
                    self.open = true;
                }
                _ => {}
            }
        }
    }
}

/// Whether a name can begin with both.
fn compatible(left: &[u8], right: &[u8]) -> bool {
    left.starts_with(right) || right.starts_with(left)
}
