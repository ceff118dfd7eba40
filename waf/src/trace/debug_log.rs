//! ModSecurity's debug log (`SecDebugLog`), in v3's wording.
//!
//! The engine tells what happens ([`Trace`]); what the rules say comes from
//! [`RuleTexts`]. Lines are kept in memory, bounded, until the transaction ends;
//! secrets are masked unless `SecMaskSecrets` is `Off`. Writing is the host's.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hop3_seclang::ast::{AuditEngine, BodyProcessor, Collection, OperatorName};

use super::body_log;
use super::operator_log;
use super::rule_texts::{LinkText, RuleTexts};
use super::{Event, Skipped, Trace};
use crate::masking;
use crate::rule_match::RuleMatch;

/// Most bytes of a value in a line.
const SHOWN: usize = 80;
/// Most bytes of a field of a multipart body in a line.
const FIELD_SHOWN: usize = 1024;
/// Most bytes of lines kept of one transaction.
const ROOM: usize = 1 << 20;
/// Most secret values remembered of one transaction, and the shortest that is.
const SECRETS: usize = 64;
const SHORTEST_SECRET: usize = 4;
/// What stands for no severity.
const NO_SEVERITY: u8 = 255;
/// Most bytes of a value in which secrets are looked for.
const SEARCHED: usize = 8 * 1024;

/// Writes down what the engine tells of one transaction.
#[derive(Debug)]
pub struct DebugLog {
    rules: Arc<RuleTexts>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    level: u8,
    lines: Vec<(u8, String)>,
    bytes: usize,
    omitted: usize,
    rule_id: u64,
    position: usize,
    /// The variable that was tested last, and its value.
    variable: Vec<u8>,
    value: Vec<u8>,
    body_is_unread: bool,
    /// The highest severity so far; 255 is none.
    severity: u8,
    /// Forms of a value whose variable is not told yet: transformation and value.
    forms: Vec<(String, Vec<u8>)>,
    /// Keys of the persistent collections that are open.
    records: HashMap<&'static str, String>,
    /// Values of variables whose names speak of secrets.
    secrets: Vec<Vec<u8>>,
}

impl DebugLog {
    /// For a transaction of the ruleset that `rules` tells about, at its `SecDebugLogLevel`.
    pub fn new(rules: Arc<RuleTexts>) -> Self {
        let level = rules.level;
        Self::at_level(rules, level)
    }

    /// The same at another level, 0 (nothing) to 9 (everything).
    pub fn at_level(rules: Arc<RuleTexts>, level: u8) -> Self {
        let mut state = State { level, severity: NO_SEVERITY, ..State::default() };
        rules.removed.iter().for_each(|line| state.write(9, line));
        Self { rules, state: Mutex::new(state) }
    }

    /// Adds a line.
    pub fn line(&self, level: u8, message: &str) {
        self.state().write(level, message);
    }

    /// The lines so far, each as `[LEVEL] MESSAGE`, values as they are.
    pub fn text(&self) -> String {
        let state = self.state();
        let mut text = String::with_capacity(state.bytes);
        for (level, message) in &state.lines {
            let _ = writeln!(text, "[{level}] {message}");
        }
        text
    }

