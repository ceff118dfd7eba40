//! `SecRule`, `SecRuleScript` and `SecAction`: condition, actions, and what must hold between them.

use super::arguments::bare;
use super::chain::Chain;
use super::{Dialect, Parser};
use crate::ast::{Action, Condition, Link, Operator, OperatorName, Phase, Rule, Template};
use crate::diagnostic::Diagnostic;
use crate::source::{Located, Span};
use crate::text::Text;

/// What a rule tests, as written.
#[derive(Clone, Copy)]
pub(super) enum Test<'t> {
    /// Targets and operator.
    Operator(&'t Text, &'t Text),
    /// The path of a script.
    Script(&'t Text),
    /// Nothing: it always matches.
    None,
}

impl Parser<'_> {
    /// Reads a rule and gives it to the chain.
    pub(super) fn rule(&mut self, chain: &mut Chain, span: Span, test: Test<'_>, actions: Option<&Text>) {
        let before = self.errors;
        let condition = match test {
            Test::Operator(targets, operator) => Some(self.condition(targets, operator)),
            Test::Script(script) => Some(self.script_condition(script)),
            Test::None => None,
        };
        let actions = actions.map_or_else(Vec::new, |actions| self.actions(actions.all()));
        let goes_on = actions.iter().find(|action| action.node == Action::Chain).map(|action| action.span);
        if chain.is_open() {
            self.check_link(&actions);
            let sound = self.errors == before;
            let link = Link { span, condition: condition.flatten(), actions };
            self.link(chain, sound.then_some(link), goes_on);
            return;
        }
        let id = match self.errors == before || actions.iter().any(|action| id_of(action).is_some()) {
            true => self.rule_id(span, condition.is_none(), &actions),
            // An id that could not be read has its error already.
            false => None,
        };
        let phase = phase_of(&actions);
        match id {
            Some(id) if self.errors == before => {
                let rule =
                    Rule { span, id, phase, condition: condition.flatten(), actions, links: Vec::new() };
                self.head(chain, rule, goes_on);
            }
            _ if goes_on.is_some() => chain.break_off(),
            _ => {}
        }
    }

    fn condition(&mut self, targets: &Text, operator: &Text) -> Option<Condition> {
        let targets = self.targets(targets.all(), false);
        let operator = self.operator(operator);
        Some(Condition { targets: targets?, operator: operator? })
    }

    /// A script is an operator without targets.
    fn script_condition(&mut self, text: &Text) -> Option<Condition> {
        let path = bare(text.all());
        let script = self.script(path)?;
        let operator = Operator {
            negated: false,
            name: OperatorName::InspectFile,
            argument: Template::literal(path.bytes()),
            files: vec![script],
        };
        Some(Condition { targets: Vec::new(), operator: Located::new(text.span, operator) })
    }

    /// The id of a chain's head: one, and not used before.
    fn rule_id(&mut self, span: Span, is_action: bool, actions: &[Located<Action>]) -> Option<u64> {
        let ids: Vec<_> = actions.iter().filter_map(id_of).collect();
        let (Some(&(_, first)), Some(&(id, at))) = (ids.first(), ids.last()) else {
            let name =
                Span { end: span.start.saturating_add(if is_action { 9 } else { 7 }).min(span.end), ..span };
            let error = Diagnostic::error(name, "the rule has no id").hint("add `id:NUMBER` to its actions");
            if is_action && self.dialect == Dialect::ModSecurity3 {
                self.report_strict(error);
                return Some(0);
            }
            self.report(error);
            return None;
        };
        if ids.len() > 1 {
            self.report_strict(Diagnostic::error(at, "a rule has one id").label(first, "the first id"));
        }
        self.take(id, at).then_some(id)
    }

    /// Gives an id to the rule that says so at `at`; whether it was free.
    pub(super) fn take(&mut self, id: u64, at: Span) -> bool {
        if let Some(&first) = self.ids.get(&id) {
            self.report(
                Diagnostic::error(at, format!("the rule id {id} is used twice"))
                    .label(first, "used here first")
                    .hint("give one of the rules another id, or remove the first with SecRuleRemoveById"),
            );
            return false;
        }
        self.ids.insert(id, at);
        true
    }

    /// What only the head of a chain may say.
    fn check_link(&mut self, actions: &[Located<Action>]) {
        for action in actions {
            let useless = match action.node {
                Action::Id(_) => {
                    "an id in a chained rule has no effect: the chain has the id of its first rule"
                }
                Action::Phase(_) => {
                    "a phase in a chained rule has no effect: the chain has the phase of its first rule"
                }
                // `block` and `pass` say what happens anyway.
                Action::Block | Action::Pass => continue,
                Action::Skip(_) | Action::SkipAfter(_) => {
                    self.only_in_head(action.span, "skips");
                    continue;
                }
                ref other if other.is_disruptive() => {
                    self.only_in_head(action.span, "has a disruptive action");
                    continue;
                }
                _ => continue,
            };
            self.warn(action.span, useless);
        }
    }

    fn only_in_head(&mut self, span: Span, what: &str) {
        self.report(
            Diagnostic::error(span, format!("only the first rule of a chain {what}"))
                .hint("move the action to the first rule of the chain"),
        );
    }
}

fn id_of(action: &Located<Action>) -> Option<(u64, Span)> {
    match action.node {
        Action::Id(id) => Some((id, action.span)),
        _ => None,
    }
}

fn phase_of(actions: &[Located<Action>]) -> Option<Phase> {
    actions.iter().rev().find_map(|action| match action.node {
        Action::Phase(phase) => Some(phase),
        _ => None,
    })
}
