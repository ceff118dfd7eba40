//! Corpora of requests, one JSON object a line, in the form that `hop3 waf bench` reads.
//!
//! `id, label, expect (pass|block), method, uri, version, headers [[k, v]…], body (base64)`; a body
//! that is UTF-8 stands beside it once more as `text`, for those who read the file. This module owns
//! reading such files and sending a request through the engine; what is expected of the outcome is
//! the suites' matter.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hop3_waf::{Connection, Ruleset, Transaction, TransactionStart, Verdict};
use serde::Deserialize;

/// One request of a corpus.
#[derive(Debug)]
pub struct Case {
    /// Unique within the file.
    pub id: String,
    /// The class it belongs to.
    pub label: String,
    /// What a firewall should do with it.
    pub expect: Expect,
    method: String,
    uri: String,
    version: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// What a firewall should do with a request.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Expect {
    /// Let it through.
    Pass,
    /// Refuse it.
    Block,
}

/// What became of a request.
#[derive(Debug)]
pub struct Outcome {
    /// The refusal's status, if it was refused.
    pub refused: Option<u16>,
    /// Ids of the logged rules, with the values they matched.
    pub matched: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    id: String,
    label: String,
    expect: Expect,
    method: String,
    uri: String,
    version: String,
    headers: Vec<(String, String)>,
    body: String,
    text: Option<String>,
}

/// Reads a corpus.
///
/// # Errors
/// The first line that is no request, whose `body` is no base64, or whose `text` says something else
/// than its `body`; or an id that occurs twice.
pub fn load(path: &Path) -> Result<Vec<Case>, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let mut cases: Vec<Case> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let case = case(line).map_err(|why| format!("{}:{}: {why}", path.display(), index + 1))?;
        if cases.iter().any(|known| known.id == case.id) {
            return Err(format!("{}:{}: id {} is taken", path.display(), index + 1, case.id));
        }
        cases.push(case);
    }
    Ok(cases)
}

fn case(line: &str) -> Result<Case, String> {
    let line: Line = serde_json::from_str(line).map_err(|error| error.to_string())?;
    let body = STANDARD.decode(&line.body).map_err(|error| format!("body: {error}"))?;
    if let Some(text) = line.text.filter(|text| text.as_bytes() != body) {
        return Err(format!("text differs from body, which would be {}", STANDARD.encode(text)));
    }
    Ok(Case {
        id: line.id,
        label: line.label,
        expect: line.expect,
        method: line.method,
        uri: line.uri,
        version: line.version,
        headers: line.headers,
        body,
    })
}

/// Sends a request through the request phases and logging.
pub fn inspect(ruleset: &Arc<Ruleset>, case: &Case) -> Outcome {
    let start =
        TransactionStart { id: case.id.clone(), unix_time: Duration::from_secs(1_700_000_000), entropy: 1 };
    let connection = Connection {
        client: SocketAddr::from(([203, 0, 113, 9], 50_000)),
        server: SocketAddr::from((Ipv4Addr::LOCALHOST, 80)),
    };
    let mut transaction = Transaction::new(Arc::clone(ruleset), start, connection);
    let refused = feed(&mut transaction, case);
    transaction.process_logging();
    let matched = transaction
        .matches()
        .iter()
        .filter(|rule| rule.logged)
        .map(|rule| {
            let values = rule.matched.iter().map(|value| {
                let text = String::from_utf8_lossy(&value.value);
                format!(" {}={:.60?}", value.variable, text.chars().take(60).collect::<String>())
            });
            format!("{}{}", rule.rule_id, values.collect::<String>())
        })
        .collect();
    Outcome { refused, matched }
}

fn feed(transaction: &mut Transaction, case: &Case) -> Option<u16> {
    transaction.set_request_line(case.method.as_bytes(), case.uri.as_bytes(), case.version.as_bytes());
    for (name, value) in &case.headers {
        transaction.add_request_header(name.as_bytes(), value.as_bytes());
    }
    if let Verdict::Interrupt(interruption) = transaction.process_request_headers() {
        return Some(interruption.status);
    }
    let _ = transaction.append_request_body(&case.body);
    match transaction.process_request_body() {
        Verdict::Interrupt(interruption) => Some(interruption.status),
        Verdict::Pass => None,
    }
}
