//! A rule whose whole chain matched: what is told, and what is done.

use hop3_seclang::ast::{EngineMode, Phase};

use super::Next;
use crate::rule::{Disruptive, Rule};
use crate::rule_match::{MESSAGE_LIMIT, MatchedValue, RuleMatch, VALUE_LIMIT, VALUES_LIMIT};
use crate::ruleset::Ruleset;
use crate::state::State;
use crate::template::Template;
use crate::verdict::{Disruption, Interruption};

/// Most matches kept of one transaction.
const MATCHES_LIMIT: usize = 20_000;
/// Longest expanded `logdata`, in bytes.
const DATA_LIMIT: usize = 4096;
/// Longest URL of a redirect, in bytes.
const URL_LIMIT: usize = 8192;

impl State {
    /// Ends a matching rule: severity, log, disruption, flow.
    pub(super) fn complete(&mut self, ruleset: &Ruleset, rule: &Rule) -> Next {
        if let Some(severity) = rule.severity {
            self.highest_severity = Some(self.highest_severity.map_or(severity, |known| known.min(severity)));
        }
        let interruption = self.interruption_of(ruleset, rule);
        self.tell(ruleset, rule, interruption.as_ref());
        if let Some(mut interruption) = interruption {
            if let Some(last) = self.matches.last() {
                interruption.log = format!("{} [id \"{}\"]", last.message, rule.id);
            }
            self.interruption = Some(interruption);
            return Next::End;
        }
        if let Disruptive::Allow(scope) = rule.disruptive
            && rule.phase != Phase::Logging
        {
            self.allowance = Some(scope);
            return Next::End;
        }
        rule.flow.map_or(Next::Rule, Next::Jump)
    }

    /// The interruption that a rule asks for, if the engine may interrupt.
    fn interruption_of(&self, ruleset: &Ruleset, rule: &Rule) -> Option<Interruption> {
        if self.engine != EngineMode::On || rule.phase == Phase::Logging {
            return None;
        }
        let (action, url) = match &rule.disruptive {
            Disruptive::Pass | Disruptive::Allow(_) => return None,
            Disruptive::Deny => (Disruption::Deny, None),
            Disruptive::Drop => (Disruption::Drop, None),
            Disruptive::Redirect(url) => (Disruption::Redirect, Some(url)),
            Disruptive::Proxy(url) => (Disruption::Proxy, Some(url)),
        };
        let status = match (action, rule.status) {
            (Disruption::Redirect, Some(status @ 300..=399)) => status,
            (Disruption::Redirect, _) => 302,
            (_, Some(status)) => status,
            (_, None) => 403,
        };
        Some(Interruption {
            rule_id: rule.id,
            action,
            status,
            url: url.map(|url| self.text(ruleset, rule, Some(url), URL_LIMIT)),
            log: String::new(),
            phase: rule.phase.number(),
        })
    }

    /// Keeps the match, if it is logged or audited; of others only an observer learns.
    fn tell(&mut self, ruleset: &Ruleset, rule: &Rule, interruption: Option<&Interruption>) {
        if self.matches.len() >= MATCHES_LIMIT {
            return;
        }
        let is_told = rule.log || rule.audit || interruption.is_some();
        if !is_told && self.trace.is_none() {
            return;
        }
        let mut found = RuleMatch {
            rule_id: rule.id,
            phase: rule.phase.number(),
            message: String::new(),
            data: String::new(),
            severity: rule.severity,
            tags: Vec::new(),
            rule_file: rule.file.clone(),
            rule_line: rule.line,
            rev: String::new(),
            ver: String::new(),
            maturity: rule.maturity,
            accuracy: rule.accuracy,
            logged: rule.log,
            audit: rule.audit,
            disruptive: interruption.is_some(),
            status: interruption.map(|interruption| interruption.status),
            operator: String::new(),
            parameter: String::new(),
            matched: Vec::new(),
            reference: std::mem::take(&mut self.reference),
        };
        if is_told {
            self.learn_secrets();
            found.message = self.told(ruleset, rule, rule.message.as_ref(), MESSAGE_LIMIT);
            found.data = self.told(ruleset, rule, rule.log_data.as_ref(), DATA_LIMIT);
            found.tags =
                rule.tags.iter().map(|tag| self.told(ruleset, rule, Some(tag), MESSAGE_LIMIT)).collect();
            found.rev.clone_from(&rule.revision);
            found.ver.clone_from(&rule.version);
            (found.operator, found.parameter) = self.operator_of(ruleset, rule);
            found.matched = self.matched_values();
        }
        self.trace(|_| crate::trace::Event::Matched(&found));
        if is_told {
            self.matches.push(found);
        }
    }

    /// Name and expanded argument of the last operator of the chain.
    fn operator_of(&self, ruleset: &Ruleset, rule: &Rule) -> (String, String) {
        let condition = rule.links.iter().rev().find_map(|link| link.condition.as_ref());
        let Some(condition) = condition else { return Default::default() };
        let argument = self.told(ruleset, rule, Some(&condition.shown_argument), VALUE_LIMIT);
        (condition.shown_name.to_string(), argument)
    }

    fn matched_values(&self) -> Vec<MatchedValue> {
        let matched = self.matched_vars.iter().take(VALUES_LIMIT).map(|found| {
            let mut variable = Vec::new();
            found.write_name(&self.texts, &mut variable);
            variable.truncate(VALUE_LIMIT);
            MatchedValue {
                variable: String::from_utf8_lossy(&variable).into_owned(),
                value: self.shown_value(found, VALUE_LIMIT),
            }
        });
        matched.collect()
    }

    /// An expansion as it may be shown.
    fn told(&self, ruleset: &Ruleset, rule: &Rule, template: Option<&Template>, limit: usize) -> String {
        template.map_or_else(String::new, |template| self.shown(ruleset, rule, template, limit))
    }

    /// An expansion as text of limited length.
    fn text(&self, ruleset: &Ruleset, rule: &Rule, template: Option<&Template>, limit: usize) -> String {
        let Some(template) = template else { return String::new() };
        let mut bytes = self.expanded(ruleset, rule, template);
        bytes.truncate(limit);
        String::from_utf8_lossy(&bytes).into_owned()
    }
}
