//! What is told about a rule that matched.

use std::fmt::Write as _;
use std::sync::Arc;

pub use hop3_seclang::ast::Severity;

use crate::rule::Rule;

/// Longest message, in bytes.
pub(crate) const MESSAGE_LIMIT: usize = 4096;
/// Longest data in a log line, in bytes before escaping; ModSecurity's own.
const DATA_SHOWN: usize = 200;
/// Most matched values kept of one rule.
pub(crate) const VALUES_LIMIT: usize = 32;
/// Longest matched value kept, in bytes.
pub(crate) const VALUE_LIMIT: usize = 512;

/// A rule that matched, its whole chain included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleMatch {
    /// The rule.
    pub rule_id: u64,
    /// The phase, 1 to 5.
    pub phase: u8,
    /// `msg`, expanded.
    pub message: String,
    /// `logdata`, expanded; bytes that are no UTF-8 are replaced.
    pub data: String,
    /// `severity`.
    pub severity: Option<Severity>,
    /// `tag`s, expanded.
    pub tags: Vec<String>,
    /// The file the rule stands in.
    pub rule_file: Arc<str>,
    /// Its line there, from 1.
    pub rule_line: u32,
    /// `rev`.
    pub rev: String,
    /// `ver`.
    pub ver: String,
    /// `maturity`; 0 when not given.
    pub maturity: u8,
    /// `accuracy`; 0 when not given.
    pub accuracy: u8,
    /// Whether the match belongs in the log (no `nolog`).
    pub logged: bool,
    /// Whether the match belongs in the audit log (no `noauditlog`).
    pub audit: bool,
    /// Whether this match interrupted the transaction.
    pub disruptive: bool,
    /// The status of the interruption.
    pub status: Option<u16>,
    /// The operator that completed the match, as ModSecurity v3 spells it in its log; empty for `SecAction`.
    pub operator: String,
    /// Its argument, expanded and shortened.
    pub parameter: String,
    /// What matched, in order; at most 32 values of at most 512 bytes.
    pub matched: Vec<MatchedValue>,
    /// Where it matched, in the notation of ModSecurity v3: `o0,3v23,6t:trim` says that 3 bytes at 0 of the
    /// value matched, which the 6 bytes at 23 of the request became by that transformation. Line ends of the
    /// head count as one byte. Empty unless [`Transaction::with_references`](crate::Transaction::with_references).
    pub reference: String,
}

impl RuleMatch {
    /// What the engine itself has to say while a rule runs.
    pub(crate) fn of_engine(rule: &Rule, message: String, disruptive: bool) -> Self {
        Self {
            rule_id: rule.id,
            phase: rule.phase.number(),
            message,
            data: String::new(),
            severity: rule.severity,
            tags: Vec::new(),
            rule_file: rule.file.clone(),
            rule_line: rule.line,
            rev: String::new(),
            ver: String::new(),
            maturity: 0,
            accuracy: 0,
            logged: true,
            audit: true,
            disruptive,
            status: None,
            operator: String::new(),
            parameter: String::new(),
            matched: Vec::new(),
            reference: String::new(),
        }
    }
}

/// A value that matched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MatchedValue {
    /// Where it stood, e.g. `ARGS:id`.
    pub variable: String,
    /// The value after transformations, shortened.
    pub value: Vec<u8>,
}

/// What a log line says about the transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogContext {
    /// Address of the client.
    pub client: String,
    /// The host that was asked.
    pub hostname: String,
    /// The path that was asked.
    pub uri: String,
    /// The transaction's id.
    pub unique_id: String,
}

impl RuleMatch {
    /// What matched, in the words of ModSecurity v3: `Matched "Operator …`; empty for `SecAction`.
    pub fn match_text(&self) -> String {
        let mut line = String::new();
        if let Some(matched) = self.matched.last() {
            let _ = write!(line, "Matched \"Operator `{}' with parameter `", self.operator);
            push_escaped(&mut line, &self.parameter, DATA_SHOWN);
            line.push_str("' against variable `");
            push_escaped(&mut line, &matched.variable, DATA_SHOWN);
            line.push_str("' (Value: `");
            push_escaped(&mut line, &String::from_utf8_lossy(&matched.value), 100);
            line.push_str("' )");
        }
        line
    }

