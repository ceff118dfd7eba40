//! What is not run: cases that need a library or a way of working that this
//! project refuses, or files that are not there.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use hop3_seclang::ast::{OperatorName, Variable};
use hop3_seclang::diagnostic::{Diagnostic, Severity};
use hop3_seclang::directives::{self, State};
use hop3_seclang::refused;

use super::case::Case;

/// Why a case is not run whose Lua script is missing.
pub const NO_SCRIPT: &str = "the suite's scripts are not part of the test data";

/// Why a case is not run that needs another file which is missing.
pub const NO_FILE: &str = "a file of the suite is not part of the test data";

/// Cases whose expectation is a defect of v3: file, title, which one.
const DEFECTS: &[(&str, &str, &str)] = &[(
    "request-body-parser-multipart-crlf.json",
    "multipart parser (final CRLF)",
    "v3 loses the line ends inside a field's value, which its parser overwrites; they are kept here",
)];

/// Why a case is not run at all.
pub fn before_loading(case: &Case) -> Option<&'static str> {
    if !case.enabled {
        return Some("the suite itself has disabled it");
    }
    let defect = DEFECTS.iter().find(|(file, title, _)| case.file == *file && case.title == *title);
    defect.map(|(.., why)| *why)
}

/// Why rules that do not load are no failure: all that is wrong with them is
/// that they use something which the language refuses.
pub fn after_loading(suite: &Path, diagnostics: &[Diagnostic]) -> Option<String> {
    let mut errors = diagnostics.iter().filter(|found| found.severity == Severity::Error).peekable();
    let first = match errors.peek()? {
        error if is_missing_script(error) => NO_SCRIPT.to_owned(),
        error if is_missing_file(suite, error) => NO_FILE.to_owned(),
        error => error.message.clone(),
    };
    let reasons = reasons();
    let refused = |error: &Diagnostic| error.hint.as_deref().is_some_and(|hint| reasons.contains(&hint));
    let is_absent = |error: &Diagnostic| is_missing_script(error) || is_missing_file(suite, error);
    errors.all(|error| refused(error) || is_remote(error) || is_absent(error)).then_some(first)
}

/// What needs the network.
fn is_remote(error: &Diagnostic) -> bool {
    error.message.starts_with("lists are never fetched")
}

fn is_missing_script(error: &Diagnostic) -> bool {
    error.message.starts_with("cannot read") && error.message.contains(".lua`")
}

/// Whether a file cannot be read of which this copy of the data has none of that name.
fn is_missing_file(suite: &Path, error: &Diagnostic) -> bool {
    let path = error.message.strip_prefix("cannot read `").and_then(|rest| rest.split('`').next());
    let name = path.and_then(|path| Path::new(path).file_name());
    name.is_some_and(|name| !holds(&suite.join("data"), name))
}

fn holds(folder: &Path, name: &OsStr) -> bool {
    let Ok(entries) = fs::read_dir(folder) else { return false };
    entries.flatten().any(|entry| entry.file_name() == name || holds(&entry.path(), name))
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
