//! Operators that look at the whole transaction, not only at a value.

use crate::rule::Rule;
use crate::ruleset::Ruleset;
use crate::state::State;
use crate::text::TextId;

/// What is asked of the transaction.
#[derive(Debug)]
pub(crate) enum Inspection {}

impl State {
    /// Whether the transaction, or this value of it, is as the operator says.
    pub(crate) fn inspect(&mut self, _: &Ruleset, _: &Rule, inspection: &Inspection, _: TextId) -> bool {
        match *inspection {}
    }
}
