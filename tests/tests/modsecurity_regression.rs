//! ModSecurity v3's own regression tests, in process.

use std::path::Path;

use hop3_tests::data;
use hop3_tests::modsecurity::case::{self, Case};
use hop3_tests::modsecurity::judge::{self, Verdict};
use hop3_tests::modsecurity::run::{self, Loaded};
use hop3_tests::modsecurity::skip;
use hop3_tests::report::Report;

/// The share that must pass of the cases that need no debug log. Only rises.
const REQUIRED_BY_LOG: f64 = 1.0;

/// The share that must pass of all cases that can be judged. Only rises. Run with `SecCompatibility ModSecurity3`.
const REQUIRED: f64 = 0.99;

/// The share that must pass of all cases, those that are skipped among them, but for cases whose scripts or files are not there
/// to be run: how many those are depends on the copy of the data. Only rises.
const REQUIRED_OF_ALL: f64 = 0.95;

#[test]
fn regression_tests_of_modsecurity_3() {
    let Some(suite) = data::suite("modsecurity-tests") else { return };
    let mut by_log = Report::new("modsecurity-regression-log");
    let mut all = Report::new("modsecurity-regression");
    let cases = case::load(&suite.join("regression"), &mut all).unwrap_or_else(|error| panic!("{error}"));
    let mut without_files = 0;
    for case in &cases {
        let verdict = judged(&suite, case);
        without_files +=
            usize::from(verdict.as_ref().is_err_and(|why| why == skip::NO_SCRIPT || why == skip::NO_FILE));
        if !case.needs_debug_log() {
            record(&mut by_log, case, &verdict);
        }
        record(&mut all, case, &verdict);
    }
    all.print();
    by_log.print();
    assert!(by_log.judged() > 0, "no case was judged");
    assert!(by_log.rate() >= REQUIRED_BY_LOG, "{:.2} % passed by log", by_log.rate() * 100.0);
    assert!(all.rate() >= REQUIRED, "{:.2} % passed", all.rate() * 100.0);
    let of_all = all.passed() as f64 / (cases.len() - without_files) as f64;
    assert!(of_all >= REQUIRED_OF_ALL, "{:.2} % of all cases passed", of_all * 100.0);
}

/// The verdict, or why there is none.
fn judged(suite: &Path, case: &Case) -> Result<Verdict, String> {
    if let Some(why) = skip::before_loading(case) {
        return Err(why.to_owned());
    }
    let loaded = run::run(suite, case);
    let expects_error = case.expected.parser_error.as_deref().is_some_and(|pattern| !pattern.is_empty());
    if let (Loaded::Refused { diagnostics, .. }, false) = (&loaded, expects_error)
        && let Some(why) = skip::after_loading(suite, diagnostics)
    {
        return Err(why);
    }
    Ok(judge::verdict(case, &loaded))
}

fn record(report: &mut Report, case: &Case, verdict: &Result<Verdict, String>) {
    match verdict {
        Err(why) => report.skip(case.name(), why.as_str()),
        Ok(verdict) if verdict.is_pass() => report.pass(),
        Ok(verdict) => report.fail(case.name(), verdict.text()),
    }
}
