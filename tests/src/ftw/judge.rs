//! Compares what the firewall logged with what a stage expects.

use regex_automata::meta::Regex;

use super::schema::LogExpectation;

/// What a stage left in the log.
#[derive(Debug, Default)]
pub struct Logged {
    /// Ids of the rules that matched and are logged, in order.
    pub ids: Vec<u64>,
    /// Their log lines.
    pub lines: Vec<String>,
}

/// Every expectation that does not hold, in words.
pub fn complaints(expected: &LogExpectation, logged: &Logged) -> Vec<String> {
    let mut complaints = Vec::new();
    for id in &expected.expect_ids {
        if !logged.ids.contains(id) {
            complaints.push(format!("{id} is not logged"));
        }
    }
    for id in &expected.no_expect_ids {
        if logged.ids.contains(id) {
            complaints.push(format!("{id} is logged"));
        }
    }
    for (pattern, wanted) in [(&expected.match_regex, true), (&expected.no_match_regex, false)] {
        let Some(pattern) = pattern else { continue };
        match Regex::new(pattern) {
            Err(error) => complaints.push(format!("cannot compile /{pattern}/: {error}")),
            Ok(regex) => {
                if logged.lines.iter().any(|line| regex.is_match(line)) != wanted {
                    complaints.push(format!("{} line matches /{pattern}/", if wanted { "no" } else { "a" }));
                }
            }
        }
    }
    complaints
}
