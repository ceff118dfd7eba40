//! The audit log of one transaction in the native format, written serially.
//!
//! The engine decides what is relevant and which parts are wanted; this is the
//! least a host has to do with it, enough to judge the suite's expectations.

use std::fmt::Write as _;

use hop3_waf::Transaction;

use super::case::Case;

/// What the log says after the transaction; empty when it is not relevant.
pub fn text(case: &Case, transaction: &Transaction, status: u16) -> String {
    let told = || transaction.matches().iter().filter(|found| found.audit);
    let (_, parts) = transaction.audit();
    let mut log = String::new();
    if !transaction.audit_relevant_with(status) {
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