    /// Takes the lines as v3 writes them to its file: `[ID] [URI] [LEVEL] MESSAGE`, control characters escaped so
    /// that no value can forge a line. Empty when there is nothing to write.
    pub fn take(&self, id: &str, uri: &str) -> Vec<u8> {
        let (lines, omitted) = {
            let mut state = self.state();
            state.bytes = 0;
            (std::mem::take(&mut state.lines), std::mem::take(&mut state.omitted))
        };
        let mut text = String::new();
        let mut write = |level: u8, message: &str| {
            let _ = write!(text, "[{id}] [");
            push_printable(&mut text, uri);
            let _ = write!(text, "] [{level}] ");
            push_printable(&mut text, message);
            text.push('\n');
        };
        lines.iter().for_each(|(level, message)| write(*level, message));
        if omitted > 0 {
            write(1, &format!("{omitted} further lines are left out: the transaction's log is too long"));
        }
        text.into_bytes()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn condition(&self, state: &State) -> Option<&LinkText> {
        self.rules.link(state.rule_id, state.position)
    }

    fn link(&self, state: &mut State, argument: &[u8]) {
        let id = state.rule_id;
        let Some(condition) = self.condition(state) else {
            return state.write(4, &format!("(Rule: {id}) Executing unconditional rule..."));
        };
        let name = operator_name(condition.operator);
        let written = &condition.argument;
        let parameter = match condition.is_literal {
            true => format!("\"{written}\""),
            false => format!("\"{}\" Was: \"{written}\"", self.shown(state, argument)),
        };
        let targets = &condition.targets;
        let message =
            format!("(Rule: {id}) Executing operator \"{name}\" with param {parameter} against {targets}.");
        state.write(4, &message);
        for line in self.rules.namespaces(state.rule_id, state.position) {
            state.write(4, line);
        }
    }

    fn tested(&self, state: &mut State, variable: &[u8], value: &[u8]) {
        state.variable = variable.to_vec();
        state.value = value[..value.len().min(SEARCHED)].to_vec();
        for (name, form) in std::mem::take(&mut state.forms) {
            let form = self.shown_value(state, variable, &form);
            state.write(9, &format!(" T (0) t:{name}: \"{}\"", limited(&form)));
        }
        let value = match self.rules.masks_secrets {
            true => shown(self.shown_value(state, variable, value).as_bytes()),
            false => shown(value),
        };
        let name = state.full_name(&String::from_utf8_lossy(variable), &self.rules);
        state.write(9, &format!("Target value: \"{value}\" (Variable: {name})"));
    }

    /// What the operator says of the value that was tested last.
    fn decided(&self, state: &mut State, matched: bool) {
        let Some(condition) = self.condition(state) else { return };
        let (variable, value) = (state.variable.clone(), std::mem::take(&mut state.value));
        let shown = self.shown_value(state, &variable, &value);
        let found = matched != condition.negated;
        let (operator, argument) = (condition.operator, &condition.argument);
        if let Some((level, line)) = operator_log::lines(operator, argument, &value, &shown, found) {
            state.write(level, &line);
        }
        if matched {
            state.write(9, "Matched vars updated.");
            for line in self.rules.independent(state.rule_id, state.position) {
                state.write(4, line);
            }
        }
    }

    fn link_ended(&self, state: &mut State, matched: bool) {
        state.write(4, &format!("Rule returned {}.", u8::from(matched)));
        if !matched {
            state.write(9, "Matched vars cleaned.");
        } else if self.rules.has_link(state.rule_id, state.position + 1) {
            state.write(4, "Executing chained rule.");
        }
    }

    fn captured(&self, state: &mut State, group: usize, value: &[u8]) {
        let Some(condition) = self.condition(state) else { return };
        let variable = state.variable.clone();
        let value = self.shown_value(state, &variable, value);
        let message = match condition.operator {
            OperatorName::Rx | OperatorName::RxGlobal => {
                format!("Added regex subexpression TX.{group}: {value}")
            }
            OperatorName::Pm | OperatorName::PmFromFile => format!("Added pm match TX.{group}: {value}"),
            name => format!("Added {} match TX.{group}: {value}", operator_name(name)),
        };
        state.write(7, &message);
    }

    fn matched(&self, state: &mut State, found: &RuleMatch) {
        for tag in &found.tags {
            state.write(4, "Running (non-disruptive) action: tag");
            state.write(9, &format!("Rule tag: {tag}"));
        }
        if let Some(severity) = found.severity {
            let (own, highest) = (severity.number(), state.severity);
            state.write(9, &format!("This rule severity is: {own} current transaction is: {highest}"));
            state.severity = highest.min(own);
        }
        if !found.message.is_empty() {
            state.write(9, &format!("Saving msg: {}", found.message));
        }
        for (level, line) in self.rules.actions(found.rule_id) {
            state.write(*level, line);
        }
        if found.disruptive && !self.rules.is_disruptive(found.rule_id) {
            // The default action's.
            state.write(4, "Running (disruptive)     action: deny.");
            state.write(8, "Running action deny");
        }
    }

    fn skipped(&self, state: &mut State, rule_id: u64, why: Skipped) {
        match why {
            Skipped::Jump => {
                state.write(9, &format!("Skipped rule id '{rule_id}' due to a `skip' action."));
                state.write(9, &format!("Skipped rule id '{rule_id}' due to a SecMarker."));
            }
            Skipped::Allow => {
                state.write(4, "Dropping the evaluation of upcoming rules in favor of an `allow' action");
                let end = "as request trough the utilization of an `allow' action.";
                state.write(9, &format!("Skipped rule id '{rule_id}' {end}"));
            }
            Skipped::Control if self.rules.removes_by_tag => {
                let end = "Skipped due to a ruleRemoveByTag action.";
                state.write(9, &format!("Skipped rule id '{rule_id}'. {end}"));
            }
            Skipped::Control => {
                let end = "was skipped due to a ruleRemoveById action...";
                state.write(9, &format!("Rule id: {rule_id} {end}"));
            }
        }
    }

    /// A text without its secrets.
    fn shown(&self, state: &State, text: &[u8]) -> String {
        if !self.rules.masks_secrets {
            return String::from_utf8_lossy(text).into_owned();
        }
        let mut text = masking::text(&text[..text.len().min(SEARCHED)]);
        for secret in &state.secrets {
            text = masking::without(&text, secret).unwrap_or(text);
        }
        String::from_utf8_lossy(&text).into_owned()
    }

    /// A variable's value without its secrets. Secret values are remembered: they may come again under other names.
    fn shown_value(&self, state: &mut State, variable: &[u8], value: &[u8]) -> String {
        if !self.rules.masks_secrets {
            return String::from_utf8_lossy(value).into_owned();
        }
        let searched = &value[..value.len().min(SEARCHED)];
        if masking::is_secret(variable) {
            let is_new = !state.secrets.iter().any(|known| known == searched);
            if searched.len() >= SHORTEST_SECRET && state.secrets.len() < SECRETS && is_new {
                state.secrets.push(searched.to_vec());
            }
            return String::from_utf8_lossy(&masking::value(variable, searched)).into_owned();
        }
        self.shown(state, value)
    }
}

impl Trace for DebugLog {
    fn event(&self, event: &Event<'_>) {
        let mut guard = self.state();
        let state = &mut *guard;
        if let Event::DebugLogLevel(level) = *event {
            state.level = level;
        }
        if state.level == 0 {
            return;
        }
        let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match *event {
            Event::Phase { number, runs } => {
                const NAMES: [&str; 5] =
                    ["REQUEST_HEADERS", "REQUEST_BODY", "RESPONSE_HEADERS", "RESPONSE_BODY", "LOGGING"];
                let name = NAMES[usize::from(number.clamp(1, 5)) - 1];
                state.write(4, &format!("Starting phase {name}. (SecRules {number})"));
                if !runs {
                    state.write(4, "Rule engine disabled, returning...");
                }
            }
            Event::Skipped { rule_id, why } => self.skipped(state, rule_id, why),
            Event::Link { rule_id, position, argument } => {
                (state.rule_id, state.position) = (rule_id, position);
                self.link(state, argument);
            }
            Event::Transformed { transformation, value } if state.level >= 9 => {
                state.forms.push((transformation.name().to_ascii_lowercase(), value.to_vec()));
            }
            Event::Tested { variable, value } => self.tested(state, variable, value),
            Event::Captured { group, value } => self.captured(state, group, value),
            Event::LimitExceeded => {
                let pattern = self.condition(state).map(|condition| condition.argument.as_str());
                let pattern = pattern.unwrap_or_default();
                state.write(1, &format!("rx: regex error 'MATCH_LIMIT' for pattern '{pattern}'"));
            }
            Event::Decided { matched } => self.decided(state, matched),
            Event::LinkEnded { matched } => self.link_ended(state, matched),
            Event::Excluded { name } => {
                state.write(7, &format!("Excluding key: {} from target value.", lossy(name)));
            }
            Event::Matched(found) => self.matched(state, found),
            Event::RecordOpened { collection, key } => {
                let key = match collection {
                    Collection::Session if self.rules.masks_secrets => masking::SHOWN.to_owned(),
                    _ => lossy(key),
                };
                let opened = match collection {
                    Collection::Session => format!("Session ID initiated with value: '{key}'."),
                    Collection::User => format!("User collection initiated with value: '{key}'."),
                    Collection::Resource => format!("RESOURCE initiated with value: '{key}'."),
                    _ => String::new(),
                };
                let name = collection.variable().name();
                if !opened.is_empty() {
                    state.write(8, &opened);
                }
                let lower = name.to_ascii_lowercase();
                state.write(5, &format!("Collection `{lower}' initialized with value: {key}"));
                state.records.insert(name, key);
            }
            Event::VariableSet { collection, name, value } => {
                let place = format!("{}:{}", collection.variable().name(), lossy(name));
                let value = self.shown_value(state, place.as_bytes(), value);
                state.write(8, &format!("Saving variable: {place} with value: {value}"));
            }
            Event::EnvironmentSet { name, value } => {
                let (name, value) = (lossy(name), self.shown_value(state, name, value));
                state.write(8, &format!("Setting environment variable: {name} to {value}"));
            }
            Event::Argument { from, name, value } => {
                let from = match from {
                    None => "GET",
                    Some(BodyProcessor::UrlEncoded) => "POST",
                    Some(BodyProcessor::Json) => "JSON",
                    Some(BodyProcessor::Xml) => "XML",
                    Some(_) => "BODY",
                };
                let value = self.shown_value(state, &[b"ARGS:", name].concat(), value);
                let name = lossy(name);
                let message = format!("Adding request argument ({from}): name \"{name}\", value \"{value}\"");
                state.write(4, &message);
            }
            Event::ArgumentsOverLimit => {
                let limit = self.rules.arguments_limit;
                state.write(4, &format!("Skipping request argument, over limit ({limit})"));
            }
            Event::BodyPiece { of_response, length, limit } => {
                let which = if of_response { "response" } else { "request" };
                let message = format!("Appending {which} body: {length} bytes. Limit set to: {limit}");
                state.write(9, &message);
            }
            Event::BodyOverLimit { of_response, reject } => {
                let which = if of_response { "Response" } else { "Request" };
                state.write(5, &format!("{which} body is bigger than the maximum expected."));
                let what = if reject { "reject the request" } else { "process partial" };
                state.write(5, &format!("{which} body limit is marked to {what}"));
            }
            Event::BodyUnread if !self.rules.request_body_access => {
                state.body_is_unread = true;
                state.write(4, "Request body processing is disabled");
            }
            Event::BodyUnread => state.write(
                4,
                "Request body processing is enabled, but disabled to this transaction due to \
                 ctl:requestBodyAccess action",
            ),
            Event::Multipart(multipart) => {
                let mut lines = Vec::new();
                let told = |name: &[u8], content: &[u8]| {
                    let content = &content[..content.len().min(FIELD_SHOWN)];
                    match self.rules.masks_secrets {
                        true => lossy(&masking::value(&[b"ARGS:", name].concat(), content)),
                        false => lossy(content),
                    }
                };
                body_log::multipart(multipart, &told, &mut |level, line| {
                    lines.push((level, line.to_owned()))
                });
                lines.iter().for_each(|(level, line)| state.write(*level, line));
            }
            Event::Validated { file, by_schema, error } => {
                let error = error.map(|error| self.shown(state, error.as_bytes()));
                body_log::validated(file, by_schema, error.as_deref(), &mut |level, message| {
                    state.write(level, message);
                });
            }
            Event::ScriptStarted { name, value } => {
                state.write(8, &format!("Running script... {name}"));
                if let Some(value) = value {
                    let value = self.shown(state, value);
                    state.write(9, &value);
                }
            }
            Event::ScriptLog { level, text } => {
                let text = self.shown(state, text);
                state.write(level.clamp(1, 9) as u8, &text);
            }
            Event::ScriptFailed { reason } => state.write(2, reason),
            Event::FuzzyHash { score } => {
                state.write(4, &format!("Fuzzy hash: matched with score: {score}."));
            }
            Event::AuditDecided { engine: AuditEngine::Off, .. } => {
                state.write(5, "Audit log engine was not set.");
            }
            Event::AuditDecided { relevant: true, .. } => {
                state.write(5, "Saving this request as part of the audit logs.");
            }
            Event::AuditDecided { status, pattern, .. } => state.write(
                9,
                &format!(
                    "Return code `{status}' is not interesting to audit logs, relevant code(s): `{pattern}'."
                ),
            ),
            Event::Body { processor, error } => {
                if !self.rules.request_body_access && !state.body_is_unread {
                    let by_ctl = "enabled to this transaction due to ctl:requestBodyAccess action";
                    state.write(4, &format!("Request body processing is disabled, but {by_ctl}"));
                }
                body_log::body(processor, error, &mut |level, message| state.write(level, message));
            }
            _ => {}
        }
    }
}

impl State {
    fn write(&mut self, level: u8, message: &str) {
        if level > self.level {
            return;
        }
        if self.bytes + message.len() > ROOM {
            self.omitted += 1;
            return;
        }
        self.bytes += message.len();
        self.lines.push((level, message.to_owned()));
    }

