//! The Core Rule Set's own regression tests through the real HTTP front end.
//!
//! Every stage's bytes go over TCP to a proxy; the answer's status and the audit records are judged, so the tests that
//! expect nothing but a status count too.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hop3_tests::data;
use hop3_tests::ftw::engine::{self, Setup};
use hop3_tests::ftw::http::{BackEnd, Exchange, FrontEnd};
use hop3_tests::ftw::judge;
use hop3_tests::ftw::request::wire_bytes;
use hop3_tests::ftw::schema::{self, Output, Test};
use hop3_tests::report::Report;

/// How long the proxy waits for the rest of what some tests send in part.
const INCOMPLETE: Duration = Duration::from_secs(5);

/// A case whose expectation is another server's, and what holds here instead.
struct Exception {
    case: &'static str,
    status: u16,
    /// Whether the rule under test is logged.
    logged: bool,
    why: &'static str,
}

const EXCEPTIONS: &[Exception] = &[
    Exception {
        case: "920100-4",
        status: 405,
        logged: false,
        why: "CONNECT is refused with 405: a front end for apps opens no tunnels",
    },
    Exception {
        case: "920181-1",
        status: 400,
        logged: true,
        why: "Content-Length beside chunked is refused with 400, not repaired; the raw request rightly matches",
    },
    Exception {
        case: "921140-1",
        status: 400,
        logged: true,
        why: "a bare CR is refused with 400 as expected; the raw request rightly matches",
    },
];

/// The share of all cases that must pass, exceptions counted as not passed.
const REQUIRED: f64 = 0.99;
/// Proxies that are tested side by side.
const WORKERS: usize = 4;

struct Case {
    name: String,
    rule: u64,
    test: Test,
}

#[tokio::test(flavor = "multi_thread")]
async fn regression_tests_through_the_http_front_end() {
    let Some(crs) = data::suite("crs") else { return };
    let ruleset = engine::ruleset(&crs, Setup::Regression).unwrap_or_else(|error| panic!("{error}"));
    let ruleset = Arc::new(ruleset);
    let mut report = Report::new("crs-http");
    let files = schema::load(&crs.join("tests/regression/tests"), &mut report);
    let cases = files.unwrap_or_else(|error| panic!("{error}")).into_iter().flat_map(|file| {
        let rule = file.rule_id;
        file.tests.into_iter().map(move |test| Case { name: format!("{rule}-{}", test.test_id), rule, test })
    });
    let cases: Arc<Vec<Case>> = Arc::new(cases.collect());
    let next = Arc::new(AtomicUsize::new(0));
    let back_end = BackEnd::start().await.unwrap_or_else(|error| panic!("{error}"));
    let workers: Vec<_> = (0..WORKERS)
        .map(|_| {
            let front_end = FrontEnd::start(Arc::clone(&ruleset), &back_end, INCOMPLETE);
            let front_end = front_end.unwrap_or_else(|error| panic!("{error}"));
            tokio::spawn(work(Arc::clone(&cases), Arc::clone(&next), front_end))
        })
        .collect();
    let mut complaints = Vec::new();
    for worker in workers {
        complaints.extend(worker.await.unwrap_or_else(|error| panic!("{error}")));
    }
    complaints.sort_by_key(|(index, _)| *index);
    record(&mut report, &cases, complaints);
    report.print();
    assert!(report.judged() > 0, "no case was judged");
    let share = report.passed() as f64 / cases.len() as f64;
    assert!(share >= REQUIRED, "{:.2} % passed", share * 100.0);
}

/// Takes cases until none is left; what does not hold, by the case's position.
async fn work(
    cases: Arc<Vec<Case>>,
    next: Arc<AtomicUsize>,
    mut front_end: FrontEnd,
) -> Vec<(usize, Vec<String>)> {
    let mut results = Vec::new();
    loop {
        let index = next.fetch_add(1, Ordering::Relaxed);
        let Some(case) = cases.get(index) else { return results };
        let exception = exception(case);
        let mut complaints = Vec::new();
        for stage in &case.test.stages {
            let exchange = match wire_bytes(&stage.input) {
                Ok(bytes) => front_end.send(&bytes).await.map_err(|error| error.to_string()),
                Err(error) => Err(error),
            };
            match (exchange, exception) {
                (Ok(seen), None) => complaints.extend(complaints_of(&stage.output, &seen)),
                (Ok(seen), Some(exception)) => complaints.extend(exception.complaint(case.rule, &seen)),
                (Err(error), _) => complaints.push(error),
            }
        }
        results.push((index, complaints));
    }
}

fn exception(case: &Case) -> Option<&'static Exception> {
    EXCEPTIONS.iter().find(|exception| exception.case == case.name)
}

impl Exception {
    fn complaint(&self, rule: u64, seen: &Exchange) -> Option<String> {
        let logged = seen.logged.ids.contains(&rule);
        let holds = seen.status == Some(self.status) && logged == self.logged;
        (!holds).then(|| format!("not as the exception says: status {:?}, logged {logged}", seen.status))
    }
}

fn complaints_of(expected: &Output, seen: &Exchange) -> Vec<String> {
    let mut complaints = judge::complaints(&expected.log, &seen.logged);
    if let Some(status) = expected.status.filter(|status| seen.status != Some(*status)) {
        complaints.push(format!("status {:?} instead of {status}", seen.status));
    }
    // What keeps go-ftw from reading an answer is for us a refusal.
    if expected.expect_error == Some(true) && seen.status.is_some_and(|status| status < 400) {
        complaints.push(format!("answered with {:?} instead of an error", seen.status));
    }
    if !complaints.is_empty() && !seen.notes.is_empty() {
        complaints.push(format!("the proxy notes: {}", seen.notes.join(", ")));
    }
    complaints
}

fn record(report: &mut Report, cases: &[Case], results: Vec<(usize, Vec<String>)>) {
    for (index, complaints) in results {
        let case = &cases[index];
        match exception(case) {
            _ if !complaints.is_empty() => report.fail(&case.name, complaints.join("; ")),
            Some(exception) => report.skip(&case.name, exception.why),
            None => report.pass(),
        }
    }
}
