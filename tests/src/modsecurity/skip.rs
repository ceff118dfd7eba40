//! What is not run: cases that need a library or a way of working that this
//! project refuses.

use hop3_seclang::ast::{OperatorName, Variable};
use hop3_seclang::diagnostic::{Diagnostic, Severity};
use hop3_seclang::directives::{self, State};
use hop3_seclang::refused;

use super::case::Case;

/// Libraries of v3 that have no counterpart here, by the suite's name for them.
const LIBRARIES: &[(&str, &str)] = &[
    ("lua", "scripts are not run; the suite's scripts are not at hand either"),
    ("curl", "rules and lists are never fetched while rules load"),
    ("ssdeep", "fuzzy hashes are not offered"),
    ("geoip", "the legacy GeoIP format is not read; MaxMind's is"),
];

/// Why a case is not run at all.
pub fn before_loading(case: &Case) -> Option<&'static str> {
    if !case.enabled {
        return Some("the suite itself has disabled it");
    }
    if case.expected.debug_log.as_deref().is_some_and(|log| log.contains("regex error 'MATCH_LIMIT'")) {
        return Some("PCRE's limits: this matcher is linear and answers where PCRE gives up");
    }
    LIBRARIES.iter().find(|(library, _)| *library == case.resource).map(|(_, why)| *why)
}

/// Why rules that do not load are no failure: all that is wrong with them is
/// that they use something which the language refuses.
pub fn after_loading(diagnostics: &[Diagnostic]) -> Option<String> {
    let mut errors = diagnostics.iter().filter(|found| found.severity == Severity::Error).peekable();
    let first = errors.peek()?.message.clone();
    let reasons = reasons();
    let refused = |error: &Diagnostic| error.hint.as_deref().is_some_and(|hint| reasons.contains(&hint));
    errors.all(|error| refused(error) || needs_libxml(error)).then_some(first)
}

/// Validation of XML against a schema or a DTD: v3 has libxml2 for it, and there is no sound library.
fn needs_libxml(error: &Diagnostic) -> bool {
    ["`@validateDTD` is not supported", "`@validateSchema` is not supported"]
        .iter()
        .any(|start| error.message.starts_with(start))
}

/// Every reason that the language gives for a refusal.
fn reasons() -> Vec<&'static str> {
    let operators = OperatorName::SPELLINGS.iter().filter_map(|(_, operator)| refused::operator(*operator));
    let variables = Variable::SPELLINGS.iter().filter_map(|(_, variable)| refused::variable(*variable));
    let actions = ["append", "prepend", "exec", "pause", "proxy"].into_iter().filter_map(refused::action);
    let ctl = ["hashengine", "hashenforcement"].into_iter().filter_map(refused::ctl);
    let directives = directives::TABLE.iter().filter_map(|directive| match directive.state {
        State::Refused(why) => Some(why),
        _ => None,
    });
    operators.chain(variables).chain(actions).chain(ctl).chain(directives).collect()
}
