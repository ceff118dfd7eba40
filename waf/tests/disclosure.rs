//! What is told about a transaction: masked matches, audit records, decoded bodies, persistent records.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod support;

use std::io::Write;
use std::sync::Arc;

use flate2::Compression;
use flate2::write::GzEncoder;
use hop3_waf::audit::{self, AuditParts};
use hop3_waf::{MemoryStore, Ruleset, Transaction, Verdict};

const ON: &str = "SecRuleEngine On\nSecRequestBodyAccess On\nSecResponseBodyAccess On\n";

fn ruleset(rules: &str) -> Arc<Ruleset> {
    support::ruleset(&format!("{ON}{rules}"))
}

/// A form sent to a ruleset, up to phase 5.
fn send(rules: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Transaction {
    let mut transaction = support::transaction(&ruleset(rules));
    request(&mut transaction, target, headers, body);
    transaction.process_logging();
    transaction
}

fn request(transaction: &mut Transaction, target: &str, headers: &[(&str, &str)], body: &[u8]) {
    transaction.set_request_line(b"POST", target.as_bytes(), b"HTTP/1.1");
    for (name, value) in headers {
        transaction.add_request_header(name.as_bytes(), value.as_bytes());
    }
    if !headers.iter().any(|(name, _)| *name == "Content-Type") {
        transaction.add_request_header(b"Content-Type", b"application/x-www-form-urlencoded");
    }
    let _ = transaction.process_request_headers();
    let _ = transaction.append_request_body(body);
    let _ = transaction.process_request_body();
}

fn told(transaction: &Transaction) -> String {
    let context = transaction.log_context();
    let lines = transaction.matches().iter().map(|found| {
        let values = found.matched.iter().map(|value| String::from_utf8_lossy(&value.value).into_owned());
        format!("{} {} {:?}", found.log_line(&context), found.data, values.collect::<Vec<_>>())
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

const TELLER: &str = r#"SecRule ARGS|REQUEST_COOKIES|REQUEST_HEADERS|REQUEST_URI|REQUEST_BODY "@rx (?i)evil-?[a-z0-9]+" "id:1,phase:2,pass,capture,t:lowercase,msg:'m %{MATCHED_VAR}',logdata:'Matched Data: %{TX.0} found within %{MATCHED_VAR_NAME}: %{MATCHED_VAR}'""#;

#[test]
fn secrets_are_masked_by_default() {
    for (target, headers, body) in [
        ("/?password=Evil-hunter2", vec![], ""),
        ("/", vec![], "user[new_password]=xEvil-hunter2&a=1"),
        ("/", vec![("Cookie", "sid=Evil-hunter2; a=b")], ""),
        ("/", vec![("Authorization", "Bearer Evil-hunter2")], ""),
        ("/", vec![("X-Api-Key", "Evil-hunter2")], ""),
    ] {
        let transaction = send(TELLER, target, &headers, body.as_bytes());
        let told = told(&transaction);
        assert!(!transaction.matches().is_empty(), "{target} {body}");
        assert!(!told.to_lowercase().contains("hunter2"), "{target} {body}: {told}");
        assert!(told.contains("********"), "{told}");
        let off = send(&format!("SecMaskSecrets Off\n{TELLER}"), target, &headers, body.as_bytes());
        assert!(self::told(&off).contains("hunter2"), "{target} {body}");
    }
    let harmless = send(TELLER, "/?q=evil-x", &[], b"");
    assert!(
        told(&harmless).contains("Matched Data: evil-x found within REQUEST_URI: /?q=evil-x"),
        "{}",
        told(&harmless)
    );
    let card = send(TELLER, "/?q=evil1+4111+1111+1111+1111", &[], b"");
    assert!(told(&card).contains("****+****+****+1111") && !told(&card).contains("4111"), "{}", told(&card));
}

#[test]
fn rules_can_ask_for_more() {
    let rules = [
        r#"SecRule ARGS:q "@contains evil" "id:1,phase:2,pass,logdata:'%{MATCHED_VAR}'""#,
        r#"SecRule ARGS:q "@rx secret-(\d+)" "id:2,phase:2,pass,capture,sanitiseMatchedBytes:7/2,logdata:'%{MATCHED_VAR}'""#,
        r#"SecRule ARGS:account "@rx ." "id:3,phase:2,pass,sanitiseMatched,logdata:'%{MATCHED_VAR}'""#,
        r#"SecAction "id:4,phase:1,pass,nolog,sanitiseArg:pet,sanitiseRequestHeader:X-Pet""#,
        r#"SecRule ARGS:pet|REQUEST_HEADERS:X-Pet "@rx ." "id:5,phase:2,pass,logdata:'%{MATCHED_VAR}'""#,
    ];
    let transaction = send(
        &format!("SecMaskSecrets Off\n{}", rules.join("\n")),
        "/?q=evil+secret-123456789",
        &[("X-Pet", "Rex the dog")],
        b"account=DE1234567&pet=Mimi+the+cat",
    );
    let told = told(&transaction);
    for hidden in ["secret-123456789", "DE1234567", "Mimi", "Rex"] {
        assert!(!told.contains(hidden), "{hidden}: {told}");
    }
    // What was told before the rule asked is masked as well.
    assert!(transaction.matches()[1].data.contains("evil secret-*******89"), "{told}");
    assert_eq!(transaction.tx("1"), Some(b"123456789".to_vec()));
}

#[test]
fn members_of_a_response_are_masked_like_arguments() {
    let rules = r#"
SecResponseBodyMimeType application/json
SecAction "id:1,phase:3,pass,nolog,ctl:responseBodyProcessor=JSON"
SecRule RESPONSE_ARGS "@contains Evil" "id:2,phase:4,pass,logdata:'%{MATCHED_VAR}'"
"#;
    let mut transaction = support::transaction(&ruleset(rules));
    request(&mut transaction, "/", &[], b"");
    transaction.add_response_header(b"Content-Type", b"application/json");
    let _ = transaction.process_response_headers(200, b"HTTP/1.1");
    let _ = transaction.append_response_body(br#"{"user":{"password":"Evil-hunter2"}}"#);
    let _ = transaction.process_response_body();
    let told = told(&transaction);
    assert!(told.contains("********") && !told.contains("hunter2"), "{told}");
}

#[test]
fn the_reason_of_a_decision_is_masked_when_a_rule_asks_later() {
    let rules = r#"
SecRule ARGS:pet "@rx ." "id:1,phase:1,deny,msg:'%{MATCHED_VAR} is refused'"
SecAction "id:2,phase:5,pass,nolog,sanitiseArg:pet"
"#;
    let transaction = send(rules, "/?pet=Mimi+the+cat", &[], b"");
    let reason = &transaction.interruption().unwrap().log;
    assert!(reason.contains("is refused") && !reason.contains("Mimi"), "{reason}");
}

#[test]
fn encoded_request_bodies_are_read() {
    let rules = r#"
SecRule ARGS:id "@contains evil" "id:1,phase:2,deny"
SecRule REQBODY_ERROR "@eq 1" "id:2,phase:2,deny,status:400"
SecRule REQUEST_BODY "@contains raw-evil" "id:3,phase:2,pass"
"#;
    let run = |coding: &str, body: &[u8]| {
        let transaction = send(rules, "/", &[("Content-Encoding", coding)], body);
        transaction.interruption().map_or(0, |decision| decision.rule_id)
    };
    assert_eq!(run("gzip", &gzip(b"id=evil")), 1);
    assert_eq!(run("gzip, x-gzip", &gzip(&gzip(b"id=evil"))), 1);
    assert_eq!(run("gzip", &gzip(b"id=good")), 0);
    assert_eq!(run("identity", b"id=evil"), 1);
    assert_eq!(run("gzip", b""), 0);
    assert_eq!(run("compress", b"id=good"), 2);
    assert_eq!(run("gzip", b"id=good"), 2);
    // A back end that ignores the header reads the bytes as they are: so do rules.
    assert_eq!(run("gzip", b"id=evil"), 1);
    let whole = gzip(b"id=good&b=0123456789");
    assert_eq!(run("gzip", &whole[..whole.len() - 3]), 2);
}

#[test]
fn bombs_are_refused_or_cut() {
    let bomb = gzip(&[b"a=evil&b=".to_vec(), vec![b'x'; 1 << 20]].concat());
    let rules = r#"SecRule ARGS:a "@contains evil" "id:1,phase:2,pass""#;
    let reject = format!("SecRequestBodyLimit 10000\nSecRequestBodyLimitAction Reject\n{rules}");
    let transaction = send(&reject, "/", &[("Content-Encoding", "gzip")], &bomb);
    let decision = transaction.interruption().unwrap();
    assert_eq!((decision.status, decision.rule_id), (413, 0));
    let partial = format!("SecRequestBodyLimit 10000\nSecRequestBodyLimitAction ProcessPartial\n{rules}");
    let transaction = send(&partial, "/", &[("Content-Encoding", "gzip")], &bomb);
    assert!(transaction.interruption().is_none() && transaction.matches()[0].rule_id == 1);
}

fn respond(rules: &str, coding: &str, body: &[u8]) -> Transaction {
    let mut transaction = support::transaction(&ruleset(rules));
    request(&mut transaction, "/", &[], b"");
    transaction.add_response_header(b"Content-Type", b"text/html");
    transaction.add_response_header(b"Content-Encoding", coding.as_bytes());
    let _ = transaction.process_response_headers(200, b"HTTP/1.1");
    let _ = transaction.append_response_body(body);
    let _ = transaction.process_response_body();
    transaction.process_logging();
    transaction
}

#[test]
fn encoded_responses_are_read() {
    let rules = r#"
SecRule RESPONSE_BODY "@contains leak" "id:1,phase:4,deny"
SecRule OUTBOUND_DATA_ERROR "@eq 1" "id:2,phase:5,pass"
"#;
    let leak = respond(rules, "gzip", &gzip(b"<p>leak</p>"));
    assert_eq!(leak.interruption().unwrap().rule_id, 1);
    let unread = respond(rules, "compress", b"....");
    assert!(unread.interruption().is_none() && unread.matches()[0].rule_id == 2);
    let bomb = gzip(&vec![b'x'; 1 << 20]);
    let limits = "SecResponseBodyLimit 10000\nSecResponseBodyLimitAction";
    let refused = respond(&format!("{limits} Reject\n{rules}"), "gzip", &bomb);
    assert_eq!(refused.interruption().unwrap().status, 502);
    let partial = respond(&format!("{limits} ProcessPartial\n{rules}"), "gzip", &bomb);
    assert!(partial.interruption().is_none());
}

#[test]
fn audit_records() {
    let rules = r#"
SecAuditEngine RelevantOnly
SecAuditLogRelevantStatus "^(?:5|4(?!04))"
SecComponentSignature "OWASP_CRS/4"
SecSensorId edge-1
SecRule ARGS:q "@contains evil" "id:7,phase:2,deny,status:403,msg:'bad',tag:'t',severity:CRITICAL,ctl:auditLogParts=+E"
"#;
    let mut transaction =
        send(rules, "/p?q=evil&token=abcdef", &[("Cookie", "a=12345678"), ("X", "1")], b"pin=9999&b=c+d");
    assert!(transaction.audit_relevant());
    let (_, parts) = transaction.audit();
    assert!(parts.contains('E'));
    let record = transaction.audit_record();
    assert_eq!(record.response.status, 403);
    let native = String::from_utf8(audit::native(&record, AuditParts::parse("ABCFHIKZ").unwrap())).unwrap();
    let boundary = &native[2..10];
    for line in [
        format!("--{boundary}-A--\n[14/Nov/2023:22:13:20 +0000] test-1 127.0.0.1 40000 127.0.0.1 80\n"),
        format!("--{boundary}-B--\nPOST /p?q=evil&token=******** HTTP/1.1\nCookie: a=********\nX: 1\n"),
        format!("--{boundary}-C--\npin=********&b=c+d\n"),
        format!("--{boundary}-F--\nHTTP/1.1 403\n"),
        "ModSecurity: Access denied with code 403 (phase 2). Matched \"Operator `Contains'".to_owned(),
        "Action: Intercepted (phase 2)\n".to_owned(),
        "Sensor-Id: \"edge-1\"\n".to_owned(),
        format!("--{boundary}-I--\npin=********&b=c%20d\n"),
        format!("--{boundary}-K--\n7\n"),
        format!("--{boundary}-Z--\n"),
    ] {
        assert!(native.contains(&line), "{line}\nin\n{native}");
    }
    let json: serde_json::Value =
        serde_json::from_slice(&audit::json(&record, AuditParts::parse("ABCFHZ").unwrap())).unwrap();
    let found = &json["transaction"];
    assert_eq!(found["request"]["http_version"], 1.1);
    assert_eq!(found["request"]["headers"]["Cookie"], "a=********");
    assert_eq!(found["response"]["http_code"], 403);
    assert_eq!(found["time_stamp"], "Tue Nov 14 22:13:20 2023");
    assert_eq!(found["messages"][0]["details"]["ruleId"], "7");
    assert_eq!(found["messages"][0]["details"]["severity"], "2");
    assert_eq!(found["producer"]["components"][0], "OWASP_CRS/4");
    assert_eq!(found["producer"]["sensor_id"], "edge-1");
    let decision = &found["interruption"];
    assert_eq!(
        (&decision["action"], &decision["status"], &decision["rule_id"]),
        (&"deny".into(), &403.into(), &7.into())
    );
    assert!(found["response"].get("body").is_none());
    assert!(serde_json::to_string(&record).unwrap().contains("\"unix_time\":1700000000"));
}

#[test]
fn relevance() {
    let rules = "SecAuditEngine RelevantOnly\nSecAuditLogRelevantStatus \"^(?:5|4(?!04))\"\n";
    for (status, relevant) in [(200, false), (404, false), (400, true), (503, true)] {
        let mut transaction = support::transaction(&ruleset(rules));
        request(&mut transaction, "/", &[], b"");
        let _ = transaction.process_response_headers(status, b"HTTP/1.1");
        transaction.process_logging();
        assert_eq!(transaction.audit_relevant(), relevant, "{status}");
    }
}

#[test]
fn records_are_shared_while_transactions_go_on() {
    let rules = r#"
SecAction "id:1,phase:1,pass,nolog,initcol:ip=%{REMOTE_ADDR},setvar:ip.count=+1"
SecRule IP:COUNT "@gt 2" "id:2,phase:1,deny,status:429"
SecRule IP:IS_NEW "@eq 1" "id:3,phase:1,pass"
SecRule &IP:KEY "@eq 1" "id:4,phase:1,pass,chain"
SecRule &IP "@eq 1" "setvar:tx.key=%{ip.key}"
SecAction "id:5,phase:5,pass,nolog,expirevar:ip.count=60,deprecatevar:ip.count=1/10"
"#;
    let ruleset = ruleset(rules);
    let store = Arc::new(MemoryStore::new(100));
    let begin = || {
        let mut transaction = support::transaction(&ruleset).with_store(store.clone());
        transaction.set_request_line(b"GET", b"/", b"HTTP/1.1");
        let verdict = transaction.process_request_headers();
        (transaction, verdict)
    };
    // None of them ends before the next begins.
    let (first, verdict) = begin();
    assert_eq!(verdict, Verdict::Pass);
    assert!(first.matches().iter().any(|found| found.rule_id == 3));
    assert_eq!(first.tx("key"), Some(b"127.0.0.1".to_vec()));
    let (second, verdict) = begin();
    assert_eq!(verdict, Verdict::Pass);
    assert!(!second.matches().iter().any(|found| found.rule_id == 3));
    let (_third, verdict) = begin();
    assert!(matches!(verdict, Verdict::Interrupt(decision) if decision.status == 429));
}
