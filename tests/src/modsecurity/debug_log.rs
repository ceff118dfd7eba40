//! ModSecurity's debug log at level 9, in v3's wording.
//!
//! The engine tells what happens ([`Trace`]); what the rules say, such as the
//! operator and the targets of a link or the actions of a rule, is looked up
//! in the document.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};

use hop3_seclang::Document;
use hop3_seclang::ast::{Action, Condition, Ctl, DirectiveKind, OperatorName, Rule, Selector};
use hop3_waf::RuleMatch;
use hop3_waf::trace::{Event, Skipped, Trace};

use super::body_log;

/// Most bytes of a value in a line.
const SHOWN: usize = 80;

/// Writes down what the engine tells.
#[derive(Debug)]
pub struct DebugLog {
    rules: HashMap<u64, Rule>,
    document: Document,
    web_app_id: String,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    text: String,
    rule_id: u64,
    position: usize,
    step: usize,
    /// Keys of the persistent collections that are open.
    records: HashMap<&'static str, String>,
}

impl State {
    /// `RESOURCE:name` as v3 shows it, with the record's key and the application's id.
    fn full_name(&self, variable: &str, web_app_id: &str) -> String {
        let record =
            variable.split_once(':').and_then(|(name, member)| Some((name, member, self.records.get(name)?)));
        match record {
            Some((name, member, key)) => format!("{name}:{key}::{web_app_id}::{member}"),
            None => variable.to_owned(),
        }
    }
}

impl DebugLog {
    /// For rules from `document`.
    pub fn new(document: Document, web_app_id: &str) -> Self {
        let rules = document.rules().map(|rule| (rule.id, rule.clone())).collect();
        Self { rules, document, web_app_id: web_app_id.to_owned(), state: Mutex::default() }
    }

    /// Writes a line.
    pub fn line(&self, level: u8, message: &str) {
        write(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner), level, message);
    }

    /// The lines so far.
    pub fn text(&self) -> String {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).text.clone()
    }

    /// Lines for rules that directives have removed; `left` are the rules of the compiled set.
    pub fn removed(&self, left: &[u64]) {
        for rule in self.document.rules().filter(|rule| !left.contains(&rule.id)) {
            for directive in &self.document.directives {
                let how = match &directive.kind {
                    DirectiveKind::RuleRemoveById(_) => "an SecRuleRemove directive.",
                    DirectiveKind::RuleRemoveByMsg(_) => "a SecRuleRemoveByMsg directive.",
                    DirectiveKind::RuleRemoveByTag(_) => "a SecRuleRemoveByTag directive.",
                    _ => continue,
                };
                self.line(9, &format!("Skipped rule id '{}'. Removed by {how}", rule.id));
            }
        }
    }

    fn condition(&self, state: &State) -> Option<&Condition> {
        let rule = self.rules.get(&state.rule_id)?;
        match state.position.checked_sub(1) {
            None => rule.condition.as_ref(),
            Some(link) => rule.links.get(link)?.condition.as_ref(),
        }
    }

    /// v3 tells the namespaces of a rule that reads XML.
    fn namespaces(&self, state: &mut State) {
        let reads_xml = self.condition(state).is_some_and(|condition| {
            condition.targets.iter().any(|target| matches!(target.selector, Some(Selector::XPath(_))))
        });
        for action in self.rules.get(&state.rule_id).into_iter().flat_map(|rule| &rule.actions) {
            if let (Action::Xmlns { prefix, uri }, true) = (&action.node, reads_xml) {
                write(state, 4, &format!("Registered XML namespace href \"{uri}\" prefix \"{prefix}\""));
            }
        }
    }

    fn link(&self, state: &mut State, argument: &[u8]) {
        let id = state.rule_id;
        let Some(condition) = self.condition(state) else {
            return write(state, 4, &format!("(Rule: {id}) Executing unconditional rule..."));
        };
        let operator = &condition.operator.node;
        let name = operator_name(operator.name);
        let written = operator.argument.raw_str();
        let argument = String::from_utf8_lossy(argument);
        let parameter = match operator.argument.as_literal() {
            Some(_) => format!("\"{written}\""),
            None => format!("\"{argument}\" Was: \"{written}\""),
        };
        let targets = condition
            .targets
            .iter()
            .map(|target| String::from_utf8_lossy(self.document.sources.text(target.span)).into_owned());
        let targets = targets.collect::<Vec<_>>().join("|");
        let message =
            format!("(Rule: {id}) Executing operator \"{name}\" with param {parameter} against {targets}.");
        write(state, 4, &message);
    }

    fn captured(&self, state: &mut State, group: usize, value: &[u8]) {
        let Some(condition) = self.condition(state) else {
            return;
        };
        let value = String::from_utf8_lossy(value);
        let message = match condition.operator.node.name {
            OperatorName::Rx | OperatorName::RxGlobal => {
                format!("Added regex subexpression TX.{group}: {value}")
            }
            OperatorName::Pm | OperatorName::PmFromFile => {
                format!("Added pm match TX.{group}: {value}")
            }
            name => format!("Added {} match TX.{group}: {value}", operator_name(name)),
        };
        write(state, 7, &message);
    }

    fn matched(&self, state: &mut State, found: &RuleMatch) {
        for tag in &found.tags {
            write(state, 9, &format!("Rule tag: {tag}"));
        }
        if let Some(severity) = found.severity {
            write(state, 9, &format!("This rule severity is: {}", severity.number()));
        }
        if !found.message.is_empty() {
            write(state, 9, &format!("Saving msg: {}", found.message));
        }
        for action in self.rules.get(&found.rule_id).into_iter().flat_map(|rule| &rule.actions) {
            match &action.node {
                Action::Log | Action::NoLog | Action::AuditLog | Action::NoAuditLog => {
                    let name = self.document.sources.text(action.span);
                    write(state, 9, &format!("Running action: {}", String::from_utf8_lossy(name)));
                }
                Action::Pass => write(state, 8, "Running action pass"),
                Action::Block => write(state, 8, "Marking request as disruptive."),
                _ => {}
            }
        }
        if found.disruptive {
            write(state, 4, "Running (disruptive)     action: deny.");
            write(state, 8, "Running action deny");
        }
    }

    fn skipped(&self, state: &mut State, rule_id: u64, why: Skipped) {
        match why {
            Skipped::Jump => {
                write(state, 9, &format!("Skipped rule id '{rule_id}' due to a `skip' action."));
                write(state, 9, &format!("Skipped rule id '{rule_id}' due to a SecMarker."));
            }
            Skipped::Allow => {
                write(state, 4, "Dropping the evaluation of upcoming rules in favor of an `allow' action");
                let end = "as request trough the utilization of an `allow' action.";
                write(state, 9, &format!("Skipped rule id '{rule_id}' {end}"));
            }
            Skipped::Control if self.controls(|ctl| matches!(ctl, Ctl::RuleRemoveByTag(_))) => {
                write(
                    state,
                    9,
                    &format!("Skipped rule id '{rule_id}'. Skipped due to a ruleRemoveByTag action."),
                );
            }
            _ => {
                write(state, 9, &format!("Rule id: {rule_id} was skipped due to a ruleRemoveById action..."));
            }
        }
    }

    fn controls(&self, wanted: impl Fn(&Ctl) -> bool) -> bool {
        let actions = self
            .document
            .rules()
            .flat_map(|rule| rule.actions.iter().chain(rule.links.iter().flat_map(|link| &link.actions)));
        actions.into_iter().any(|action| matches!(&action.node, Action::Ctl(ctl) if wanted(ctl)))
    }
}

