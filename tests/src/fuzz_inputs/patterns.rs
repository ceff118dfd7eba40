//! The two regex engines hold the same opinion, down to the groups.
//!
//! `(?=)` before a pattern changes nothing in its meaning, and moves it from
//! the automaton to the backtracking engine.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hop3_seclang::loader::MemoryLoader;
use hop3_seclang::parse_str;
use hop3_waf::{Connection, Ruleset, Transaction, TransactionStart};

const LONGEST_PATTERN: usize = 200;
const LONGEST_VALUE: usize = 2000;

/// The first line is the pattern, the rest the value.
pub(super) fn agree(input: &[u8]) {
    let end = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
    let (pattern, value) = (&input[..end], input.get(end + 1..).unwrap_or_default());
    let Ok(pattern) = std::str::from_utf8(pattern) else { return };
    if pattern.len() > LONGEST_PATTERN || value.len() > LONGEST_VALUE || !stands_in_a_rule(pattern) {
        return;
    }
    let Some(plain) = ruleset(pattern) else { return };
    let Some(forced) = ruleset(&format!("(?=)(?:{pattern})")) else { return };
    assert!(!forced.fallbacks().is_empty(), "`(?=)` no longer asks for the other engine");
    let (Some(expected), Some(found)) = (groups(&plain, value), groups(&forced, value)) else {
        return;
    };
    assert_eq!(expected, found, "automaton and backtracking differ on /{pattern}/, {}", value.escape_ascii());
}

/// Whether rule text keeps the pattern as it is, without escapes, joins and macros.
fn stands_in_a_rule(pattern: &str) -> bool {
    let special = ["\"", "%{", "\r", "\0"];
    !pattern.is_empty()
        && !special.iter().any(|text| pattern.contains(text))
        && !pattern.ends_with('\\')
        && pattern.trim() == pattern
}

fn ruleset(pattern: &str) -> Option<Arc<Ruleset>> {
    let text = format!("SecRuleEngine On\nSecRule ENV:v \"@rx {pattern}\" \"id:1,phase:1,pass,capture\"\n");
    let document = parse_str("pattern.conf", &text, &MemoryLoader::new()).ok()?;
    Ruleset::compile(&document).ok().map(Arc::new)
}

/// Whether the pattern matched, and `TX:0` to `TX:9`; `None` when the engine gave up.
fn groups(ruleset: &Arc<Ruleset>, value: &[u8]) -> Option<(bool, Vec<Option<Vec<u8>>>)> {
    let start = TransactionStart { id: "fuzz".into(), unix_time: Duration::from_secs(1), entropy: 1 };
    let local = SocketAddr::from((Ipv4Addr::LOCALHOST, 80));
    let connection = Connection { client: local, server: local };
    let mut transaction = Transaction::new(Arc::clone(ruleset), start, connection);
    transaction.set_environment(b"v", value);
    let _ = transaction.process_request_headers();
    if transaction.tx("MSC_PCRE_LIMITS_EXCEEDED").is_some_and(|text| text != b"0") {
        return None;
    }
    let captured = (0..10).map(|group| transaction.tx(&group.to_string())).collect();
    Some((!transaction.matches().is_empty(), captured))
}
