//! The audit log of one transaction in the native format, written serially.
//!
//! The engine decides what is relevant and which parts are wanted; this is the
//! least a host has to do with it, enough to judge the suite's expectations.

use std::fmt::Write as _;
use std::sync::Arc;

use hop3_seclang::ast::AuditEngine;
use hop3_waf::{Ruleset, Transaction, TransactionStart};

use super::case::Case;

/// What the log says after the transaction; empty when it is not relevant.
pub fn text(case: &Case, ruleset: &Ruleset, transaction: &Transaction, status: u16) -> String {
    let (engine, parts) = transaction.audit();
    let told = || transaction.matches().iter().filter(|found| found.audit);
    let wanted = match engine {
        AuditEngine::Off => false,
        AuditEngine::On => true,
        AuditEngine::RelevantOnly => told().next().is_some() || is_relevant(ruleset, transaction, status),
    };
    let mut log = String::new();
    if !wanted {
        return log;
    }
    let context = transaction.log_context();
    for part in parts.letters() {
        // v3 writes a random boundary of eight letters and digits and two hyphens.
        let _ = writeln!(log, "--00000000---{part}--");
        match part {
            'B' => {
                let _ =
                    writeln!(log, "{} {} {}", case.request.method, case.request.uri, case.request.protocol());
                for (name, value) in &case.request.headers.0 {
                    let _ = writeln!(log, "{name}: {value}");
                }
            }
            'C' => log.push_str(&String::from_utf8_lossy(&case.request.body.0)),
            'E' => log.push_str(&String::from_utf8_lossy(&case.response.body.0)),
            'F' => {
                let _ = writeln!(log, "{} {status}", case.request.protocol());
                for (name, value) in &case.response.headers.0 {
                    let _ = writeln!(log, "{name}: {value}");
                }
            }
            'H' => {
                for found in told() {
                    let _ = writeln!(log, "{}", found.log_line(&context));
                }
            }
            _ => {}
        }
        log.push('\n');
    }
    log
}

/// Whether the status matches `SecAuditLogRelevantStatus`. The pattern may need
/// look-around, so the engine itself evaluates it, as a rule on a method that
/// spells the status.
fn is_relevant(ruleset: &Ruleset, transaction: &Transaction, status: u16) -> bool {
    let Some(pattern) = &ruleset.settings().audit_relevant_status else { return false };
    let rule =
        format!("SecRule REQUEST_METHOD \"@rx {}\" \"id:1,phase:1,pass\"", pattern.replace('"', "\\\""));
    let loader = hop3_seclang::loader::MemoryLoader::new();
    let Ok(document) = hop3_seclang::parse_str("status.conf", &rule, &loader) else { return false };
    let Ok(ruleset) = Ruleset::compile(&document) else { return false };
    let start = TransactionStart { id: String::new(), unix_time: Default::default(), entropy: 0 };
    let mut test = Transaction::new(Arc::new(ruleset), start, transaction.connection());
    test.set_request_line(status.to_string().as_bytes(), b"/", b"HTTP/1.1");
    let _ = test.process_request_headers();
    !test.matches().is_empty()
}
