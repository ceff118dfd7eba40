//! Compares what a case left behind with what it expects.

use hop3_seclang::diagnostic::Severity;

use super::case::Case;
use super::parser_error;
use super::pattern;
use super::run::{Loaded, Outcome};

/// What does not hold, in words.
#[derive(Debug, Default)]
pub struct Verdict {
    /// Judged by loading, status, redirect, error log and audit log.
    pub log: Vec<String>,
    /// Judged by the debug log.
    pub debug: Vec<String>,
}

impl Verdict {
    /// All complaints in one line.
    pub fn text(&self) -> String {
        self.log.iter().chain(&self.debug).map(String::as_str).collect::<Vec<_>>().join("; ")
    }

    /// Whether everything holds.
    pub fn is_pass(&self) -> bool {
        self.log.is_empty() && self.debug.is_empty()
    }
}

/// Judges one case. Every key that is present must hold.
pub fn verdict(case: &Case, loaded: &Loaded) -> Verdict {
    let mut verdict = Verdict::default();
    let expected_error = case.expected.parser_error.as_deref().filter(|pattern| !pattern.is_empty());
    let expected_error = expected_error.or_else(|| refused_here(case));
    match (loaded, expected_error) {
        (Loaded::Refused { diagnostics, sources }, Some(expected)) => {
            verdict.log.extend(parser_error::complaint(expected, diagnostics, sources));
        }
        (Loaded::Refused { diagnostics, .. }, None) => {
            let errors: Vec<&str> = diagnostics
                .iter()
                .filter(|found| found.severity == Severity::Error)
                .map(|found| found.message.as_str())
                .collect();
            verdict.log.push(format!("the rules do not load: {}", errors.join("; ")));
        }
        (Loaded::Ran(_), Some(expected)) => {
            verdict.log.push(format!("the rules load, /{expected}/ is expected"))
        }
        (Loaded::Ran(outcome), None) => judge_outcome(case, outcome, &mut verdict),
    }
    verdict
}

/// v3 says in its debug log that a pattern cannot be compiled or a definition cannot be loaded, each time it
/// would be used. Here such rules do not load.
fn refused_here(case: &Case) -> Option<&'static str> {
    const SAID: [&str; 3] = ["Error with regular expression", "Failed to load DTD", "Failed to load Schema"];
    let log = case.expected.debug_log.as_deref()?;
    SAID.into_iter().find(|said| log.contains(said))
}

fn judge_outcome(case: &Case, outcome: &Outcome, verdict: &mut Verdict) {
    let expected = &case.expected;
    let status = expected.http_code.unwrap_or(200);
    if outcome.status != status {
        verdict.log.push(format!("status {} instead of {status}", outcome.status));
    }
    if let Some(url) = expected.redirect_url.as_deref().filter(|url| outcome.url.as_deref() != Some(*url)) {
        verdict.log.push(format!("redirect to {:?} instead of {url}", outcome.url));
    }
    verdict.log.extend(lack("error log", expected.error_log.as_deref(), &outcome.error_log));
    verdict.log.extend(lack("audit log", expected.audit_log.as_deref(), &outcome.audit_log));
    verdict.debug.extend(lack("debug log", expected.debug_log.as_deref(), &outcome.debug_log));
}

/// What a log lacks; an empty pattern asks for nothing.
fn lack(name: &str, pattern: Option<&str>, log: &str) -> Option<String> {
    let pattern = pattern.filter(|pattern| !pattern.is_empty())?;
    match pattern::found(pattern, log.as_bytes()) {
        Err(error) => Some(error),
        Ok(true) => None,
        Ok(false) => Some(format!("the {name} lacks /{pattern}/")),
    }
}
