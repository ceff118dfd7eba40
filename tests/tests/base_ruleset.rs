//! The base ruleset on attack and benign requests of our own writing, the Core Rule Set beside it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hop3_rules::{RulesetName, Selection, Store};
use hop3_tests::corpus::{self, Case, Expect};
use hop3_tests::data;
use hop3_tests::ftw::engine::{self, Setup};
use hop3_tests::report::Report;
use hop3_waf::Ruleset;

/// The share of attacks that must be refused.
const ATTACKS_REFUSED: f64 = 0.97;
/// The share of benign requests that must pass.
const BENIGN_PASSED: f64 = 0.99;

/// Requests and refusals of one class.
#[derive(Default)]
struct Tally {
    requests: usize,
    base: usize,
    crs: usize,
}

#[test]
fn base_ruleset_refuses_attacks_and_nothing_else() {
    let base = base();
    let crs = crs();
    let attacks = suite("base-attacks", "attacks.jsonl", Expect::Block, &base, crs.as_ref());
    let benign = suite("base-benign", "benign.jsonl", Expect::Pass, &base, crs.as_ref());
    assert!(attacks.judged() >= 300, "only {} attacks", attacks.judged());
    assert!(benign.judged() >= 500, "only {} benign requests", benign.judged());
    assert!(attacks.rate() >= ATTACKS_REFUSED, "{:.2} % of attacks refused", attacks.rate() * 100.0);
    assert!(benign.rate() >= BENIGN_PASSED, "{:.2} % of benign requests passed", benign.rate() * 100.0);
}

fn suite(name: &str, file: &str, expect: Expect, base: &Arc<Ruleset>, crs: Option<&Arc<Ruleset>>) -> Report {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/base").join(file);
    let cases = corpus::load(&path).unwrap_or_else(|error| panic!("{error}"));
    let mut report = Report::new(name);
    let mut classes = BTreeMap::new();
    for case in &cases {
        assert_eq!(case.expect, expect, "{} lies in the wrong file", case.id);
        let tally: &mut Tally = classes.entry(case.label.as_str()).or_default();
        tally.requests += 1;
        tally.base += usize::from(judge(case, base, &mut report));
        tally.crs += usize::from(crs.is_some_and(|crs| corpus::inspect(crs, case).refused.is_some()));
    }
    print_table(name, &classes, crs.is_some());
    report.print();
    report
}

/// Says whether the base ruleset refused the request, and records whether that is right.
fn judge(case: &Case, base: &Arc<Ruleset>, report: &mut Report) -> bool {
    let outcome = corpus::inspect(base, case);
    let refused = outcome.refused.is_some();
    if refused == (case.expect == Expect::Block) {
        report.pass();
    } else {
        let verdict = outcome.refused.map_or("passed".to_owned(), |status| format!("refused with {status}"));
        report.fail(&case.id, format!("{verdict}; {}", outcome.matched.join("; ")));
    }
    refused
}

/// One line a class: what the base ruleset refuses, and the Core Rule Set beside it.
fn print_table(name: &str, classes: &BTreeMap<&str, Tally>, with_crs: bool) {
    let mut text = "\n".to_owned();
    let mut row = |class: &str, tally: &Tally| {
        let share = |refused| format!("{refused}/{}", tally.requests);
        let crs = if with_crs { share(tally.crs) } else { "-".to_owned() };
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "CLASS {name} {class:<20} base refuses {:>9}  CRS at PL1 {crs:>9}",
            share(tally.base)
        );
    };
    let mut total = Tally::default();
    for (class, tally) in classes {
        row(class, tally);
        total.requests += tally.requests;
        total.base += tally.base;
        total.crs += tally.crs;
    }
    row("(all)", &total);
    // A closed standard output is no reason to fail a suite.
    let _ = io::stdout().lock().write_all(text.as_bytes());
}

fn base() -> Arc<Ruleset> {
    let root = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
    let store = Store::open(root.path()).unwrap_or_else(|error| panic!("{error}"));
    let assembled =
        store.assemble(&Selection::new(RulesetName::Base)).unwrap_or_else(|error| panic!("{error}"));
    Arc::new(Ruleset::compile(&assembled.document).unwrap_or_else(|error| panic!("{error}")))
}

/// The Core Rule Set at paranoia level 1, blocking; the test data's, else Debian's.
fn crs() -> Option<Arc<Ruleset>> {
    let folder = data::suite("crs")
        .or_else(|| Some(PathBuf::from(engine::DEBIAN_CRS)).filter(|path| path.is_dir()))?;
    match engine::ruleset(&folder, Setup::Blocking) {
        Ok(ruleset) => Some(Arc::new(ruleset)),
        Err(error) => {
            eprintln!("no comparison with {}: {error}", folder.display());
            None
        }
    }
}
