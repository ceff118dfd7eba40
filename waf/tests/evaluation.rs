//! Semantics of the language, one small ruleset after the other.
//!
//! The cases lie in `evaluation/*.case`: a name after `==`, rules, after
//! `-- request` a raw request (LF line ends become CRLF in multipart bodies by
//! `\r` written out), optionally `-- response`, and after `-- expect` what must hold:
//! `matched IDS…` (exactly the logged ids, in order), `pass`, `interrupt STATUS ID`,
//! `redirect URL`, `tx NAME VALUE`, `no-tx NAME`, `message ID TEXT`, `data ID TEXT`,
//! `values ID NAME…` (where the matches stood).

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod support;

use hop3_waf::{Transaction, Verdict};

#[test]
fn cases() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/evaluation");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut failures = Vec::new();
    let mut count = 0;
    for path in files {
        let text = std::fs::read_to_string(&path).unwrap();
        for case in text
            .split("\n== ")
            .map(|case| case.trim_start_matches("== "))
            .filter(|case| !case.trim().is_empty())
        {
            count += 1;
            let (name, body) = case.split_once('\n').unwrap();
            if let Err(reason) = run(body) {
                failures.push(format!("{}: {name}: {reason}", path.file_name().unwrap().display()));
            }
        }
    }
    assert!(count > 30, "only {count} cases were found");
    assert!(failures.is_empty(), "{} of {count} failed:\n{}", failures.len(), failures.join("\n"));
}

fn run(case: &str) -> Result<(), String> {
    let (rules, rest) = case.split_once("-- request\n").ok_or("no request")?;
    let (exchange, expect) = rest.split_once("-- expect\n").ok_or("no expectation")?;
    let (request, response) =
        exchange.split_once("-- response\n").map_or((exchange, None), |(a, b)| (a, Some(b)));
    let engine = if rules.contains("SecRuleEngine") { "" } else { "SecRuleEngine On\n" };
    let ruleset = support::ruleset(&format!("{engine}{rules}"));
    let mut transaction = support::transaction(&ruleset);
    exchange_with(&mut transaction, request, response);
    expect.lines().filter(|line| !line.trim().is_empty()).try_for_each(|line| check(&transaction, line))
}

fn exchange_with(transaction: &mut Transaction, request: &str, response: Option<&str>) {
    let (head, body) = request.split_once("\n\n").unwrap_or((request.trim_end_matches('\n'), ""));
    let mut lines = head.lines();
    let line: Vec<&str> = lines.next().unwrap_or_default().splitn(3, ' ').collect();
    let part = |index: usize| line.get(index).copied().unwrap_or_default().as_bytes();
    transaction.set_request_line(part(0), part(1), part(2));
    headers(lines, |name, value| transaction.add_request_header(name, value));
    if transaction.process_request_headers() != Verdict::Pass {
        return transaction.process_logging();
    }
    let body = body.trim_end_matches('\n').replace("\\r\n", "\r\n").replace("\\r", "\r\n");
    let _ = transaction.append_request_body(body.as_bytes());
    if transaction.process_request_body() != Verdict::Pass {
        return transaction.process_logging();
    }
    if let Some(response) = response {
        let (head, body) = response.split_once("\n\n").unwrap_or((response, ""));
        let mut lines = head.lines();
        let status =
            lines.next().unwrap_or_default().split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap();
        headers(lines, |name, value| transaction.add_response_header(name, value));
        let _ = transaction.process_response_headers(status, b"HTTP/1.1");
        let _ = transaction.append_response_body(body.trim_end_matches('\n').as_bytes());
        let _ = transaction.process_response_body();
    }
    transaction.process_logging();
}

fn headers<'a>(lines: impl Iterator<Item = &'a str>, mut add: impl FnMut(&[u8], &[u8])) {
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        add(name.as_bytes(), value.trim().as_bytes());
    }
}

fn check(transaction: &Transaction, line: &str) -> Result<(), String> {
    let (what, rest) = line.split_once(' ').unwrap_or((line, ""));
    let (first, second) = rest.split_once(' ').unwrap_or((rest, ""));
    let of = |id: &str| {
        let id: u64 = id.parse().map_err(|_| format!("`{id}` is no id"))?;
        transaction.matches().iter().rev().find(|m| m.rule_id == id).ok_or(format!("rule {id} did not match"))
    };
    let tx = transaction.tx(first).map(|value| String::from_utf8_lossy(&value).into_owned());
    let (found, wanted) = match what {
        "matched" => {
            let ids = transaction.matches().iter().filter(|m| m.logged).map(|m| m.rule_id.to_string());
            (ids.collect::<Vec<_>>().join(" "), rest.to_owned())
        }
        "pass" => (format!("{:?}", transaction.interruption()), "None".to_owned()),
        "interrupt" => match transaction.interruption() {
            Some(i) => (format!("{} {}", i.status, i.rule_id), rest.to_owned()),
            None => ("no interruption".to_owned(), rest.to_owned()),
        },
        "redirect" => {
            let url = transaction.interruption().and_then(|i| i.url.clone());
            (url.unwrap_or_default(), rest.to_owned())
        }
        "tx" => (tx.unwrap_or_else(|| "(unset)".to_owned()), second.to_owned()),
        "no-tx" => (format!("{tx:?}"), "None".to_owned()),
        "message" => (of(first)?.message.clone(), second.to_owned()),
        "data" => (of(first)?.data.clone(), second.to_owned()),
        "values" => {
            let names = of(first)?.matched.iter().map(|value| value.variable.clone());
            (names.collect::<Vec<_>>().join(" "), second.to_owned())
        }
        other => return Err(format!("unknown expectation `{other}`")),
    };
    if found == wanted { Ok(()) } else { Err(format!("{what}: found `{found}`, expected `{wanted}`")) }
}
