//! What an observer is told, and where matches say that they stood.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod support;

use std::sync::{Arc, Mutex};

use hop3_waf::Transaction;
use hop3_waf::trace::{Event, Trace};

/// Keeps what it is told as text.
#[derive(Debug, Default)]
struct Notes(Mutex<Vec<String>>);

impl Trace for Notes {
    fn event(&self, event: &Event<'_>) {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let note = match *event {
            Event::Link { rule_id, position, argument } => {
                format!("link {rule_id}.{position} {}", text(argument))
            }
            Event::Transformed { transformation, value } => {
                format!("{} {}", transformation.name(), text(value))
            }
            Event::Tested { variable, value } => format!("tested {}={}", text(variable), text(value)),
            Event::Captured { group, value } => format!("group {group} {}", text(value)),
            Event::VariableSet { name, value, .. } => format!("set {}={}", text(name), text(value)),
            Event::LinkEnded { matched } => format!("ended {matched}"),
            Event::Skipped { rule_id, why } => format!("skipped {rule_id} {why:?}"),
            _ => return,
        };
        self.0.lock().unwrap().push(note);
    }
}

/// A request through phase 2.
fn sent(rules: &str, configure: impl FnOnce(Transaction) -> Transaction) -> Transaction {
    let ruleset = support::ruleset(&format!("SecRuleEngine On\n{rules}"));
    let mut transaction = configure(support::transaction(&ruleset));
    transaction.set_request_line(b"POST", b"/a/b%20c?q=%41b&empty=", b"HTTP/1.1");
    transaction.add_request_header(b"Host", b"shop");
    transaction.add_request_header(b"Cookie", b"id=7; k=v");
    transaction.add_request_header(b"Content-Type", b"application/x-www-form-urlencoded");
    let _ = transaction.process_request_headers();
    let _ = transaction.append_request_body(b"x=1&&name=evil");
    let _ = transaction.process_request_body();
    transaction
}

#[test]
fn an_observer_follows_a_rule_step_by_step() {
    let notes = Arc::new(Notes::default());
    let rules = "SecAction \"id:1,phase:1,nolog,pass,setvar:tx.a=Ab\"\n\
        SecRule ARGS_GET:q \"@contains %{tx.a}\" \"id:2,phase:1,pass,nolog,t:lowercase,t:trim,multiMatch,skip:1,chain\"\n\
        SecRule MATCHED_VAR \"@rx ^(.)\" \"capture,setvar:tx.hit=%{tx.1}\"\n\
        SecAction \"id:3,phase:1,nolog,pass\"\n";
    sent(rules, |transaction| transaction.with_trace(notes.clone()));
    let expected = [
        "link 1.0 ",
        "set a=Ab",
        "ended true",
        "link 2.0 Ab",
        "tested ARGS_GET:q=Ab",
        "lowercase ab",
        "trim ab",
        "tested ARGS_GET:q=ab",
        "ended true",
        "link 2.1 ",
        "tested MATCHED_VAR=Ab",
        "group 0 A",
        "group 1 A",
        "set hit=A",
        "ended true",
        "skipped 3 Jump",
    ];
    assert_eq!(*notes.0.lock().unwrap(), expected);
}

#[test]
fn matches_say_where_they_stood() {
    for (rule, reference) in [
        ("ARGS_GET \"@rx (b)\"", "o1,1o1,1v16,4"),
        ("ARGS_GET_NAMES \"@streq empty\"", "v21,5"),
        ("ARGS_POST:name \"@contains vil\"", "o1,3v125,4"),
        ("REQUEST_COOKIES:k \"@beginsWith v\"", "o0,1v64,1"),
        ("REQUEST_HEADERS:Host \"@endsWith op\"", "o2,2v43,4"),
        ("REQUEST_BASENAME \"@within xb cx\"", "o1,3v8,5"),
        ("REQUEST_BODY \"@pm EVIL\"", "o10,4v115,14"),
        ("TX:0 \"!@rx .\"", ""),
    ] {
        let rules = format!(
            "SecAction \"id:1,phase:1,nolog,pass,setvar:tx.0=\"\nSecRule {rule} \"id:2,phase:2,pass\"\n"
        );
        let told = |transaction: Transaction| transaction.matches().last().unwrap().reference.clone();
        assert_eq!(told(sent(&rules, Transaction::with_references)), reference, "{rule}");
        assert_eq!(told(sent(&rules, |transaction| transaction)), "", "{rule}: nobody asked");
    }
}

#[test]
fn patterns_may_have_macros() {
    let rules = "SecAction \"id:1,phase:1,nolog,pass,setvar:tx.bad=ev.l,setvar:tx.broken=(\"\n\
        SecRule ARGS:name \"@rx ^%{tx.bad}$\" \"id:2,phase:2,pass\"\n\
        SecRule ARGS:name \"@rx ^%{tx.none}$\" \"id:3,phase:2,pass\"\n\
        SecRule ARGS:name \"@rx %{tx.broken}\" \"id:4,phase:2,pass\"\n";
    let ids: Vec<u64> = sent(rules, |it| it).matches().iter().map(|found| found.rule_id).collect();
    // What cannot be compiled gives no answer, and no answer counts as a match.
    assert_eq!(ids, [2, 4]);
}

#[test]
fn collections_that_nobody_opened_live_as_long_as_the_transaction() {
    let rules = "SecAction \"id:1,phase:1,nolog,pass,setvar:ip.n=+2,setvar:ip.gone=1,expirevar:ip.gone=0\"\n\
        SecRule IP:n \"@eq 2\" \"id:2,phase:2,pass,msg:'n=%{ip.n}'\"\n\
        SecRule &IP:gone \"@eq 0\" \"id:3,phase:2,pass\"\n";
    let transaction = sent(rules, |it| it);
    let told: Vec<_> =
        transaction.matches().iter().map(|found| (found.rule_id, found.message.as_str())).collect();
    assert_eq!(told, [(2, "n=2"), (3, "")]);
}
