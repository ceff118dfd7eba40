//! The Core Rule Set's regression tests with blocking on: what a user at
//! paranoia level 1 is protected from.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use hop3_seclang::Parser;
use hop3_seclang::ast::{Action, Rule, SetVarOp, Target, Variable};
use hop3_seclang::loader::{Files, Loader};
use hop3_tests::data;
use hop3_tests::ftw::engine::{self, Setup};
use hop3_tests::ftw::request::Request;
use hop3_tests::ftw::schema::{self, Stage};
use hop3_tests::report::Report;
use hop3_waf::Ruleset;

/// Stages whose expectation comes from how one server treats the request before its engine sees it.
const SERVER_EFFECTS: &[(&str, &str)] =
    &[("920430-5/0", "the server refuses the protocol; the raw request rightly matches another rule")];

/// The two set-ups in which a stage is judged.
struct Rulesets {
    /// As users run it: rules of critical severity refuse by themselves.
    default: Arc<Ruleset>,
    /// Every scoring rule refuses by itself, optional ones too.
    sensitive: Arc<Ruleset>,
}

#[test]
fn scoring_rules_of_paranoia_level_1_refuse() {
    let Some(crs) = data::suite("crs") else { return };
    let scoring = Scoring::read(&crs);
    assert!(!scoring.score.is_empty(), "no rule scores at paranoia level 1");
    let compile = |setup| Arc::new(engine::ruleset(&crs, setup).unwrap_or_else(|error| panic!("{error}")));
    let rulesets = Rulesets { default: compile(Setup::Blocking), sensitive: compile(Setup::Sensitive) };
    let mut report = Report::new("crs-blocking-pl1");
    let files = schema::load(&crs.join("tests/regression/tests"), &mut report);
    for file in &files.unwrap_or_else(|error| panic!("{error}")) {
        for test in &file.tests {
            for (number, stage) in test.stages.iter().enumerate() {
                let case = format!("{}-{}/{number}", file.rule_id, test.test_id);
                run(&rulesets, &scoring, &case, stage, &mut report);
            }
        }
    }
    report.print();
    assert!(report.judged() > 0, "no stage was judged");
    assert!(report.failed().is_empty(), "{} stages are not refused", report.failed().len());
}

/// Judges a stage whose expected rules include one that scores at paranoia level 1.
fn run(rulesets: &Rulesets, scoring: &Scoring, case: &str, stage: &Stage, report: &mut Report) {
    let expected: Vec<u64> =
        stage.output.log.expect_ids.iter().copied().filter(|id| scoring.score.contains(id)).collect();
    if expected.is_empty() {
        return;
    }
    if let Some((_, why)) = SERVER_EFFECTS.iter().find(|(stage, _)| *stage == case) {
        return report.skip(case, *why);
    }
    let request = match Request::build(&stage.input) {
        Ok(request) => request,
        Err(error) => return report.fail(case, error),
    };
    let refuses_alone = |id: &u64| scoring.critical.contains(id) && !scoring.optional.contains(id);
    let ruleset = if expected.iter().any(refuses_alone) { &rulesets.default } else { &rulesets.sensitive };
    let outcome = engine::run(ruleset, &request);
    if outcome.status == 403 {
        return report.pass();
    }
    let logged: Vec<&u64> = expected.iter().filter(|id| outcome.logged.ids.contains(id)).collect();
    report.fail(case, format!("status {}; of {expected:?} {logged:?} are logged", outcome.status));
}

/// What the rule set's own text says about its rules.
struct Scoring {
    /// Rules of paranoia level 1 that raise an anomaly score.
    score: HashSet<u64>,
    /// Those of them whose score reaches the threshold by itself.
    critical: HashSet<u64>,
    /// Those of them that only run when a user has set a limit.
    optional: HashSet<u64>,
}

impl Scoring {
    fn read(crs: &Path) -> Self {
        let loader = Files::beneath([crs]);
        let mut parser = Parser::new(&loader);
        let pattern = crs.join("rules/*.conf").display().to_string();
        for path in loader.glob(&pattern).unwrap_or_else(|error| panic!("{error}")) {
            parser.file(&path);
        }
        let document = parser.finish().unwrap_or_else(|error| panic!("{error}"));
        let scoring =
            || document.rules().filter(|rule| has_tag(rule, "paranoia-level/1") && adds_score(rule, ""));
        Self {
            score: scoring().map(|rule| rule.id).collect(),
            critical: scoring().filter(|rule| adds_score(rule, "critical_")).map(|rule| rule.id).collect(),
            optional: scoring().filter(|rule| counts_optional_limit(rule)).map(|rule| rule.id).collect(),
        }
    }
}

fn actions(rule: &Rule) -> impl Iterator<Item = &Action> {
    let links = rule.links.iter().flat_map(|link| &link.actions);
    rule.actions.iter().chain(links).map(|action| &action.node)
}

fn has_tag(rule: &Rule, wanted: &str) -> bool {
    actions(rule).any(|action| matches!(action, Action::Tag(tag) if tag.raw() == wanted.as_bytes()))
}

/// Whether a rule adds a score of a kind, e.g. `%{tx.critical_anomaly_score}`; any kind for an empty text.
fn adds_score(rule: &Rule, kind: &str) -> bool {
    let score = format!("{kind}anomaly_score");
    actions(rule).any(|action| {
        matches!(action, Action::SetVar(set) if set.op == SetVarOp::Add
            && set.key.raw_str().to_ascii_lowercase().contains("anomaly_score")
            && set.value.raw_str().to_ascii_lowercase().contains(&score))
    })
}

/// Whether the first link asks for a TX variable that only a user's set-up creates.
fn counts_optional_limit(rule: &Rule) -> bool {
    let is_switch = |target: &Target| target.count && target.variable == Variable::Tx;
    rule.condition
        .as_ref()
        .is_some_and(|condition| condition.targets.iter().all(|target| is_switch(&target.node)))
}
