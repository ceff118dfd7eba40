//! This engine's answer.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hop3_seclang::Parser;
use hop3_seclang::loader::Files;
use hop3_waf::{Connection, Ruleset, Transaction, TransactionStart, Verdict};

use super::generate::Exchange;
use super::observe::Observed;
use super::setup::{MEANING_OF_V3, Setup};

/// Compiles the rules of a set-up.
///
/// # Errors
/// The rendered diagnostics.
pub fn ruleset(crs: &Path, setup: Setup) -> Result<Arc<Ruleset>, String> {
    let loader = Files::beneath([crs]);
    let mut parser = Parser::new(&loader);
    parser.text("v3.conf", MEANING_OF_V3);
    parser.text("differential.conf", setup.configuration(crs));
    let document = parser.finish().map_err(|diagnostics| diagnostics.to_string())?;
    Ruleset::compile(&document).map(Arc::new).map_err(|error| error.to_string())
}

/// Sends an exchange through all phases, up to the one that stops it, and phase 5.
pub fn observe(ruleset: &Arc<Ruleset>, exchange: &Exchange) -> Observed {
    let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let start = TransactionStart {
        id: "differential-transaction".to_owned(),
        unix_time: Duration::from_secs(1_700_000_000),
        entropy: 1,
    };
    let connection = Connection { client: local(50_000), server: local(80) };
    let mut transaction = Transaction::new(Arc::clone(ruleset), start, connection);
    let mut observed = Observed::default();
    if let Verdict::Interrupt(interruption) = drive(&mut transaction, exchange) {
        observed.stop = Some((interruption.phase, interruption.status));
    }
    transaction.process_logging();
    let context = transaction.log_context();
    for rule in transaction.matches().iter().filter(|rule| rule.logged) {
        observed.log(rule.rule_id, rule.phase, &rule.message);
        observed.lines.push(rule.log_line(&context));
    }
    observed
}

fn drive(transaction: &mut Transaction, exchange: &Exchange) -> Verdict {
    let (request, response) = (&exchange.request, &exchange.response);
    transaction.set_request_line(&request.method, &request.target, &request.protocol);
    for (name, value) in &request.headers {
        transaction.add_request_header(name, value);
    }
    if let verdict @ Verdict::Interrupt(_) = transaction.process_request_headers() {
        return verdict;
    }
    let _ = transaction.append_request_body(&request.body);
    if let verdict @ Verdict::Interrupt(_) = transaction.process_request_body() {
        return verdict;
    }
    for (name, value) in &response.headers {
        transaction.add_response_header(name, value);
    }
    if let verdict @ Verdict::Interrupt(_) =
        transaction.process_response_headers(response.status, b"HTTP/1.1")
    {
        return verdict;
    }
    let _ = transaction.append_response_body(&response.body);
    transaction.process_response_body()
}
