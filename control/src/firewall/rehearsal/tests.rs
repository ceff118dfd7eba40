//! Whole inspections on small rule files.

use std::sync::Arc;

use hop3_seclang::loader::MemoryLoader;
use hop3_waf::Ruleset;

use super::*;
use crate::firewall::Owner;
use crate::model::Step;

const RULES: &str = "SecRuleEngine On\nSecRequestBodyAccess On\n\
    SecAction \"id:1,phase:1,pass,nolog,setvar:tx.anomaly_score=0,setvar:tx.inbound_anomaly_score_threshold=5\"\n\
    SecRule ARGS \"@rx union\\s+select\" \"id:100,phase:2,pass,log,capture,t:none,t:urlDecodeUni,t:lowercase,\
        msg:'SQL',severity:CRITICAL,setvar:tx.anomaly_score=+5\"\n\
    SecRule &REQUEST_HEADERS:Accept \"@eq 0\" \"id:101,phase:1,pass,log,msg:'No Accept',setvar:tx.anomaly_score=+2\"\n\
    SecRule TX:anomaly_score \"@ge 5\" \"id:900,phase:2,deny,status:403,log,msg:'Score %{tx.anomaly_score}'\"\n";

fn compiled(rules: &str) -> Compiled {
    let document = hop3_seclang::parse_str("t.conf", rules, &MemoryLoader::new()).unwrap();
    Compiled {
        ruleset: Arc::new(Ruleset::compile(&document).unwrap()),
        name: "t.conf".into(),
        version: None,
        texts: None,
    }
}

/// With exceptions as the product writes them.
fn retried(tuning: &[Tuning], request: &Exchange) -> Inspection {
    let snippets = crate::firewall::tuning::snippets(tuning, &[], &Owner::default()).unwrap();
    let text = |list: &[hop3_rules::Snippet]| list.iter().map(|one| one.text.clone()).collect::<String>();
    inspect(&compiled(&format!("{}{RULES}{}", text(&snippets.before), text(&snippets.after))), request)
}

#[test]
fn every_step_is_told() {
    let request = Exchange::from(RawRequest::one_line("GET /s?q=%2555NION%20SELECT&x=1", &[], None).unwrap());
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
    let request = Exchange::from(RawRequest::one_line("GET /", &[], None).unwrap());
    let told = rehearse(&compiled(RULES), &request, |_| Err(Failure::internal("not to be asked"))).unwrap();
    assert_eq!((told.outcome.action, told.rules.len(), told.exclusion), (Action::Pass, 0, None));
}

#[test]
fn bodies_are_inspected_and_detection_says_what_would_happen() {
    let body = "q=union+select";
    let request = Exchange::from(RawRequest::one_line("POST /", &[], Some(body)).unwrap());
    let detecting = compiled(&RULES.replace("SecRuleEngine On", "SecRuleEngine DetectionOnly"));
    let told = inspect(&detecting, &request);
    assert_eq!((told.outcome.action, told.outcome.score), (Action::Detect, Some(5)));
    assert_eq!(told.rules[0].values[0].variable, "ARGS:q");
    let bare = Exchange::from(RawRequest::parse(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap());
    let told = rehearse(&compiled(RULES), &bare, |tuning| Ok(retried(tuning, &bare))).unwrap();
    assert_eq!(told.outcome.action, Action::Pass);
    assert!(told.exclusion.unwrap().toml.contains("disable = [101]\nreason"), "a count cannot be excluded");
}

#[test]
fn responses_are_inspected_too() {
    let rules = "SecRuleEngine On\nSecResponseBodyAccess On\nSecResponseBodyMimeType text/html\n\
        SecAction \"id:1,phase:1,pass,nolog,setvar:tx.outbound_anomaly_score_threshold=4\"\n\
        SecRule RESPONSE_STATUS \"@streq 500\" \"id:10,phase:3,pass,log,msg:'Fault',setvar:tx.outbound_anomaly_score=+2\"\n\
        SecRule RESPONSE_BODY \"@contains stack trace\" \"id:11,phase:4,pass,log,msg:'Leak',\
        setvar:tx.outbound_anomaly_score=+4\"\n\
        SecRule TX:outbound_anomaly_score \"@ge 4\" \"id:12,phase:4,deny,status:502,log,msg:'Withheld'\"\n";
    let request = RawRequest::one_line("GET /", &[], None).unwrap();
    let told = |response: &[u8]| {
        let response = Some(RawResponse::parse(response).unwrap());
        inspect(&compiled(rules), &Exchange { request: request.clone(), response })
    };
    let leak = told(b"HTTP/1.1 500 Oh\nContent-Type: text/html\n\nA stack trace");
    assert_eq!(
        leak.rules.iter().map(|rule| (rule.id, rule.phase)).collect::<Vec<_>>(),
        [(10, 3), (11, 4), (12, 4)]
    );
    assert_eq!((leak.outcome.action, leak.outcome.status), (Action::Deny, Some(502)));
    assert_eq!((leak.outcome.score, leak.outcome.threshold), (Some(6), Some(4)));
    let fault = told(b"HTTP/1.1 500 Oh\nContent-Type: image/png\n\nA stack trace");
    assert_eq!(fault.rules.iter().map(|rule| rule.id).collect::<Vec<_>>(), [10], "the type is not inspected");
    assert_eq!(fault.outcome.action, Action::Pass);
    let nothing = inspect(&compiled(rules), &request.clone().into());
    assert_eq!((nothing.rules.len(), nothing.outcome.score), (0, None));
}
