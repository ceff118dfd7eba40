//! `SecRule` and `SecAction`: condition, actions, and what must hold between them.

use super::Parser;
use super::chain::Chain;
use crate::ast::{Action, Condition, Link, Phase, Rule};
use crate::diagnostic::Diagnostic;
use crate::source::{Located, Span};
use crate::text::Text;

impl Parser<'_> {
    /// Reads a rule and gives it to the chain.
    pub(super) fn rule(
        &mut self,
        chain: &mut Chain,
        span: Span,
        condition: Option<(&Text, &Text)>,
        actions: Option<&Text>,
    ) {
        let before = self.errors;
        let condition = condition.map(|(targets, operator)| self.condition(targets, operator));
        let actions = actions.map_or_else(Vec::new, |actions| self.actions(actions.all()));
        let goes_on = actions.iter().find(|action| action.node == Action::Chain).map(|action| action.span);
        if chain.is_open() {
            self.check_link(&actions);
            let sound = self.errors == before;
            let link = Link { span, condition: condition.flatten(), actions };
            self.link(chain, sound.then_some(link), goes_on);
            return;
        }
        let id = self.rule_id(span, &actions);
        let phase = phase_of(&actions);
        match id {
            Some(id) if self.errors == before => {
                let rule =
                    Rule { span, id, phase, condition: condition.flatten(), actions, links: Vec::new() };
                self.head(chain, Box::new(rule), goes_on);
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

    /// The id of a chain's head: one, and not used before.
    fn rule_id(&mut self, span: Span, actions: &[Located<Action>]) -> Option<u64> {
        let mut ids = actions.iter().filter_map(|action| match action.node {
            Action::Id(id) => Some((id, action.span)),
            _ => None,
        });
        let Some((id, at)) = ids.next() else {
            // A rule whose id could not be read has its error already.
            if !actions.is_empty()
                || self.errors == 0
                || self.findings.last().is_none_or(|last| !within(span, last.span))
            {
                let start = Span { end: span.start.saturating_add(7).min(span.end), ..span };
                self.report(
                    Diagnostic::error(start, "the rule has no id").hint("add `id:NUMBER` to its actions"),
                );
            }
            return None;
        };
        if let Some((_, second)) = ids.next() {
            self.report(Diagnostic::error(second, "a rule has one id").label(at, "the first id"));
            return None;
        }
        if let Some(&first) = self.ids.get(&id) {
            self.report(
                Diagnostic::error(at, format!("the rule id {id} is used twice"))
                    .label(first, "used here first")
                    .hint("give one of the rules another id, or remove the first with SecRuleRemoveById"),
            );
            return None;
        }
        self.ids.insert(id, at);
        Some(id)
    }

    /// What only the head of a chain may say.
    fn check_link(&mut self, actions: &[Located<Action>]) {
        for action in actions {
            let what = match &action.node {
                Action::Id(_) => "an id",
                Action::Skip(_) | Action::SkipAfter(_) => "a skip",
                Action::Pass => continue,
                Action::Block if self.tolerates_block() => continue,
                other if other.is_disruptive() => "a disruptive action",
                Action::Phase(_) => {
                    self.warn(
                        action.span,
                        "the phase of a chain is that of its first rule; this one has no effect",
                    );
                    continue;
                }
                _ => continue,
            };
            self.report(
                Diagnostic::error(action.span, format!("only the first rule of a chain may have {what}"))
                    .hint("move it to the first rule of the chain"),
            );
        }
    }

    /// `block` in a link is what the head does anyway.
    fn tolerates_block(&self) -> bool {
        true
    }
}

fn phase_of(actions: &[Located<Action>]) -> Option<Phase> {
    actions.iter().rev().find_map(|action| match action.node {
        Action::Phase(phase) => Some(phase),
        _ => None,
    })
}

fn within(outer: Span, inner: Option<Span>) -> bool {
    inner.is_some_and(|inner| {
        inner.file == outer.file && outer.start <= inner.start && inner.start <= outer.end
    })
}
