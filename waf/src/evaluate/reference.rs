//! Notes where a value matched: which of its bytes, from where in the request, through which transformations.

use std::fmt::Write as _;

use hop3_transformations::Transformation;
use memchr::memmem;

use crate::operators::{Captures, Operator, word_at};
use crate::rule::Condition;
use crate::rule_match::MESSAGE_LIMIT;
use crate::ruleset::Ruleset;
use crate::state::State;
use crate::text::TextId;
use crate::variables::found::Found;

/// Most places that one operator leaves.
const PLACES: usize = 100;

impl State {
    /// Notes a match of `value`, which `applied` made of `source`. Costs nothing when nobody wants to know.
    pub(super) fn refer(
        &mut self,
        ruleset: &Ruleset,
        condition: &Condition,
        source: Found,
        value: TextId,
        applied: &[Transformation],
    ) {
        if !self.references || self.reference.len() > MESSAGE_LIMIT {
            return;
        }
        let mut reference = std::mem::take(&mut self.reference);
        if !condition.negated {
            for (start, length) in self.operator_places(ruleset, condition, self.texts.bytes(value)) {
                let _ = write!(reference, "o{start},{length}");
            }
        }
        for (start, length) in self.origin(ruleset, &source) {
            let _ = write!(reference, "v{start},{length}");
        }
        for (index, transformation) in applied.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            let _ = write!(reference, "{comma}t:{}", transformation.name());
        }
        self.reference = reference;
    }

    /// Which bytes of the value the operator matched; for regular expressions those of each group.
    fn operator_places(&self, ruleset: &Ruleset, condition: &Condition, value: &[u8]) -> Vec<(usize, usize)> {
        let operator = &condition.operator;
        let literal = operator.argument().and_then(|template| template.as_literal());
        // The argument of the test that has just matched.
        let argument = literal.unwrap_or(&self.argument);
        let at = |start: Option<usize>| start.map(|start| (start, argument.len())).into_iter().collect();
        match operator {
            Operator::Rx(_)
            | Operator::RxTemplate(_)
            | Operator::RxGlobal(_)
            | Operator::CheckDigits(..)
            | Operator::Phrases(_) => {
                let mut captures = Captures::default();
                let budget = ruleset.settings.pcre_match_limit;
                if operator.test(value, argument, budget, Some(&mut captures)).is_err() {
                    return Vec::new();
                }
                if let Some(phrase) = captures.text {
                    let folded = memmem::find(&value.to_ascii_lowercase(), &phrase.to_ascii_lowercase());
                    return folded.map(|start| (start, phrase.len())).into_iter().collect();
                }
                captures.spans.into_iter().flatten().map(|(start, end)| (start, end - start)).collect()
            }
            Operator::Contains(_) => at(memmem::find(value, argument)),
            Operator::ContainsWord(_) => at(word_at(value, argument)),
            Operator::BeginsWith(_) => at(Some(0)),
            Operator::EndsWith(_) => at(value.len().checked_sub(argument.len())),
            Operator::Within(_) => {
                memmem::find(argument, value).map(|start| (start, value.len())).into_iter().collect()
            }
            Operator::ByteRange(range) => {
                range.violations(value).take(PLACES).map(|start| (start, 1)).collect()
            }
            _ => Vec::new(),
        }
    }
}
