//! One rule, link by link: values, transformations, operator.

use super::Next;
use crate::collections::tx::Value;
use crate::operators::{BlockList, Captures, Operator, number};
use crate::rule::{Condition, Link, Rule, Selector};
use crate::ruleset::Ruleset;
use crate::state::State;
use crate::template::Piece;
use crate::text::TextId;
use crate::trace::Event;
use crate::variables::found::Found;

/// Most matches that one rule may have; further values are not counted.
const MATCHES_LIMIT: usize = 100_000;

impl State {
    /// Evaluates a rule with its chain.
    pub(super) fn evaluate(&mut self, ruleset: &Ruleset, rule: &Rule) -> Next {
        self.matched_var = None;
        self.matched_vars.clear();
        self.reference.clear();
        for (position, link) in rule.links.iter().enumerate() {
            self.trace_link(ruleset, rule, link, position);
            let matched = self.evaluate_link(ruleset, rule, link);
            self.trace(|_| Event::LinkEnded { matched });
            if !matched {
                return Next::Rule;
            }
        }
        self.complete(ruleset, rule)
    }

    fn trace_link(&mut self, ruleset: &Ruleset, rule: &Rule, link: &Link, position: usize) {
        if self.trace.is_some() {
            let template = link.condition.as_ref().and_then(|condition| condition.operator.argument());
            let argument =
                template.map(|template| self.expanded(ruleset, rule, template)).unwrap_or_default();
            self.trace(|_| Event::Link { rule_id: rule.id, position, argument: &argument });
        }
    }

    fn evaluate_link(&mut self, ruleset: &Ruleset, rule: &Rule, link: &Link) -> bool {
        self.texts.forget_passing();
        let Some(condition) = &link.condition else {
            self.run_actions(ruleset, rule, link);
            return true;
        };
        if self.trace.is_none() && self.compares_in_vain(condition) {
            return false;
        }
        let mut candidates = std::mem::take(&mut self.candidates);
        candidates.clear();
        for target in &condition.targets {
            self.select(ruleset, rule, target, &mut candidates);
        }
        let mut matched = false;
        for candidate in &candidates {
            matched |= self.evaluate_value(ruleset, rule, link, condition, *candidate);
        }
        self.candidates = candidates;
        matched
    }

    /// Whether a condition compares a TX variable, or what the engine counts, with a number or with a TX variable,
    /// which most rules that are walked do, and does not hold.
    fn compares_in_vain(&self, condition: &Condition) -> bool {
        let (Operator::Compare(comparison, argument), [target]) = (&condition.operator, &*condition.targets)
        else {
            return false;
        };
        if target.count || !target.exclusions.is_empty() || !condition.transformations.is_empty() {
            return false;
        }
        let value = match target.selector {
            // Where there is no value, there is none to match.
            Selector::Slot(slot) => self.tx.get(slot).map(Value::number),
            Selector::All => match self.number(target.variable) {
                None => return false,
                number => number,
            },
            _ => return false,
        };
        let argument = match argument.pieces() {
            [Piece::Literal(text)] => number(text),
            [Piece::Tx(slot)] => self.tx.get(*slot).map_or(0, Value::number),
            _ => return false,
        };
        value.is_none_or(|value| comparison.holds(value, argument) == condition.negated)
    }

    /// Tests one value, or with `multiMatch` each form of it.
    fn evaluate_value(
        &mut self,
        ruleset: &Ruleset,
        rule: &Rule,
        link: &Link,
        condition: &Condition,
        found: Found,
    ) -> bool {
        let context = ruleset.settings.transformation_context();
        let mut text = found.value;
        let mut matched = false;
        self.trace(|state| Event::Selected { value: state.texts.bytes(text) });
        for (index, &transformation) in condition.transformations.iter().enumerate() {
            let next = self.texts.transform(text, transformation, &context);
            if link.multi_match
                && next != text
                && self.test(ruleset, rule, link, condition, Found { value: text, ..found })
            {
                self.refer(ruleset, condition, found, text, &condition.transformations[..index]);
                matched = true;
            }
            text = next;
            self.trace(|state| Event::Transformed { transformation, value: state.texts.bytes(text) });
        }
        if self.test(ruleset, rule, link, condition, Found { value: text, ..found }) {
            self.refer(ruleset, condition, found, text, &condition.transformations);
            matched = true;
        }
        matched
    }

