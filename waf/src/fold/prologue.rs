//! The values that the first rules of every transaction set, worked out at load.
//!
//! A rule that always runs and only sets TX variables to known values need not
//! run at all: the transaction begins with the values. That holds as long as
//! nothing that runs before it could read or write them, or leave the phase.

use super::world::{Known, World};
use super::{is_silent_but_for_actions, leaves_no_trace_but_actions};
use crate::collections::tx::{Slot, SlotNames, Value};
use crate::inspection::Inspection;
use crate::operators::Operator;
use crate::rule::{Action, Disruptive, Key, Rule, Selector};
use crate::rule_control::Control;
use crate::template::{Piece, Template};
use hop3_seclang::ast::{Collection, SetVarOp, Variable};

/// Collects values until a rule may end the phase.
#[derive(Debug, Default)]
pub(super) struct Prologue {
    values: Vec<Option<Value>>,
    /// TX variables that rules which really run read or write.
    mentioned: Vec<Slot>,
    closed: bool,
    /// A rule that really runs may have the rest of the rules walked, these among them.
    may_run_twice: bool,
}

impl Prologue {
    /// Whether a rule that always matches is replaced by values; `after` is what is known behind it.
    pub(super) fn takes(&mut self, rule: &Rule, after: &World) -> bool {
        let plain = rule.flow.is_none()
            && leaves_no_trace_but_actions(rule)
            && rule.links.iter().all(is_silent_but_for_actions);
        if self.closed || !plain {
            return false;
        }
        let mut values = Vec::new();
        for action in rule.links.iter().flat_map(|link| &link.actions) {
            let Action::SetVar { collection: Collection::Tx, key: Key::Slot(slot), op, .. } = action else {
                return false;
            };
            if self.may_run_twice && matches!(op, SetVarOp::Add | SetVarOp::Sub) {
                return false;
            }
            match after.get(*slot) {
                _ if self.mentioned.contains(slot) => return false,
                Known::Anything => return false,
                Known::Unset => values.push((*slot, None)),
                Known::Is(value) => values.push((*slot, Some(value.clone()))),
            }
        }
        for (slot, value) in values {
            let place = slot.0 as usize;
            if place >= self.values.len() {
                self.values.resize(place + 1, None);
            }
            self.values[place] = value;
        }
        true
    }

    /// Notes a rule that really runs.
    pub(super) fn passes(&mut self, rule: &Rule) {
        self.closed |= rule.flow.is_some() || !matches!(rule.disruptive, Disruptive::Pass);
        let told = rule.message.iter().chain(&rule.log_data).chain(&rule.tags);
        told.for_each(|template| self.mention(template));
        for link in &rule.links {
            if let Some(condition) = &link.condition {
                // A script may read and write all of TX.
                self.closed |= condition.operator.touches_tx();
                self.may_run_twice |= matches!(condition.operator, Operator::Inspection(Inspection::Path(_)));
                condition.operator.argument().into_iter().for_each(|template| self.mention(template));
                self.mention(&condition.shown_argument);
                for target in condition.targets.iter().filter(|target| target.variable == Variable::Tx) {
                    match &target.selector {
                        Selector::Slot(slot) if target.exclusions.is_empty() => self.mentioned.push(*slot),
                        _ => self.closed = true,
                    }
                }
            }
            link.actions.iter().for_each(|action| self.passes_action(action));
        }
    }

    /// The values, by slot.
    pub(super) fn values(mut self, names: &SlotNames) -> Vec<Option<Value>> {
        self.values.resize(names.len(), None);
        self.values
    }

    fn passes_action(&mut self, action: &Action) {
        match action {
            Action::SetVar { key, value, .. } => {
                match key {
                    Key::Slot(slot) => self.mentioned.push(*slot),
                    // It may be the name of any variable.
                    Key::Name(_) => self.closed = true,
                }
                self.mention(value);
            }
            Action::InitCol { key, .. } => self.mention(key),
            Action::Control(Control::Engine(_) | Control::RemoveRules(_) | Control::RemoveTarget(..)) => {
                self.closed = true;
            }
            Action::Control(_) => {}
            _ => self.closed = true,
        }
    }

    fn mention(&mut self, template: &Template) {
        for piece in template.pieces() {
            match piece {
                Piece::Literal(_) => {}
                Piece::Tx(slot) => self.mentioned.push(*slot),
                Piece::Variable(Variable::Tx | Variable::Rule, _) => self.closed = true,
                Piece::Variable(..) => {}
            }
        }
    }
}
