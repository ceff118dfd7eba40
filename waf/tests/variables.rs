//! Every variable of the language has a value in some exchange, or is refused with a reason.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod support;

use std::collections::BTreeSet;
use std::sync::Arc;

use hop3_seclang::ast::Variable;
use hop3_seclang::refused;
use hop3_waf::{Ruleset, Transaction};

/// What has to be there for a value that is not there by itself, and where that is tested.
const ELSEWHERE: [(Variable, &str); 1] = [(Variable::Geo, "needs a database: see the tests of `geo`")];

const START: &str = "SecRuleEngine On\nSecResponseBodyAccess On\n\
    SecResponseBodyMimeType text/html application/json text/xml\n\
    SecRule REQUEST_HEADERS:Content-Type \"xml\" \"id:1,phase:1,nolog,pass,ctl:requestBodyProcessor=XML\"\n\
    SecRule RESPONSE_HEADERS:Content-Type \"json\" \"id:2,phase:3,nolog,pass,ctl:responseBodyProcessor=JSON\"\n\
    SecRule RESPONSE_HEADERS:Content-Type \"xml\" \"id:3,phase:3,nolog,pass,ctl:responseBodyProcessor=XML\"\n\
    SecAction \"id:4,phase:1,nolog,pass,initcol:ip=%{REMOTE_ADDR},initcol:global=g,initcol:resource=r,setsid:s,setuid:u,\
    setvar:tx.a=1,setvar:ip.a=1,setvar:global.a=1,setvar:resource.a=1,setvar:session.a=1,setvar:user.a=1,setenv:a=1\"\n\
    SecRule REQUEST_FILENAME \"@restpath /a/{id}\" \"id:5,phase:1,nolog,pass\"\n";

/// Type and body of a request, type and body of the response to it.
const EXCHANGES: [[&str; 4]; 3] = [
    ["application/x-www-form-urlencoded", "c=d&e=f", "text/html", "<p>x</p>"],
    [
        "multipart/form-data; boundary=0000",
        "--0000\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nb\r\n\
         --0000\r\nContent-Disposition: form-data; name=\"f\"; filename=\"x.txt\"\r\n\r\ncontent\r\n--0000--\r\n",
        "application/json",
        "{\"a\":1}",
    ],
    ["text/xml", "<a b=\"c\">d</a>", "text/xml", "<a b=\"c\">d</a>"],
];

#[test]
fn every_variable_has_a_value_or_a_refusal() {
    let mut text = START.to_owned();
    for (index, variable) in Variable::ALL.iter().enumerate() {
        if refused::variable(*variable).is_some() {
            let rule = format!("SecRule {variable} \"@unconditionalMatch\" \"id:1\"");
            let error = hop3_seclang::parse_str("a", &rule, &hop3_seclang::loader::MemoryLoader::new());
            assert!(error.is_err(), "{variable} has a refusal and is accepted");
            continue;
        }
        let id = 100 + index;
        // What a rule matched is there for its links.
        text.push_str(&format!(
            "SecRule REQUEST_METHOD \"@unconditionalMatch\" \"id:{id},phase:5,log,pass,severity:2,chain\"\n\
             SecRule {variable} \"@unconditionalMatch\" \"t:none\"\n"
        ));
    }
    let ruleset = support::ruleset(&text);
    let mut seen = BTreeSet::new();
    for exchange in EXCHANGES {
        let transaction = send(&ruleset, exchange);
        seen.extend(transaction.matches().iter().map(|found| found.rule_id));
    }
    let missing: Vec<String> = Variable::ALL
        .iter()
        .enumerate()
        .filter(|(index, variable)| {
            refused::variable(**variable).is_none()
                && !ELSEWHERE.iter().any(|(known, _)| known == *variable)
                && !seen.contains(&(100 + *index as u64))
        })
        .map(|(_, variable)| variable.to_string())
        .collect();
    assert!(missing.is_empty(), "never have a value: {}", missing.join(" "));
}

fn send(ruleset: &Arc<Ruleset>, [kind, body, response_kind, response]: [&str; 4]) -> Transaction {
    let mut transaction = support::transaction(ruleset);
    transaction.set_request_line(b"POST", b"/a/7?g=h&i=j", b"HTTP/1.1");
    for (name, value) in [
        ("Host", "h.example"),
        ("Authorization", "Basic dXNlcjpwYXNz"),
        ("Cookie", "k=v"),
        ("Content-Type", kind),
    ] {
        transaction.add_request_header(name.as_bytes(), value.as_bytes());
    }
    let _ = transaction.process_request_headers();
    let _ = transaction.append_request_body(body.as_bytes());
    let _ = transaction.process_request_body();
    transaction.add_response_header(b"Content-Type", response_kind.as_bytes());
    let _ = transaction.process_response_headers(200, b"HTTP/1.1");
    let _ = transaction.append_response_body(response.as_bytes());
    let _ = transaction.process_response_body();
    transaction.process_logging();
    transaction
}