    /// Runs the operator on a transformed value, and the actions when it matches.
    fn test(
        &mut self,
        ruleset: &Ruleset,
        rule: &Rule,
        link: &Link,
        condition: &Condition,
        mut found: Found,
    ) -> bool {
        if self.trace.is_some() {
            let mut name = Vec::new();
            found.write_name(&self.texts, &mut name);
            self.trace(|state| Event::Tested { variable: &name, value: state.texts.bytes(found.value) });
        }
        let mut argument = std::mem::take(&mut self.argument);
        argument.clear();
        let template = condition.operator.argument();
        let literal = template.and_then(|template| template.as_literal());
        if let (Some(template), None) = (template, literal) {
            self.expand(ruleset, rule, template, &mut argument);
        }
        let wanted = link.capture && !condition.negated && condition.operator.captures();
        let result = match &condition.operator {
            Operator::Inspection(inspection) => Ok(self.inspect(ruleset, rule, inspection, &mut found)),
            Operator::Rbl(list) => Ok(self.is_listed(list, found.value)),
            operator => operator.test(
                self.texts.bytes(found.value),
                literal.unwrap_or(&argument),
                ruleset.settings.pcre_match_limit,
                wanted.then_some(&mut self.captures),
            ),
        };
        self.argument = argument;
        // Without an answer the captures mean nothing.
        let captured = wanted && result.is_ok();
        let matched = match result {
            Ok(matched) => matched != condition.negated,
            Err(_) => {
                // Fail closed: no answer counts as a match, negated or not.
                self.trace(|_| Event::LimitExceeded);
                self.limits_exceeded = true;
                self.set_tx(ruleset.limits_slot, 1);
                true
            }
        };
        self.trace(|_| Event::Decided { matched });
        if let Operator::GeoLookup(places) = &condition.operator {
            self.locate(places, found.value);
        }
        if matched {
            self.remember(found, captured);
            self.run_actions(ruleset, rule, link);
        }
        matched
    }

    /// Asks the host's block lists; the answer's code is what a capture keeps.
    fn is_listed(&mut self, list: &BlockList, value: TextId) -> bool {
        let lists = self.block_lists.as_deref();
        let code = lists.and_then(|lists| list.find(self.texts.bytes(value), lists));
        let text = code.map(|code| code.to_string().into_bytes());
        self.captures = Captures { text, ..Captures::default() };
        code.is_some()
    }

    /// Sets MATCHED_VAR and, after a capture, `TX:0` to `TX:9`.
    fn remember(&mut self, found: Found, captured: bool) {
        let kept = Found {
            name: found.name.map(|name| self.texts.keep(name)),
            value: self.texts.keep(found.value),
            ..found
        };
        self.matched_var = Some(kept);
        if self.matched_vars.len() < MATCHES_LIMIT {
            self.matched_vars.push(kept);
        }
        if captured {
            self.set_captures(kept.value);
        }
    }

    fn set_captures(&mut self, value: TextId) {
        use crate::collections::tx::Slot;
        self.captured_at = Some(self.place);
        let text = self.captures.text.take();
        for (index, span) in self.captures.spans.into_iter().enumerate() {
            let group = match (index, &text) {
                (0, Some(text)) => Some(Value::Text(text.clone())),
                _ => span.map(|(start, end)| {
                    Value::Text(self.texts.bytes(value).get(start..end).unwrap_or_default().to_vec())
                }),
            };
            if self.trace.is_some()
                && let Some(value) = &group
            {
                let mut text = Vec::new();
                value.write(&mut text);
                self.trace(|_| Event::Captured { group: index, value: &text });
            }
            self.tx.set(Slot(index as u32), group);
        }
    }
}
