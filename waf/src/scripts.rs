//! What a script of a rule sees of the transaction, and what it may do to it.

use hop3_lua::{Host, Script};
use hop3_seclang::ast::{Collection, Variable};
use hop3_transformations::Transformation;

use crate::rule::{Rule, Selector, Target};
use crate::rule_match::RuleMatch;
use crate::ruleset::Ruleset;
use crate::state::State;
use crate::trace::Event;

/// Most values of a variable that a script is given, and most of their bytes.
const VALUES_LIMIT: usize = 10_000;
const BYTES_LIMIT: usize = 1 << 20;

impl State {
    /// Runs a script; whether it says that the rule matches.
    pub(crate) fn run_script(
        &mut self,
        ruleset: &Ruleset,
        rule: &Rule,
        script: &Script,
        value: Option<&[u8]>,
    ) -> Result<bool, String> {
        self.trace(|_| Event::ScriptStarted { name: script.name(), value });
        let mut left = self.script_instructions;
        let result = script.run(&mut Scene { state: self, ruleset, rule }, value, &mut left);
        self.script_instructions = left;
        result.map(|text| text.is_some()).map_err(|error| {
            let reason = format!("the script `{}` failed: {error}", script.name());
            self.trace(|_| Event::ScriptFailed { reason: &reason });
            reason
        })
    }

    /// `exec`: a script that fails has not done what the rule relies on, so the
    /// transaction is refused, and the reason logged.
    pub(crate) fn execute(&mut self, ruleset: &Ruleset, rule: &Rule, script: &Script) {
        if let Err(reason) = self.run_script(ruleset, rule, script, None) {
            self.refuse(rule.phase, 500, &reason);
            let disruptive = self.interruption.is_some();
            // Once is enough: a rule may fail for each of many values.
            if !self.matches.last().is_some_and(|last| last.rule_id == rule.id && last.message == reason) {
                self.matches.push(RuleMatch::of_engine(rule, reason, disruptive));
            }
        }
    }
}

struct Scene<'s> {
    state: &'s mut State,
    ruleset: &'s Ruleset,
    rule: &'s Rule,
}

impl Host for Scene<'_> {
    fn log(&mut self, level: i64, text: &[u8]) {
        self.state.trace(|_| Event::ScriptLog { level, text });
    }

    fn variables(&mut self, name: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
        let Some(target) = target(name) else { return Vec::new() };
        let mut found = Vec::new();
        self.state.select(self.ruleset, self.rule, &target, &mut found);
        let texts = &self.state.texts;
        let mut room = BYTES_LIMIT;
        let mut values = Vec::new();
        for one in found.iter().take(VALUES_LIMIT) {
            let value = texts.bytes(one.value);
            let Some(left) = room.checked_sub(value.len()) else { break };
            room = left;
            let mut name = Vec::new();
            one.write_name(texts, &mut name);
            values.push((name, value.to_vec()));
        }
        values
    }

    fn transform(&mut self, name: &str, value: &[u8]) -> Option<Vec<u8>> {
        let transformation = Transformation::from_name(name)?;
        let mut out = Vec::new();
        let context = self.ruleset.settings.transformation_context();
        let changed = transformation.apply(value, &mut out, &context);
        Some(if changed { out } else { value.to_vec() })
    }

    fn set(&mut self, name: &[u8], value: &[u8]) -> Result<(), String> {
        let shown = String::from_utf8_lossy(name);
        let Some(dot) = memchr::memchr(b'.', name) else {
            return Err(format!("m.setvar: `{shown}` has no collection, as in `tx.name`"));
        };
        let variable = std::str::from_utf8(&name[..dot]).ok().and_then(Variable::from_name);
        let is_meant = |known: &&Collection| variable == Some(known.variable());
        let Some(collection) = Collection::ALL.iter().find(is_meant) else {
            return Err(format!("m.setvar: `{shown}` is in no collection that can be set"));
        };
        self.state.store(self.ruleset, *collection, &name[dot + 1..], value);
        Ok(())
    }
}

/// `ARGS`, `ARGS.id`, `ARGS:id`.
fn target(name: &[u8]) -> Option<Target> {
    let at = name.iter().position(|byte| matches!(byte, b'.' | b':'));
    let (variable, key) = match at {
        Some(at) => (&name[..at], Some(&name[at + 1..])),
        None => (name, None),
    };
    let variable = Variable::from_name(std::str::from_utf8(variable).ok()?)?;
    let selector = match key {
        None => Selector::All,
        Some(_) if !variable.is_collection() => return None,
        Some(b"/*") if matches!(variable, Variable::Xml | Variable::RequestXml) => Selector::XmlText,
        Some(b"//@*") if matches!(variable, Variable::Xml | Variable::RequestXml) => Selector::XmlAttributes,
        Some(key) => Selector::Name(key.into()),
    };
    Some(Target { variable, selector, count: false, exclusions: Vec::new() })
}
