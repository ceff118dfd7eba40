//! Whole inspections on small rule files.

use std::sync::Arc;

use hop3_seclang::loader::MemoryLoader;
use hop3_waf::Ruleset;

use super::*;
use crate::model::Step;

const RULES: &str = "SecRuleEngine On\nSecRequestBodyAccess On\n\
    SecAction \"id:1,phase:1,pass,nolog,setvar:tx.anomaly_score=0,setvar:tx.inbound_anomaly_score_threshold=5\"\n\
    SecRule ARGS \"@rx union\\s+select\" \"id:100,phase:2,pass,log,capture,t:none,t:urlDecodeUni,t:lowercase,\
        msg:'SQL',severity:CRITICAL,setvar:tx.anomaly_score=+5\"\n\
    SecRule &REQUEST_HEADERS:Accept \"@eq 0\" \"id:101,phase:1,pass,log,msg:'No Accept',setvar:tx.anomaly_score=+2\"\n\
    SecRule TX:anomaly_score \"@ge 5\" \"id:900,phase:2,deny,status:403,log,msg:'Score %{tx.anomaly_score}'\"\n";

fn compiled(rules: &str) -> Compiled {
    let document = hop3_seclang::parse_str("t.conf", rules, &MemoryLoader::new()).unwrap();
    Compiled { ruleset: Arc::new(Ruleset::compile(&document).unwrap()), name: "t.conf".into(), version: None }
}

/// With exceptions as the product writes them.
fn retried(tuning: &[Tuning], request: &RawRequest) -> Inspection {
    let snippets = crate::firewall::tuning::snippets(tuning, &[], None).unwrap();
    let text = |list: &[hop3_rules::Snippet]| list.iter().map(|one| one.text.clone()).collect::<String>();
    inspect(&compiled(&format!("{}{RULES}{}", text(&snippets.before), text(&snippets.after))), request)
}

#[test]
fn every_step_is_told() {
    let request = RawRequest::one_line("GET /s?q=%2555NION%20SELECT&x=1", &[], None).unwrap();
    let told = rehearse(&compiled(RULES), &request, |tuning| Ok(retried(tuning, &request))).unwrap();
    assert_eq!(
        told.outcome,
        Outcome {
            action: Action::Deny,
            status: Some(403),
            reason: Some("Score 5 [id \"900\"]".into()),
            score: Some(5),
            threshold: Some(5)
        }
    );
    let ids: Vec<u64> = told.rules.iter().map(|rule| rule.id).collect();
    assert_eq!(ids, [100, 900]);
    let value = &told.rules[0].values[0];
    assert_eq!((value.variable.as_str(), value.original.as_deref()), ("ARGS:q", Some("%55NION SELECT")));
    let step = |name: &str, value: &str| Step { transformation: name.into(), value: Some(value.into()) };
    assert_eq!(value.steps, [step("urlDecodeUni", "UNION SELECT"), step("lowercase", "union select")]);
    assert_eq!(value.matched.as_deref(), Some("union select"));
    assert_eq!((told.rules[0].file.as_str(), told.rules[0].line), ("t.conf", 4));

    let exclusion = told.exclusion.unwrap();
    assert_eq!(
        exclusion.toml,
        "[[waf.tuning]]\npath = \"/s\"\ndisable = [100]\ntargets = [\"ARGS:q\"]\nreason = \"false positive\"\n"
    );
    assert_eq!(exclusion.remaining, Vec::<u64>::new());
    let outcome = exclusion.outcome.unwrap();
    assert_eq!((outcome.action, outcome.score), (Action::Pass, Some(0)));
}

#[test]
fn what_is_not_suspicious_needs_no_exclusion() {
    let request = RawRequest::one_line("GET /", &[], None).unwrap();
    let told = rehearse(&compiled(RULES), &request, |_| Err(Failure::internal("not to be asked"))).unwrap();
    assert_eq!((told.outcome.action, told.rules.len(), told.exclusion), (Action::Pass, 0, None));
}

#[test]
fn bodies_are_inspected_and_detection_says_what_would_happen() {
    let body = "q=union+select";
    let request = RawRequest::one_line("POST /", &[], Some(body)).unwrap();
    let detecting = compiled(&RULES.replace("SecRuleEngine On", "SecRuleEngine DetectionOnly"));
    let told = inspect(&detecting, &request);
    assert_eq!((told.outcome.action, told.outcome.score), (Action::Detect, Some(5)));
    assert_eq!(told.rules[0].values[0].variable, "ARGS:q");
    let bare = RawRequest::parse(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let told = rehearse(&compiled(RULES), &bare, |tuning| Ok(retried(tuning, &bare))).unwrap();
    assert_eq!(told.outcome.action, Action::Pass);
    assert!(told.exclusion.unwrap().toml.contains("disable = [101]\nreason"), "a count cannot be excluded");
}
