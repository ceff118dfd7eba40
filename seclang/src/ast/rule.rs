//! Rules and chains.

use super::{Action, Operator, Phase, Target};
use crate::source::{Located, Span};

/// `SecRule` or `SecAction` that starts a chain, with the chain's other links.
#[derive(Clone, Debug)]
pub struct Rule {
    /// From the directive's name to the end of its last argument.
    pub span: Span,
    /// The rule's identity, above zero and unique in a document.
    pub id: u64,
    /// The phase written in the rule; `None` leaves it to the default (2).
    pub phase: Option<Phase>,
    /// What is tested; `None` for `SecAction`, which always matches.
    pub condition: Option<Condition>,
    /// All actions in the order of the text, `id`, `phase` and `chain` among them.
    pub actions: Vec<Located<Action>>,
    /// The further links of the chain, in order; empty without `chain`.
    pub links: Vec<Link>,
}

/// A chained rule: everything after the chain's head.
#[derive(Clone, Debug)]
pub struct Link {
    /// From the directive's name to the end of its last argument.
    pub span: Span,
    /// What is tested; `None` for a chained `SecAction`.
    pub condition: Option<Condition>,
    /// Its own actions; disruptive ones and metadata only stand in the head.
    pub actions: Vec<Located<Action>>,
}

/// Targets and operator of a `SecRule`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// At least one.
    pub targets: Vec<Located<Target>>,
    /// The test.
    pub operator: Located<Operator>,
}

impl PartialEq for Rule {
    fn eq(&self, other: &Self) -> bool {
        (self.id, self.phase) == (other.id, other.phase)
            && self.condition == other.condition
            && self.actions == other.actions
            && self.links == other.links
    }
}

impl PartialEq for Link {
    fn eq(&self, other: &Self) -> bool {
        self.condition == other.condition && self.actions == other.actions
    }
}
