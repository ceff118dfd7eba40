//! Actions that run for each matching value.

use std::borrow::Cow;
use std::time::Duration;

use hop3_seclang::ast::{Collection, PartsChange, SetVarOp, Variable};

use crate::collections::persistent::OpenRecord;
use crate::collections::tx::{Slot, Value};
use crate::operators::number;
use crate::rule::{Action, Key, Link, Rule};
use crate::rule_control::Control;
use crate::ruleset::Ruleset;
use crate::state::State;
use crate::template::{Piece, Template};
use crate::trace::Event;

/// Most records one transaction may open.
const RECORDS_LIMIT: usize = 16;
/// Longest key of a record, in bytes.
const KEY_LIMIT: usize = 4096;

impl State {
    pub(super) fn run_actions(&mut self, ruleset: &Ruleset, rule: &Rule, link: &Link) {
        for action in &link.actions {
            match action {
                Action::SetVar { collection, key, op, value } => {
                    let operand = self.operand(ruleset, rule, value);
                    self.set_variable(ruleset, rule, *collection, key, *op, &operand);
                }
                Action::ExpireVar { collection, key, seconds } => {
                    let key = self.expanded(ruleset, rule, key);
                    let seconds = number(&self.expanded(ruleset, rule, seconds));
                    let at =
                        self.unix_time + Duration::from_secs(seconds.clamp(0, i64::from(u32::MAX)) as u64);
                    if let Some(record) = self.record_mut(*collection) {
                        match seconds {
                            // At once, for the rules that follow too.
                            ..=0 => record.set(&key, None),
                            _ => record.expire(&key, at),
                        }
                    }
                }
                Action::InitCol { collection, key } => {
                    let key = self.expanded(ruleset, rule, key);
                    self.open_record(*collection, key);
                }
                Action::SetEnv { name, value } => {
                    let name = self.expanded(ruleset, rule, name);
                    let value = value.as_ref().map(|value| self.expanded(ruleset, rule, value));
                    self.set_env(&name, value.as_deref());
                }
                Action::DeprecateVar { collection, key, amount, seconds } => {
                    let key = self.expanded(ruleset, rule, key);
                    let now = self.unix_time;
                    if let Some(record) = self.record_mut(*collection) {
                        record.deprecate(&key, *amount, *seconds, now);
                    }
                }
                Action::Control(control) => self.control(ruleset, control),
                Action::Sanitise(what) => self.sanitise(what, link.capture),
                Action::Script(script) => self.execute(ruleset, rule, script),
            }
        }
    }

    /// Sets a number in TX.
    pub(super) fn set_tx(&mut self, slot: Slot, value: i64) {
        self.tx.set(slot, Some(Value::Number(value)));
    }

    /// Sets a member of a collection for a script.
    pub(crate) fn store(&mut self, ruleset: &Ruleset, collection: Collection, name: &[u8], value: &[u8]) {
        if collection == Collection::Tx {
            if let Some(slot) = self.tx.find_or_add(&ruleset.tx_names, name) {
                self.trace(|_| Event::VariableSet { collection, name, value });
                self.tx.set(slot, Some(value_of(value)));
            }
            return;
        }
        if self.record(collection).is_none() {
            self.unkept.push(OpenRecord::new(collection, Vec::new(), None, self.unix_time));
        }
        if let Some(record) = self.record_mut(collection) {
            record.set(name, Some(value.to_vec()));
            self.trace(|_| Event::VariableSet { collection, name, value });
        }
    }

