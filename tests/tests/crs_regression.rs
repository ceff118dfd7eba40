//! The Core Rule Set's own regression tests, in process.

use std::path::Path;
use std::sync::Arc;

use hop3_tests::data;
use hop3_tests::ftw::engine::{self, Setup};
use hop3_tests::ftw::judge;
use hop3_tests::ftw::request::Request;
use hop3_tests::ftw::schema::{self, Test};
use hop3_tests::report::Report;
use hop3_waf::Ruleset;

/// Cases whose expectation comes from how one server treats the request before its engine sees it.
const SERVER_EFFECTS: &[(&str, &str)] = &[
    ("920181-1", "the server drops a Content-Length beside chunked; the raw request rightly matches"),
    ("920430-5", "the server reads a request line without version as HTTP/0.9; the raw request has none"),
    ("920640-5", "the server refuses a body without length; the raw request rightly matches"),
    ("921140-1", "the server refuses a bare CR before its engine sees it; the raw request rightly matches"),
];

/// The share of judged cases that must pass.
const REQUIRED: f64 = 1.0;

#[test]
fn regression_tests_of_the_core_rule_set() {
    let Some(crs) = data::suite("crs") else { return };
    let ruleset = compile(&crs, Setup::Regression);
    let mut report = Report::new("crs-regression");
    let files = schema::load(&crs.join("tests/regression/tests"), &mut report);
    for file in &files.unwrap_or_else(|error| panic!("{error}")) {
        for test in &file.tests {
            run(&ruleset, &format!("{}-{}", file.rule_id, test.test_id), test, &mut report);
        }
    }
    report.print();
    assert!(report.judged() > 0, "no case was judged");
    assert!(report.rate() >= REQUIRED, "{:.2} % passed", report.rate() * 100.0);
}

fn compile(crs: &Path, setup: Setup) -> Arc<Ruleset> {
    let ruleset = engine::ruleset(crs, setup).unwrap_or_else(|error| panic!("{error}"));
    assert!(ruleset.rule_count() > 0, "no rules are loaded");
    Arc::new(ruleset)
}

fn run(ruleset: &Arc<Ruleset>, case: &str, test: &Test, report: &mut Report) {
    if let Some((_, why)) = SERVER_EFFECTS.iter().find(|(id, _)| *id == case) {
        return report.skip(case, *why);
    }
    if !test.stages.iter().any(|stage| stage.output.judged_by_log()) {
        return report.skip(case, "only a status is expected; judged through the HTTP front end");
    }
    let mut complaints = Vec::new();
    for stage in &test.stages {
        match Request::build(&stage.input) {
            Err(error) => complaints.push(error),
            Ok(request) => {
                let outcome = engine::run(ruleset, &request);
                complaints.extend(judge::complaints(&stage.output.log, &outcome.logged));
            }
        }
    }
    if complaints.is_empty() { report.pass() } else { report.fail(case, complaints.join("; ")) }
}
