//! ModSecurity v3's regression cases, as far as status, redirect, loading and
//! log lines judge them. What only its debug or audit log can judge is skipped.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hop3_seclang::Parser;
use hop3_seclang::loader::Files;
use hop3_waf::{Connection, Ruleset, Transaction, TransactionStart, Verdict};
use regex_automata::meta::Regex;
use serde_json::Value;

/// Cases that pass at least; raised as the engine learns.
const FLOOR: usize = 155;

enum Outcome {
    Passed,
    Failed(String),
    Skipped(&'static str),
}

#[test]
fn modsecurity_regression() {
    let Some(data) = support::test_data("modsecurity-tests") else { return };
    let mut files: Vec<_> =
        std::fs::read_dir(data.join("regression")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let (mut cases, mut passed) = (0, 0);
    let mut failures = Vec::new();
    let mut skips: BTreeMap<&str, usize> = BTreeMap::new();
    for path in files {
        let list: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        for (index, case) in list.as_array().unwrap().iter().enumerate() {
            cases += 1;
            match run(&data, case) {
                Outcome::Passed => passed += 1,
                Outcome::Skipped(reason) => *skips.entry(reason).or_default() += 1,
                Outcome::Failed(reason) => {
                    let file = path.file_stem().unwrap().display();
                    failures.push(format!(
                        "{file}#{index} {}: {reason}",
                        case["title"].as_str().unwrap_or_default()
                    ));
                }
            }
        }
    }
    failures.iter().for_each(|failure| println!("FAIL {failure}"));
    skips.iter().for_each(|(reason, count)| println!("SKIP {count} ({reason})"));
    let skipped: usize = skips.values().sum();
    println!(
        "suite=modsecurity-regression cases={cases} passed={passed} failed={} skipped={skipped}",
        failures.len()
    );
    assert!(passed >= FLOOR, "only {passed} cases passed");
}

fn run(data: &Path, case: &Value) -> Outcome {
    let expected = &case["expected"];
    let has = |key: &str| expected.get(key).is_some_and(|value| !value.as_str().unwrap_or("x").is_empty());
    if case["enabled"].as_u64() == Some(0) {
        return Outcome::Skipped("disabled");
    }
    if !["http_code", "redirect_url", "parser_error", "error_log"].iter().any(|key| has(key)) {
        return Outcome::Skipped("only a debug or audit log judges it");
    }
    let lines = case["rules"].as_array().map(Vec::as_slice).unwrap_or_default();
    let rules: Vec<&str> = lines.iter().filter_map(Value::as_str).collect();
    let rules = rules.join("\n").replace("test-cases/data/", "data/");
    let loader = Files::beneath([data]);
    let mut parser = Parser::new(&loader);
    parser.text(data.join("case.conf"), format!("SecRxMode Multiline\nSecJsonArrayPrefix On\n{rules}\n"));
    let loaded = parser.finish().map_err(|error| error.to_string());
    let loaded = loaded.and_then(|document| Ruleset::compile(&document).map_err(|error| error.to_string()));
    let ruleset = match (loaded, has("parser_error")) {
        (Ok(_), true) => return Outcome::Failed("it loads, and should not".into()),
        (Err(_), true) => return Outcome::Passed,
        (Err(error), false) if error.contains("is not supported") => {
            return Outcome::Skipped("it uses what the engine refuses (Lua, schemas, general XPath)");
        }
        (Err(error), false) => {
            return Outcome::Failed(format!("it does not load: {}", error.replace('\n', " / ")));
        }
        (Ok(ruleset), false) => Arc::new(ruleset),
    };
    judge(expected, &exchange(&ruleset, case))
}

fn judge(expected: &Value, transaction: &Transaction) -> Outcome {
    let status = transaction.interruption().map_or(200, |interruption| u64::from(interruption.status));
    let wanted = expected["http_code"].as_u64().unwrap_or(200);
    if status != wanted {
        return Outcome::Failed(format!("status {status}, expected {wanted}"));
    }
    if let Some(url) = expected["redirect_url"].as_str().filter(|url| !url.is_empty()) {
        let found = transaction.interruption().and_then(|interruption| interruption.url.clone());
        if found.as_deref() != Some(url) {
            return Outcome::Failed(format!("redirect to {found:?}, expected {url}"));
        }
    }
    if let Some(pattern) = expected["error_log"].as_str().filter(|pattern| !pattern.is_empty()) {
        if pattern.contains(",") && pattern.starts_with(['o', 'v', '0']) {
            return Outcome::Skipped("it wants v3's [ref] with offsets into the raw request");
        }
        let Ok(regex) = Regex::new(pattern) else { return Outcome::Skipped("its pattern is PCRE only") };
        let context = transaction.log_context();
        let lines: Vec<String> =
            transaction.matches().iter().filter(|m| m.logged).map(|m| m.log_line(&context)).collect();
        if !lines.iter().any(|line| regex.is_match(line)) {
            return Outcome::Failed(format!("no line matches {pattern}: {lines:?}"));
        }
    }
    Outcome::Passed
}

fn exchange(ruleset: &Arc<Ruleset>, case: &Value) -> Transaction {
    let address = |value: &Value, port: u64| {
        let ip = value["ip"]
            .as_str()
            .and_then(|ip| ip.parse().ok())
            .unwrap_or(std::net::IpAddr::from([127, 0, 0, 1]));
        std::net::SocketAddr::new(ip, value["port"].as_u64().unwrap_or(port) as u16)
    };
    let start =
        TransactionStart { id: "case".into(), unix_time: Duration::from_secs(1_700_000_000), entropy: 1 };
    let connection =
        Connection { client: address(&case["client"], 123), server: address(&case["server"], 80) };
    let mut transaction = Transaction::new(ruleset.clone(), start, connection);
    feed(&mut transaction, case);
    transaction.process_logging();
    transaction
}

fn feed(transaction: &mut Transaction, case: &Value) {
    let (request, response) = (&case["request"], &case["response"]);
    let text = |value: &Value, key: &str, default: &str| value[key].as_str().unwrap_or(default).to_owned();
    let version = match &request["http_version"] {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        _ => "1.1".into(),
    };
    let protocol = format!("HTTP/{version}");
    transaction.set_request_line(
        text(request, "method", "GET").as_bytes(),
        text(request, "uri", "").as_bytes(),
        protocol.as_bytes(),
    );
    headers(&request["headers"], |name, value| transaction.add_request_header(name, value));
    if transaction.process_request_headers() != Verdict::Pass {
        return;
    }
    let _ = transaction.append_request_body(body(&request["body"]).as_bytes());
    if transaction.process_request_body() != Verdict::Pass {
        return;
    }
    headers(&response["headers"], |name, value| transaction.add_response_header(name, value));
    let status = response["code"].as_u64().unwrap_or(200) as u16;
    if transaction.process_response_headers(status, text(response, "protocol", "HTTP/1.1").as_bytes())
        != Verdict::Pass
    {
        return;
    }
    let _ = transaction.append_response_body(body(&response["body"]).as_bytes());
    let _ = transaction.process_response_body();
}

fn headers(map: &Value, mut add: impl FnMut(&[u8], &[u8])) {
    for (name, value) in map.as_object().into_iter().flatten() {
        match value {
            Value::Array(values) => {
                values
                    .iter()
                    .filter_map(Value::as_str)
                    .for_each(|value| add(name.as_bytes(), value.as_bytes()));
            }
            Value::String(value) => add(name.as_bytes(), value.as_bytes()),
            other => add(name.as_bytes(), other.to_string().as_bytes()),
        }
    }
}

fn body(lines: &Value) -> String {
    let lines = lines.as_array().map(Vec::as_slice).unwrap_or_default();
    // As v3's own runner: each line ends in a line feed, the last one too.
    lines.iter().filter_map(Value::as_str).map(|line| format!("{line}\n")).collect()
}
