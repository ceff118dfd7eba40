//! What is not run: cases that need a library or a way of working that this
//! project refuses, or files that are not there.

use hop3_seclang::ast::{OperatorName, Variable};
use hop3_seclang::diagnostic::{Diagnostic, Severity};
use hop3_seclang::directives::{self, State};
use hop3_seclang::refused;

use super::case::Case;

/// Why a case is not run whose Lua script is missing.
pub const NO_SCRIPT: &str = "the suite's scripts are not part of the test data";

/// Why a case is not run at all.
pub fn before_loading(case: &Case) -> Option<&'static str> {
    if !case.enabled {
        return Some("the suite itself has disabled it");
    }
    None
}

/// Why rules that do not load are no failure: all that is wrong with them is
/// that they use something which the language refuses.
pub fn after_loading(diagnostics: &[Diagnostic]) -> Option<String> {
    let mut errors = diagnostics.iter().filter(|found| found.severity == Severity::Error).peekable();
    let first = match errors.peek()? {
        error if is_missing_script(error) => NO_SCRIPT.to_owned(),
        error => error.message.clone(),
    };
    let reasons = reasons();
    let refused = |error: &Diagnostic| error.hint.as_deref().is_some_and(|hint| reasons.contains(&hint));
    errors.all(|error| refused(error) || is_out_of_reach(error)).then_some(first)
}

/// What needs the network, or scripts that are not part of the test data.
fn is_out_of_reach(error: &Diagnostic) -> bool {
    error.message.starts_with("lists are never fetched") || is_missing_script(error)
}

fn is_missing_script(error: &Diagnostic) -> bool {
    error.message.starts_with("cannot read") && error.message.contains(".lua`")
}

/// Every reason that the language gives for a refusal.
fn reasons() -> Vec<&'static str> {
    let operators = OperatorName::SPELLINGS.iter().filter_map(|(_, operator)| refused::operator(*operator));
    let variables = Variable::SPELLINGS.iter().filter_map(|(_, variable)| refused::variable(*variable));
    let actions = ["append", "prepend", "pause", "proxy"].into_iter().filter_map(refused::action);
    let ctl = ["hashengine", "hashenforcement"].into_iter().filter_map(refused::ctl);
    let directives = directives::TABLE.iter().filter_map(|directive| match directive.state {
        State::Refused(why) | State::Partial(why) => Some(why),
        _ => None,
    });
    let programs = [refused::PROGRAMS];
    operators.chain(variables).chain(actions).chain(ctl).chain(directives).chain(programs).collect()
}