    /// `RESOURCE:name` as v3 shows it, with the record's key and the application's id.
    fn full_name(&self, variable: &str, rules: &RuleTexts) -> String {
        let record =
            variable.split_once(':').and_then(|(name, member)| Some((name, member, self.records.get(name)?)));
        match record {
            Some((name, member, key)) => format!("{name}:{key}::{}::{member}", rules.web_app_id),
            None => variable.to_owned(),
        }
    }
}

/// The name of an operator's class in v3.
fn operator_name(name: OperatorName) -> String {
    match name {
        OperatorName::Rx => "Rx".into(),
        OperatorName::StrEq => "StrEq".into(),
        OperatorName::StrMatch => "StrMatch".into(),
        OperatorName::DetectXss => "DetectXSS".into(),
        other => {
            let text = other.to_string();
            let mut letters = text.chars();
            letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect()
        }
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
    limited(&text)
}

fn limited(text: &str) -> String {
    let Some(rest) = text.len().checked_sub(SHOWN + 1).map(|rest| rest + 1) else {
        return text.to_owned();
    };
    let end = text.floor_char_boundary(SHOWN);
    format!("{} ({rest} characters omitted)", &text[..end])
}

fn push_printable(out: &mut String, text: &str) {
    for character in text.chars() {
        match character {
            c if c.is_control() => c.to_string().bytes().for_each(|byte| {
                let _ = write!(out, "\\x{byte:02x}");
            }),
            c => out.push(c),
        }
    }
}