    /// The line in the form of ModSecurity's error log: control bytes, quotes
    /// and bytes beyond ASCII as `\xHH`, data limited to 200 bytes.
    pub fn log_line(&self, context: &LogContext) -> String {
        let mut line = format!("[client {}] ModSecurity: ", context.client);
        match (self.disruptive, self.status) {
            (true, Some(status)) => {
                let _ = write!(line, "Access denied with code {status} (phase {}). ", self.phase);
            }
            (true, None) => {
                let _ = write!(line, "Access denied (phase {}). ", self.phase);
            }
            (false, _) => line.push_str("Warning. "),
        }
        line.push_str(&self.match_text());
        field(&mut line, "file", &self.rule_file);
        field(&mut line, "line", &self.rule_line.to_string());
        field(&mut line, "id", &self.rule_id.to_string());
        field(&mut line, "rev", &self.rev);
        limited_field(&mut line, "msg", &self.message, MESSAGE_LIMIT);
        limited_field(&mut line, "data", &self.data, DATA_SHOWN);
        field(&mut line, "severity", &self.severity.map_or(0, Severity::number).to_string());
        field(&mut line, "ver", &self.ver);
        field(&mut line, "maturity", &self.maturity.to_string());
        field(&mut line, "accuracy", &self.accuracy.to_string());
        self.tags.iter().for_each(|tag| field(&mut line, "tag", tag));
        field(&mut line, "hostname", &context.hostname);
        field(&mut line, "uri", &context.uri);
        field(&mut line, "unique_id", &context.unique_id);
        if !self.reference.is_empty() {
            limited_field(&mut line, "ref", &self.reference, MESSAGE_LIMIT);
        }
        line
    }
}

fn field(line: &mut String, name: &str, value: &str) {
    limited_field(line, name, value, DATA_SHOWN);
}

fn limited_field(line: &mut String, name: &str, value: &str, limit: usize) {
    let _ = write!(line, " [{name} \"");
    push_escaped(line, value, limit);
    line.push_str("\"]");
}

/// Appends at most `limit` bytes; what could end the field, the line or confuse a terminal as `\xHH`.
fn push_escaped(line: &mut String, text: &str, limit: usize) {
    let shown = &text.as_bytes()[..text.len().min(limit)];
    for &byte in shown {
        match byte {
            b'"' | b'\\' | 0..=0x1f | 0x7f.. => {
                let _ = write!(line, "\\x{byte:02x}");
            }
            _ => line.push(byte as char),
        }
    }
    if text.len() > limit {
        let _ = write!(line, " ({} characters omitted)", text.len() - limit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_bounded_and_escaped() {
        let found = RuleMatch {
            rule_id: 942_100,
            phase: 2,
            message: "SQL".into(),
            data: format!("a\"\n{}", "x".repeat(300)),
            severity: Some(Severity::Critical),
            tags: vec!["t/1".into()],
            rule_file: "rules.conf".into(),
            rule_line: 7,
            rev: String::new(),
            ver: "V".into(),
            maturity: 0,
            accuracy: 0,
            logged: true,
            audit: true,
            disruptive: true,
            status: Some(403),
            operator: "DetectSQLi".into(),
            parameter: String::new(),
            matched: vec![],
            reference: String::new(),
        };
        let context =
            LogContext { client: "127.0.0.1".into(), unique_id: "u".into(), ..LogContext::default() };
        let line = found.log_line(&context);
        assert!(line.starts_with("[client 127.0.0.1] ModSecurity: Access denied with code 403 (phase 2). "));
        assert!(line.contains(r#"[id "942100"] [rev ""] [msg "SQL"] [data "a\x22\x0axxx"#), "{line}");
        assert!(line.contains(r#"x (103 characters omitted)"] [severity "2"] [ver "V"] [maturity "0"] [accuracy "0"] [tag "t/1"]"#), "{line}");
        assert!(!line.contains('\n'));
    }
}
