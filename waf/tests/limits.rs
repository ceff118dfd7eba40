//! What exceeds a limit is refused or inspected all the same, never passed unseen.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod support;

use hop3_waf::{Transaction, Verdict};

const RULES: &str = "SecRuleEngine On\nSecRequestBodyAccess On\n\
    SecRule REQUEST_HEADERS:Content-Type \"json\" \"id:1,phase:1,pass,nolog,ctl:requestBodyProcessor=JSON\"\n\
    SecRule REQUEST_COOKIES \"@contains evil\" \"id:2,phase:1,pass,log\"\n\
    SecRule ARGS \"@contains evil\" \"id:3,phase:2,pass,log\"\n\
    SecRule REQBODY_ERROR \"!@eq 0\" \"id:4,phase:2,deny,status:400,log,logdata:'%{REQBODY_ERROR_MSG}'\"\n";

/// The request through phase 2: the rules that matched, and what the last one says.
fn sent(headers: &[(&str, &str)], body: &str) -> (Vec<u64>, String) {
    let mut transaction: Transaction = support::transaction(&support::ruleset(RULES));
    transaction.set_request_line(b"POST", b"/", b"HTTP/1.1");
    for (name, value) in headers {
        transaction.add_request_header(name.as_bytes(), value.as_bytes());
    }
    let _ = transaction.process_request_headers();
    let _ = transaction.append_request_body(body.as_bytes());
    let verdict = transaction.process_request_body();
    let matches = transaction.matches();
    let refused = matches.iter().any(|found| found.rule_id == 4);
    assert_eq!(verdict != Verdict::Pass, refused);
    let data = matches.last().map_or(String::new(), |found| found.data.clone());
    (matches.iter().filter(|found| found.logged).map(|found| found.rule_id).collect(), data)
}

#[test]
fn cookies_beyond_the_limit_are_inspected_and_an_error() {
    let cookies = |count: usize| (0..count).map(|n| format!("c{n}=v; ")).collect::<String>();
    let last = |count: usize| cookies(count - 1) + "last=evil";
    assert_eq!(sent(&[("Cookie", &last(1000))], "").0, [2]);
    let (matched, said) = sent(&[("Cookie", &last(1001))], "");
    assert_eq!((matched.as_slice(), said.as_str()), (&[2, 4][..], "The request has more than 1000 cookies."));
    assert_eq!(sent(&[("Cookie", &last(5000))], "").0, [2, 4]);
    // Several header lines count together, and each is looked at.
    assert_eq!(sent(&[("Cookie", &cookies(900)), ("Cookie", &last(100))], "").0, [2]);
    let lines = [("Cookie", cookies(1000)), ("cookie", cookies(50)), ("COOKIE", "a=1; b=evil".to_owned())];
    let lines: Vec<_> = lines.iter().map(|(name, value)| (*name, value.as_str())).collect();
    assert_eq!(sent(&lines, "").0, [2, 4]);
}

#[test]
fn names_that_outgrow_their_body_are_an_error() {
    let headers = [("Content-Type", "application/json")];
    let long_key = |key: usize, leaves: usize| {
        format!("{{\"{}\":[\"evil\"{}]}}", "k".repeat(key), ",1".repeat(leaves - 1))
    };
    assert_eq!(sent(&headers, &long_key(100, 1000)).0, [3]);
    let (matched, said) = sent(&headers, &long_key(4096, 1000));
    assert_eq!(matched, [3, 4], "what came before is inspected");
    assert!(said.contains("names of values take more than"), "{said}");
    // Large documents with long paths stay far below.
    let row =
        "{\"identifier\":1,\"description\":\"text\",\"attributes\":{\"colour\":\"red\",\"weight\":[1,2,3]}}";
    let deep = (0..8).map(|n| format!("{{\"level{n}OfTheDocument\":")).collect::<String>();
    let document = format!("{deep}[{}]{}", [row; 160].join(","), "}".repeat(8));
    assert_eq!(sent(&headers, &document).0, [0; 0]);
}
