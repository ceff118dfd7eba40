//! TX variables that are set and never read, or read and never set.

use std::collections::BTreeMap;

use super::{Lint, links};
use crate::ast::{
    Action, Collection, DirectiveKind, Document, MacroName, Part, Selector, Template, Variable,
};
use crate::diagnostic::Diagnostic;
use crate::source::{Located, Span};

/// Names that the engine itself sets, besides the groups `0` to `9`.
const OF_THE_ENGINE: [&str; 1] = ["msc_pcre_limits_exceeded"];

/// Appends the findings.
pub(super) fn lint(document: &Document, found: &mut Vec<Lint>) {
    let mut uses = Uses::default();
    for directive in &document.directives {
        match &directive.kind {
            DirectiveKind::Rule(rule) => {
                for (condition, actions) in links(rule) {
                    if let Some(condition) = condition {
                        condition.targets.iter().filter(|target| !target.exclude).for_each(|target| {
                            if target.variable == Variable::Tx {
                                uses.reads.selector(target.selector.as_ref(), target.span);
                            }
                        });
                        uses.macros(&condition.operator.argument, condition.operator.span);
                    }
                    actions.iter().for_each(|action| uses.action(action));
                }
            }
            DirectiveKind::DefaultAction(actions) | DirectiveKind::RuleUpdateActionById { actions, .. } => {
                actions.iter().for_each(|action| uses.action(action));
            }
            DirectiveKind::RuleUpdateTargetById { targets, .. }
            | DirectiveKind::RuleUpdateTargetByTag { targets, .. }
            | DirectiveKind::RuleUpdateTargetByMsg { targets, .. } => {
                for target in
                    targets.iter().filter(|target| !target.exclude && target.variable == Variable::Tx)
                {
                    uses.reads.selector(target.selector.as_ref(), target.span);
                }
            }
            _ => {}
        }
    }
    uses.report(found);
}

/// Names with their first place, and prefixes of names that are made at run time.
#[derive(Default)]
struct Names {
    exact: BTreeMap<String, Span>,
    prefixes: Vec<String>,
}

#[derive(Default)]
struct Uses {
    sets: Names,
    reads: Names,
}

impl Names {
    fn add(&mut self, name: &str, span: Span) {
        self.exact.entry(name.to_ascii_lowercase()).or_insert(span);
    }

    fn template(&mut self, name: &Template, span: Span) {
        match (name.as_literal(), name.parts().first()) {
            (Some(text), _) => self.add(&String::from_utf8_lossy(text), span),
            (None, Some(Part::Literal(prefix))) => {
                self.prefixes.push(String::from_utf8_lossy(prefix).to_ascii_lowercase());
            }
            (None, _) => self.prefixes.push(String::new()),
        }
    }

    fn selector(&mut self, selector: Option<&Selector>, span: Span) {
        match selector {
            Some(Selector::Key(name)) => self.add(name, span),
            Some(Selector::Regex { pattern, .. }) => self.prefixes.push(literal_prefix(pattern)),
            Some(Selector::XPath(_)) | None => self.prefixes.push(String::new()),
        }
    }

    fn contains(&self, name: &str) -> bool {
        self.exact.contains_key(name) || self.prefixes.iter().any(|prefix| name.starts_with(prefix.as_str()))
    }
}

impl Uses {
    fn action(&mut self, action: &Located<Action>) {
        use Action as A;
        let span = action.span;
        match &action.node {
            A::SetVar(set) => {
                if set.collection == Collection::Tx {
                    self.sets.template(&set.key, span);
                }
                self.macros(&set.key, span);
                self.macros(&set.value, span);
            }
            A::ExpireVar { key, seconds, .. } => {
                self.macros(key, span);
                self.macros(seconds, span);
            }
            A::SetEnv { name, value } => {
                self.macros(name, span);
                value.iter().for_each(|value| self.macros(value, span));
            }
            A::InitCol { key: text, .. }
            | A::DeprecateVar { key: text, .. }
            | A::LogData(text)
            | A::Msg(text)
            | A::Tag(text)
            | A::Redirect(text)
            | A::Proxy(text)
            | A::SetRsc(text)
            | A::SetSid(text)
            | A::SetUid(text) => self.macros(text, span),
            _ => {}
        }
    }

    fn macros(&mut self, template: &Template, span: Span) {
        for part in template.parts() {
            let Part::Macro { name: MacroName::Variable(Variable::Tx), key } = part else { continue };
            match key {
                Some(key) => self.reads.add(key, span),
                None => self.reads.prefixes.push(String::new()),
            }
        }
    }

    fn report(self, found: &mut Vec<Lint>) {
        for (name, span) in &self.sets.exact {
            if !self.reads.contains(name) {
                let message = format!("TX:{name} is set and never read");
                found.push(Lint { name: "unread-variable", diagnostic: Diagnostic::info(*span, message) });
            }
        }
        for (name, span) in &self.reads.exact {
            let is_group = name.bytes().all(|byte| byte.is_ascii_digit());
            if is_group || OF_THE_ENGINE.contains(&name.as_str()) || self.sets.contains(name) {
                continue;
            }
            let diagnostic = Diagnostic::info(*span, format!("TX:{name} is read and never set"));
            let near = crate::names::nearest(name, self.sets.exact.keys().map(String::as_str));
            found.push(Lint {
                name: "unset-variable",
                diagnostic: match near {
                    Some(near) => diagnostic.hint(format!("did you mean `TX:{near}`?")),
                    None => diagnostic,
                },
            });
        }
    }
}

/// The text that every name matching the pattern begins with; empty when that is not obvious.
fn literal_prefix(pattern: &str) -> String {
    let Some(anchored) = pattern.strip_prefix('^').filter(|rest| !rest.contains('|')) else {
        return String::new();
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-' || c == ':';
    let length = anchored.find(|c| !plain(c)).unwrap_or(anchored.len());
    // What is repeated or optional is no part of it.
    let length = match anchored[length..].chars().next() {
        Some('*' | '?' | '{') => length.saturating_sub(1),
        _ => length,
    };
    anchored[..length].to_ascii_lowercase()
}