impl Trace for DebugLog {
    fn event(&self, event: &Event<'_>) {
        let mut guard = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let state = &mut *guard;
        match *event {
            Event::Phase { number, runs } => {
                const NAMES: [&str; 5] =
                    ["REQUEST_HEADERS", "REQUEST_BODY", "RESPONSE_HEADERS", "RESPONSE_BODY", "LOGGING"];
                let name = NAMES[usize::from(number.clamp(1, 5)) - 1];
                write(state, 4, &format!("Starting phase {name}. (SecRules {number})"));
                if !runs {
                    write(state, 4, "Rule engine disabled, returning...");
                }
            }
            Event::Skipped { rule_id, why } => self.skipped(state, rule_id, why),
            Event::Link { rule_id, position, argument } => {
                (state.rule_id, state.position) = (rule_id, position);
                self.link(state, argument);
                self.namespaces(state);
            }
            Event::Transformed { transformation, value } => {
                let name = transformation.name().to_ascii_lowercase();
                let message =
                    format!(" T ({}) t:{name}: \"{}\"", state.step, limited(&String::from_utf8_lossy(value)));
                write(state, 9, &message);
            }
            Event::Tested { variable, value } => {
                let name = state.full_name(&String::from_utf8_lossy(variable), &self.web_app_id);
                write(state, 9, &format!("Target value: \"{}\" (Variable: {name})", shown(value)));
            }
            Event::Captured { group, value } => self.captured(state, group, value),
            Event::LimitExceeded => {
                let pattern = self
                    .condition(state)
                    .map(|condition| condition.operator.node.argument.raw_str().into_owned());
                let pattern = pattern.unwrap_or_default();
                write(state, 1, &format!("rx: regex error 'MATCH_LIMIT' for pattern '{pattern}'"));
            }
            Event::LinkEnded { matched } => {
                write(state, 4, &format!("Rule returned {}.", u8::from(matched)));
            }
            Event::Matched(found) => self.matched(state, found),
            Event::RecordOpened { collection, key } => {
                state.records.insert(collection.variable().name(), String::from_utf8_lossy(key).into_owned());
            }
            Event::VariableSet { collection, name, value } => {
                let message = format!(
                    "Saving variable: {}:{} with value: {}",
                    collection.variable().name(),
                    String::from_utf8_lossy(name),
                    String::from_utf8_lossy(value)
                );
                write(state, 8, &message);
            }
            Event::EnvironmentSet { name, value } => {
                let (name, value) = (String::from_utf8_lossy(name), String::from_utf8_lossy(value));
                write(state, 8, &format!("Setting environment variable: {name} to {value}"));
            }
            Event::Argument { in_body, name, value } => {
                let from = if in_body { "BODY" } else { "GET" };
                let (name, value) = (String::from_utf8_lossy(name), String::from_utf8_lossy(value));
                write(
                    state,
                    4,
                    &format!("Adding request argument ({from}): name \"{name}\", value \"{value}\""),
                );
            }
            Event::ArgumentsOverLimit => write(state, 4, "Skipping request argument, over limit"),
            Event::BodyUnread => write(
                state,
                4,
                "Request body processing is enabled, but disabled to this transaction due to ctl:requestBodyAccess action",
            ),
            Event::Multipart(multipart) => {
                body_log::multipart(multipart, &mut |level, message| write(state, level, message));
            }
            Event::Body { processor, error } => {
                body_log::body(processor, error, &mut |level, message| write(state, level, message));
            }
            _ => {}
        }
    }
}

fn write(state: &mut State, level: u8, message: &str) {
    let _ = writeln!(state.text, "[{level}] {message}");
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
