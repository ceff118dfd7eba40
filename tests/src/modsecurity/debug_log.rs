//! ModSecurity's debug log at level 9, in v3's wording.

use std::fmt::Write as _;

use hop3_waf::RuleMatch;

/// Most bytes of a value in a line.
const SHOWN: usize = 80;

/// The lines so far.
#[derive(Debug, Default)]
pub struct DebugLog {
    text: String,
}

impl DebugLog {
    /// Lines for what matched: all that the engine tells without an observer.
    pub fn matches(&mut self, matches: &[RuleMatch]) {
        for found in matches {
            for matched in &found.matched {
                self.target(matched.variable.as_bytes(), &matched.value);
            }
            self.line(4, "Rule returned 1.");
            if !found.message.is_empty() {
                self.line(9, &format!("Saving msg: {}", found.message));
            }
            for tag in &found.tags {
                self.line(9, &format!("Rule tag: {tag}"));
            }
        }
    }

    fn target(&mut self, variable: &[u8], value: &[u8]) {
        let name = String::from_utf8_lossy(variable);
        self.line(9, &format!("Target value: \"{}\" (Variable: {name})", shown(value)));
    }

    fn line(&mut self, level: u8, message: &str) {
        let _ = writeln!(self.text, "[{level}] {message}");
    }

    /// The log.
    pub fn into_text(self) -> String {
        self.text
    }
}

/// A value as v3 shows it: what is not printable ASCII as `\xHH`, then the first 80 bytes.
fn shown(value: &[u8]) -> String {
    let mut text = String::with_capacity(value.len());
    for &byte in value {
        match byte {
            32..=126 => text.push(char::from(byte)),
            _ => {
                let _ = write!(text, "\\x{byte:02x}");
            }
        }
    }
    if text.len() > SHOWN {
        let rest = text.len() - SHOWN;
        text.truncate(SHOWN);
        let _ = write!(text, " ({rest} characters omitted)");
    }
    text
}
