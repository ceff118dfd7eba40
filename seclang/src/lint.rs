//! Lints: what loads and is probably not meant, told from the tree alone.
//!
//! Patterns are not compiled here: what only an engine knows (patterns that need
//! backtracking, phrase lists that are empty) is in the engine's own warnings.

mod condition;
mod flow;
mod pattern;
mod variables;

use crate::ast::{Action, Condition, DirectiveKind, Document, Phase, Rule};
use crate::diagnostic::Diagnostic;
use crate::source::Located;

/// Phase of rules that name none.
const DEFAULT_PHASE: Phase = Phase::RequestBody;

/// A finding of a lint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lint {
    /// Which lint, e.g. `unreachable-rule`; never changes once released.
    pub name: &'static str,
    /// What it says.
    pub diagnostic: Diagnostic,
}

/// Every lint with what it finds, for the documentation.
pub const LINTS: &[(&str, &str)] = &[
    ("ambiguous-pattern", "a pattern that other engines read differently"),
    ("inherited-transformations", "a rule that runs the transformations of SecDefaultAction first"),
    ("never-matches", "a rule whose condition no value can satisfy"),
    ("no-value-yet", "a rule that reads only variables that its phase does not have yet"),
    ("not-a-number", "text that is compared as a number, where it counts as 0"),
    ("removed-rule", "a rule that SecRuleRemoveById removes"),
    ("unknown-marker", "a skipAfter whose marker does not follow: it skips the rest of the phase"),
    ("unreachable-rule", "a rule that nothing leads to"),
    ("unread-variable", "a TX variable that is set and never read"),
    ("unset-variable", "a TX variable that is read and never set"),
    ("unused-marker", "a marker that no skipAfter names"),
    ("useless-exclusion", "an excluded target that the rule does not read anyway"),
];

/// All findings, in the order of the text.
pub fn lint(document: &Document) -> Vec<Lint> {
    let mut found = Vec::new();
    flow::lint(document, &mut found);
    condition::lint(document, &mut found);
    pattern::lint(document, &mut found);
    variables::lint(document, &mut found);
    found.sort_by_key(|lint| lint.diagnostic.span);
    found
}

/// `SecDefaultAction` of each phase, as it holds at one place of the text.
#[derive(Default)]
struct Defaults<'d>([&'d [Located<Action>]; 5]);

impl<'d> Defaults<'d> {
    /// Takes a directive's word for what follows, when it is a default action.
    fn note(&mut self, kind: &'d DirectiveKind) {
        let DirectiveKind::DefaultAction(actions) = kind else { return };
        let phase = actions.iter().find_map(|action| match action.node {
            Action::Phase(phase) => Some(phase),
            _ => None,
        });
        self.0[usize::from(phase.unwrap_or(DEFAULT_PHASE).number() - 1)] = actions;
    }

    fn of(&self, phase: Phase) -> &'d [Located<Action>] {
        self.0[usize::from(phase.number() - 1)]
    }
}

/// Conditions and actions of a rule and its links.
fn links(rule: &Rule) -> impl Iterator<Item = (Option<&Condition>, &[Located<Action>])> {
    let head = std::iter::once((rule.condition.as_ref(), &rule.actions[..]));
    head.chain(rule.links.iter().map(|link| (link.condition.as_ref(), &link.actions[..])))
}

fn phase_of(rule: &Rule) -> Phase {
    rule.phase.unwrap_or(DEFAULT_PHASE)
}

#[cfg(test)]
mod tests;