    /// What `setvar` adds, takes away or sets.
    fn operand<'r>(&self, ruleset: &Ruleset, rule: &Rule, value: &'r Template) -> Operand<'r> {
        if let Some(literal) = value.as_literal() {
            return Operand::Text(literal.into());
        }
        // Scores are added up all the time; they need not be written out and read again.
        if let [Piece::Tx(slot)] = value.pieces()
            && let Some(Value::Number(number @ 0..USUAL_NUMBERS)) = self.tx.get(*slot)
        {
            return Operand::Number(*number);
        }
        Operand::Text(self.expanded(ruleset, rule, value).into())
    }

    fn set_variable(
        &mut self,
        ruleset: &Ruleset,
        rule: &Rule,
        collection: Collection,
        key: &Key,
        op: SetVarOp,
        operand: &Operand<'_>,
    ) {
        let result = |current: i64| match op {
            SetVarOp::Set => Some(operand.value()),
            SetVarOp::Add => Some(Value::Number(current.saturating_add(operand.number()))),
            SetVarOp::Sub => Some(Value::Number(current.saturating_sub(operand.number()))),
            SetVarOp::Unset => None,
        };
        if collection == Collection::Tx {
            let slot = match key {
                Key::Slot(slot) => Some(*slot),
                Key::Name(name) => {
                    let name = self.expanded(ruleset, rule, name);
                    self.tx.find_or_add(&ruleset.tx_names, &name)
                }
            };
            if let Some(slot) = slot {
                let current = self.tx.get(slot).map_or(0, Value::number);
                let value = result(current);
                if self.trace.is_some() {
                    let text = value.as_ref().map(text_of).unwrap_or_default();
                    let name = self.tx.spelling(&ruleset.tx_names, slot);
                    self.trace(|_| Event::VariableSet { collection, name, value: &text });
                }
                self.tx.set(slot, value);
            }
            return;
        }
        let name = match key {
            Key::Slot(slot) => ruleset.tx_names.spelling(*slot).to_vec(),
            Key::Name(name) => self.expanded(ruleset, rule, name),
        };
        if self.record(collection).is_none() && op != SetVarOp::Unset {
            // Without `initcol` there is no key to keep the value under: it lives as long as the transaction.
            self.unkept.push(OpenRecord::new(collection, Vec::new(), None, self.unix_time));
        }
        if let Some(record) = self.record_mut(collection) {
            match op {
                SetVarOp::Add => record.add(&name, operand.number()),
                SetVarOp::Sub => record.add(&name, operand.number().saturating_neg()),
                SetVarOp::Set | SetVarOp::Unset => record.set(&name, result(0).map(|value| text_of(&value))),
            }
            let value = record.get(&name).map(<[u8]>::to_vec);
            self.trace(|_| Event::VariableSet {
                collection,
                name: &name,
                value: value.as_deref().unwrap_or_default(),
            });
        }
    }

    fn record_mut(&mut self, collection: Collection) -> Option<&mut OpenRecord> {
        let records = self.records.iter_mut().chain(&mut self.unkept);
        records.into_iter().find(|record| record.collection == collection)
    }

    /// Opens a record; a collection that is open already stays as it is, though SESSIONID and USERID tell
    /// the last key.
    fn open_record(&mut self, collection: Collection, mut key: Vec<u8>) {
        key.truncate(KEY_LIMIT);
        match collection {
            Collection::Session => self.set(Variable::SessionId, &key),
            Collection::User => self.set(Variable::UserId, &key),
            _ => {}
        }
        let is_open = self.records.iter().any(|record| record.collection == collection);
        if is_open || self.records.len() >= RECORDS_LIMIT {
            return;
        }
        self.trace(|_| Event::RecordOpened { collection, key: &key });
        let known = self.store.as_ref().and_then(|store| store.load(collection, &key, self.unix_time));
        self.records.push(OpenRecord::new(collection, key, known, self.unix_time));
    }

    fn set_env(&mut self, name: &[u8], value: Option<&[u8]>) {
        self.trace(|_| Event::EnvironmentSet { name, value: value.unwrap_or_default() });
        let texts = &self.texts;
        self.collections.env.retain(|field| texts.bytes(field.name) != name);
        if let Some(value) = value {
            let field = self.field(name, value);
            self.collections.env.push(field);
        }
    }

    fn control(&mut self, ruleset: &Ruleset, control: &Control) {
        match control {
            Control::Engine(mode) => self.engine = *mode,
            Control::AuditEngine(mode) => self.audit_engine = *mode,
            Control::AuditLogParts(change) => {
                self.audit_log_parts = match change {
                    PartsChange::Set(parts) => *parts,
                    PartsChange::Add(parts) => self.audit_log_parts.with(*parts),
                    PartsChange::Remove(parts) => self.audit_log_parts.without(*parts),
                };
            }
            Control::DebugLogLevel(level) => self.trace(|_| Event::DebugLogLevel(*level)),
            Control::ForceRequestBodyVariable(on) => self.force_request_body = *on,
            Control::ForceResponseBodyVariable(on) => self.force_response_body = *on,
            Control::RequestBodyAccess(on) => self.request_body_access = *on,
            Control::RequestBodyLimit(bytes) => self.request_body_limit = *bytes,
            Control::RequestBodyProcessor(processor) => self.choose_processor(*processor),
            Control::ResponseBodyAccess(on) => self.response_body_access = *on,
            Control::ResponseBodyLimit(bytes) => self.response_body_limit = *bytes,
            Control::ResponseBodyProcessor(processor) => self.choose_response_processor(*processor),
            Control::XmlIntoArgs(mode) => self.xml_into_args = *mode,
            Control::RemoveRules(rules) => {
                // What was folded took these rules for granted.
                self.scans &= !rules.intersects(&ruleset.relied_on);
                self.changes.remove(rules);
            }
            Control::RemoveTarget(rules, variable, selector) => {
                self.scans &= *variable != Variable::Tx;
                self.changes.remove_target(rules, *variable, selector);
            }
        }
    }
}

/// What `setvar` works with.
enum Operand<'r> {
    Text(Cow<'r, [u8]>),
    /// A number that is one in its usual spelling, too.
    Number(i64),
}

impl Operand<'_> {
    fn number(&self) -> i64 {
        match self {
            Self::Text(text) => number(text),
            Self::Number(number) => *number,
        }
    }

    fn value(&self) -> Value {
        match self {
            Self::Text(text) => value_of(text),
            Self::Number(number) => Value::Number(*number),
        }
    }
}

/// From here on digits are kept as text.
const USUAL_NUMBERS: i64 = 1_000_000_000_000_000_000;

/// Numbers in their usual spelling are kept as numbers.
pub(crate) fn value_of(text: &[u8]) -> Value {
    let is_plain = match text {
        [b'0'] => true,
        [b'1'..=b'9', rest @ ..] => rest.len() < 18 && rest.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    if is_plain { Value::Number(number(text)) } else { Value::Text(text.to_vec()) }
}

fn text_of(value: &Value) -> Vec<u8> {
    let mut text = Vec::new();
    value.write(&mut text);
    text
}
