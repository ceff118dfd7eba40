//! Operators that look at the whole transaction, not only at a value.

use std::sync::Arc;

use hop3_lua::Script;

use crate::operators::{FuzzyHashes, PathTemplate};
use crate::rule::Rule;
use crate::ruleset::Ruleset;
use crate::state::State;
use crate::trace::Event;
use crate::variables::found::Found;
use crate::xml_body::Validation;

/// What is asked of the transaction.
#[derive(Debug)]
pub(crate) enum Inspection {
    /// `@validateDTD`, `@validateSchema`: matches when the body is not valid.
    Xml(Box<Validation>),
    /// `@inspectFile`, `SecRuleScript`.
    Script {
        script: Arc<Script>,
        /// Whether it is about a value.
        with_value: bool,
    },
    /// `@fuzzyHash`.
    FuzzyHash(FuzzyHashes),
    /// `@restpath`: the named parts of a path become ARGS_PATH, and arguments.
    Path(PathTemplate),
}

impl Inspection {
    /// Whether it may read and write any TX variable.
    pub(crate) fn touches_tx(&self) -> bool {
        matches!(self, Self::Script { .. })
    }
}

impl State {
    /// Whether the transaction, or this value of it, is as the operator says.
    /// Where the answer has a reason, it takes the value's place: what is wrong
    /// with a body, or with a script that failed.
    pub(crate) fn inspect(
        &mut self,
        ruleset: &Ruleset,
        rule: &Rule,
        inspection: &Inspection,
        found: &mut Found,
    ) -> bool {
        match inspection {
            Inspection::Xml(validation) => match self.validate(validation) {
                Ok(()) => false,
                Err(reason) => {
                    found.value = self.texts.add_passing(reason.as_bytes());
                    true
                }
            },
            Inspection::Script { script, with_value } => {
                let value = with_value.then(|| self.texts.bytes(found.value).to_vec());
                match self.run_script(ruleset, rule, script, value.as_deref()) {
                    Ok(matches) => matches,
                    Err(reason) => {
                        found.value = self.texts.add_passing(reason.as_bytes());
                        // Fail closed: a script without an answer matches.
                        true
                    }
                }
            }
            Inspection::FuzzyHash(hashes) => {
                let score = hashes.score(self.texts.bytes(found.value));
                if let Some(score) = score {
                    self.trace(|_| Event::FuzzyHash { score });
                }
                score.is_some()
            }
            Inspection::Path(template) => {
                let path = self.texts.bytes(found.value).to_vec();
                let Some(parts) = template.parts(&path) else { return false };
                for (name, range) in parts {
                    // The scan has not seen this argument, so the rules are walked from here on.
                    self.scans = false;
                    let field = self.field(name.as_bytes(), &path[range]);
                    let (texts, kept) = (&self.texts, &mut self.collections.args_path);
                    kept.retain(|known| texts.bytes(known.name) != name.as_bytes());
                    kept.push(field);
                }
                true
            }
        }
    }
}
