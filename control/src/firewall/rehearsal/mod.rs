//! Puts a request before rules without anybody behind them, and tells in full what they made of it.

mod exclusion;
mod message;
mod request;
mod response;
mod secrets;
mod witness;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hop3_waf::{Connection, Disruption, EngineMode, Transaction, TransactionStart};

pub use exclusion::{exceptions, toml};
pub use request::RawRequest;
pub use response::RawResponse;
pub use secrets::mask;
pub use witness::escaped;

use super::Compiled;
use crate::failure::Failure;
use crate::model::{Action, Exclusion, Outcome, Rehearsal, RuleHit};
use hop3_runtimes::manifest::waf::Tuning;
use witness::Witness;

/// Where the rules count, by ruleset: the base ruleset's, CRS 4's, CRS 3's.
struct Score {
    /// TX variables that may hold the score.
    names: [&'static str; 3],
    /// The TX variable that holds the score at which is refused.
    threshold: &'static str,
}

/// What a request has against it.
const INBOUND: Score = Score {
    names: ["blocking_inbound_anomaly_score", "base_score", "anomaly_score"],
    threshold: "inbound_anomaly_score_threshold",
};
/// What a response has.
const OUTBOUND: Score = Score {
    names: ["blocking_outbound_anomaly_score", "base_leak", "outbound_anomaly_score"],
    threshold: "outbound_anomaly_score_threshold",
};

/// What is put before rules.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exchange {
    /// The request.
    pub request: RawRequest,
    /// What its app would answer, when that is to be inspected too.
    pub response: Option<RawResponse>,
}

impl From<RawRequest> for Exchange {
    fn from(request: RawRequest) -> Exchange {
        Exchange { request, response: None }
    }
}

/// What one inspection led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// Its end.
    pub outcome: Outcome,
    /// The rules that matched and are logged.
    pub rules: Vec<RuleHit>,
}

/// Inspects a request: phases 1, 2 and 5, as if its app gave no answer; with a response 3 and 4 too. Nothing is kept.
pub fn inspect(compiled: &Compiled, exchange: &Exchange) -> Inspection {
    let request = &exchange.request;
    let witness = Arc::new(Witness::default());
    let start = TransactionStart {
        id: "rehearsal".to_owned(),
        unix_time: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO),
        entropy: 0,
    };
    let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let connection = Connection { client: local(40_000), server: local(80) };
    let mut transaction =
        Transaction::new(compiled.ruleset.clone(), start, connection).with_trace(witness.clone());
    transaction.set_request_line(&request.method, &request.target, &request.protocol);
    for (name, value) in &request.headers {
        transaction.add_request_header(name, value);
    }
    let _ = transaction.process_request_headers();
    if transaction.interruption().is_none() {
        let _ = transaction.append_request_body(&request.body);
        let _ = transaction.process_request_body();
    }
    if let Some(response) = exchange.response.as_ref().filter(|_| transaction.interruption().is_none()) {
        answer(&mut transaction, response);
    }
    let outcome = outcome(&transaction);
    transaction.process_logging();
    Inspection { outcome, rules: witness.hits() }
}

/// Phases 3 and 4, as the proxy runs them.
fn answer(transaction: &mut Transaction, response: &RawResponse) {
    for (name, value) in &response.headers {
        transaction.add_response_header(name, value);
    }
    let _ = transaction.process_response_headers(response.status, &response.protocol);
    if transaction.interruption().is_some() {
        return;
    }
    if transaction.inspects_response_body() {
        let _ = transaction.append_response_body(&response.body);
    }
    let _ = transaction.process_response_body();
}

/// Inspects a request and, when rules found something, works out what would silence them. `retry` inspects it again
/// with further exceptions.
///
/// # Errors
/// Those of `retry`.
pub fn rehearse(
    compiled: &Compiled,
    exchange: &Exchange,
    retry: impl Fn(&[Tuning]) -> Result<Inspection, Failure>,
) -> Result<Rehearsal, Failure> {
    let Inspection { outcome, rules } = inspect(compiled, exchange);
    let exclusion = silence(&rules, &exchange.request, Some(&retry))?;
    Ok(Rehearsal {
        ruleset: compiled.name.clone(),
        version: compiled.version.clone(),
        rule_count: compiled.ruleset.rule_count(),
        request: exchange.request.line(),
        outcome,
        rules,
        exclusion,
    })
}

/// The way to inspect the same request with further exceptions.
pub type Retry<'r> = dyn Fn(&[Tuning]) -> Result<Inspection, Failure> + 'r;

/// The exceptions that silence `rules`, tried out when there is a way to: rules that go on matching although they no
/// longer look at what they matched are switched off for the path.
///
/// # Errors
/// Those of `retry`.
pub fn silence(
    rules: &[RuleHit],
    request: &RawRequest,
    retry: Option<&Retry<'_>>,
) -> Result<Option<Exclusion>, Failure> {
    let mut tuning = exceptions(rules, &request.path(), &[]);
    if tuning.is_empty() {
        return Ok(None);
    }
    let Some(retry) = retry else {
        return Ok(Some(Exclusion { toml: toml(&tuning), outcome: None, remaining: Vec::new() }));
    };
    let mut again = retry(&tuning)?;
    let stubborn: Vec<u64> = again.rules.iter().map(|rule| rule.id).collect();
    if rules.iter().any(|rule| stubborn.contains(&rule.id)) {
        tuning = exceptions(rules, &request.path(), &stubborn);
        again = retry(&tuning)?;
    }
    Ok(Some(Exclusion {
        toml: toml(&tuning),
        outcome: Some(again.outcome),
        remaining: again.rules.iter().map(|rule| rule.id).collect(),
    }))
}

fn outcome(transaction: &Transaction) -> Outcome {
    let number = |name: &str| {
        let text = transaction.tx(name)?;
        std::str::from_utf8(&text).ok()?.parse::<i64>().ok()
    };
    let counted = |side: &Score| {
        let score = side.names.into_iter().find_map(number);
        (score, score.and_then(|_| number(side.threshold)))
    };
    let reaches = |(score, threshold): (Option<i64>, Option<i64>)| {
        score.zip(threshold).is_some_and(|(score, threshold)| score >= threshold)
    };
    let (inbound, outbound) = (counted(&INBOUND), counted(&OUTBOUND));
    // The side that decided; the request's when none did.
    let is_response = match transaction.interruption() {
        Some(interruption) => interruption.phase > 2,
        None => !reaches(inbound) && reaches(outbound),
    };
    let (score, threshold) = if is_response { outbound } else { inbound };
    let reached = reaches((score, threshold));
    match transaction.interruption() {
        Some(interruption) => Outcome {
            action: match interruption.action {
                Disruption::Drop => Action::Drop,
                Disruption::Redirect => Action::Redirect,
                _ => Action::Deny,
            },
            status: Some(interruption.status),
            reason: Some(interruption.log.clone()),
            score,
            threshold,
        },
        None => Outcome {
            action: match transaction.engine() {
                EngineMode::DetectionOnly if reached => Action::Detect,
                _ => Action::Pass,
            },
            status: None,
            reason: None,
            score,
            threshold,
        },
    }
}

#[cfg(test)]
mod tests;
