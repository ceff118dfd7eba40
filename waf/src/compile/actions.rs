//! Actions of rules: default actions joined, run-time actions prepared.

use hop3_seclang::ast::{self, Action as Said, Collection, Phase, Transformation as Named, Variable};
use hop3_seclang::diagnostic::Diagnostic;
use hop3_seclang::source::{Located, Span};
use hop3_transformations::Transformation;

use super::Compiler;
use super::draft::{Draft, DraftLink};
use crate::inspection::Inspection;
use crate::masking::Sanitise;
use crate::operators::Operator;
use crate::rule::{Action, Condition, Disruptive, Key, Link, Rule, RuleBody, RuleIndex, Selector, Target};
use crate::template::Template;

impl Compiler<'_> {
    /// Compiles one draft.
    pub(super) fn rule(
        &mut self,
        index: usize,
        draft: &Draft,
        drafts: &[Draft],
        flow: Option<usize>,
    ) -> Rule {
        let (file, line) = match self.document.sources.locate(draft.span) {
            Some((_, position)) => (self.file(draft.span.file), position.line),
            None => ("".into(), 0),
        };
        let links =
            draft.links.iter().enumerate().map(|(depth, link)| self.link_of(draft, depth, link, drafts));
        let links = links.collect::<Vec<_>>().into_boxed_slice();
        let mut rule = RuleBody {
            id: draft.id,
            phase: draft.phase,
            file,
            line,
            links,
            disruptive: Disruptive::Pass,
            status: None,
            log: true,
            audit: true,
            message: None,
            log_data: None,
            severity: None,
            tags: Box::default(),
            revision: String::new(),
            version: String::new(),
            maturity: 0,
            accuracy: 0,
        };
        self.describe(&mut rule, draft);
        self.decide(&mut rule, draft);
        Rule { index: RuleIndex(index as u32), flow, body: self.parts.rule(rule) }
    }

    fn link_of(&mut self, draft: &Draft, depth: usize, link: &DraftLink, drafts: &[Draft]) -> Link {
        let defaults: &[Located<Said>] = if depth == 0 { draft.defaults } else { &[] };
        let said: Vec<&Located<Said>> = defaults.iter().chain(link.actions.iter()).collect();
        let namespaces = said.iter().filter_map(|action| match &action.node {
            Said::Xmlns { prefix, uri } => Some((prefix.clone(), uri.clone())),
            _ => None,
        });
        let namespaces: Vec<_> = namespaces.collect();
        let condition = link.operator.as_ref().and_then(|operator| {
            let mut targets = self.targets(&link.targets, &namespaces);
            let compiled = self.operator(draft.id, operator)?;
            let compiled = self.suit(&mut targets, compiled, operator.span)?;
            Some(Condition {
                targets,
                transformations: transformations(draft.defaults, &link.actions),
                operator: compiled,
                negated: operator.negated,
                shown_name: shown_name(operator),
                shown_argument: Template::compile(&operator.argument, &mut self.names),
            })
        });
        let mut actions = Vec::new();
        for action in &said {
            actions.extend(self.action(action, drafts));
        }
        Link {
            condition,
            capture: said.iter().any(|action| matches!(action.node, Said::Capture)),
            multi_match: said.iter().any(|action| matches!(action.node, Said::MultiMatch)),
            actions: actions.into(),
        }
    }

    /// Operators that look at the whole transaction, with targets that suit them.
    fn suit(&mut self, targets: &mut Box<[Target]>, operator: Operator, span: Span) -> Option<Operator> {
        match operator {
            Operator::Inspection(Inspection::Xml(validation)) => {
                self.settings.needs_xml_tree = true;
                let is_xml = |target: &Target| {
                    matches!(target.variable, Variable::Xml | Variable::RequestXml)
                        && matches!(target.selector, Selector::All)
                };
                if !targets.iter().all(is_xml) {
                    let message = "XML is validated as a whole: the variable has to be `XML`";
                    self.errors.push(Diagnostic::error(span, message));
                    return None;
                }
                targets.iter_mut().for_each(|target| target.selector = Selector::XmlDocument);
                Some(Operator::Inspection(Inspection::Xml(validation)))
            }
            Operator::Inspection(Inspection::Script { script, .. }) if targets.is_empty() => {
                // SecRuleScript: asked once, about no value.
                let (variable, selector) = (Variable::UniqueId, Selector::All);
                *targets = Box::new([Target { variable, selector, count: false, exclusions: Vec::new() }]);
                Some(Operator::Inspection(Inspection::Script { script, with_value: false }))
            }
            operator => Some(operator),
        }
    }

    /// An action that runs for each matching value; `None` for all others.
    fn action(&mut self, action: &Located<Said>, drafts: &[Draft]) -> Option<Action> {
        let names = &mut self.names;
        let mut template = |text: &ast::Template| Template::compile(text, names);
        Some(match &action.node {
            Said::SetVar(set) => {
                let value = template(&set.value);
                let key = match (set.collection, set.key.as_literal()) {
                    (Collection::Tx, Some(name)) => Key::Slot(names.intern(name)),
                    _ => Key::Name(Template::compile(&set.key, names)),
                };
                Action::SetVar { collection: set.collection, key, op: set.op, value }
            }
            Said::ExpireVar { collection, key, seconds } => {
                if *collection == Collection::Tx {
                    let message = "TX ends with the transaction: `expirevar` has no effect on it";
                    self.warnings.push(Diagnostic::warning(action.span, message));
                    return None;
                }
                Action::ExpireVar { collection: *collection, key: template(key), seconds: template(seconds) }
            }
            Said::InitCol { collection, key } => {
                Action::InitCol { collection: *collection, key: template(key) }
            }
            Said::SetSid(key) => Action::InitCol { collection: Collection::Session, key: template(key) },
            Said::SetRsc(key) => Action::InitCol { collection: Collection::Resource, key: template(key) },
            Said::SetUid(key) => Action::InitCol { collection: Collection::User, key: template(key) },
            Said::SetEnv { name, value } => {
                Action::SetEnv { name: template(name), value: value.as_ref().map(&mut template) }
            }
            Said::Ctl(ctl) => Action::Control(self.control(ctl, action.span, drafts)?),
            Said::Exec { path, script } => Action::Script(self.script(script, path, action.span)?),
            Said::DeprecateVar { collection, key, amount, seconds } => {
                if *collection == Collection::Tx {
                    let message = "TX ends with the transaction: `deprecatevar` has no effect on it";
                    self.warnings.push(Diagnostic::warning(action.span, message));
                    return None;
                }
                let (amount, seconds) = (*amount, *seconds);
                Action::DeprecateVar { collection: *collection, key: template(key), amount, seconds }
            }
            Said::SanitiseArg(name) => Action::Sanitise(Sanitise::Argument(name.as_bytes().into())),
            Said::SanitiseRequestHeader(name) => {
                Action::Sanitise(Sanitise::RequestHeader(name.as_bytes().into()))
            }
            Said::SanitiseResponseHeader(name) => {
                Action::Sanitise(Sanitise::ResponseHeader(name.as_bytes().into()))
            }
            Said::SanitiseMatched => Action::Sanitise(Sanitise::Matched),
            Said::SanitiseMatchedBytes(span) => Action::Sanitise(Sanitise::MatchedBytes {
                keep_start: span.map_or(0, |span| span.keep_start as usize),
                keep_end: span.map_or(0, |span| span.keep_end as usize),
            }),
            Said::Pause(_) | Said::Append(_) | Said::Prepend(_) => {
                let message = "this action has no effect in this engine";
                self.warnings.push(Diagnostic::warning(action.span, message));
                return None;
            }
            _ => return None,
        })
    }

    /// Message, tags and the other things that only describe the rule.
    fn describe(&mut self, rule: &mut RuleBody, draft: &Draft) {
        let mut tags = Vec::new();
        let defaults = draft.defaults.iter().map(|action| &action.node);
        for action in defaults.chain(draft.head()) {
            match action {
                Said::Msg(message) => rule.message = Some(Template::compile(message, &mut self.names)),
                Said::LogData(data) => rule.log_data = Some(Template::compile(data, &mut self.names)),
                Said::Tag(tag) => tags.push(self.tag(tag)),
                Said::Severity(severity) => rule.severity = Some(*severity),
                Said::Rev(text) => rule.revision.clone_from(text),
                Said::Ver(text) => rule.version.clone_from(text),
                Said::Maturity(number) => rule.maturity = *number,
                Said::Accuracy(number) => rule.accuracy = *number,
                Said::Log => (rule.log, rule.audit) = (true, true),
                Said::NoLog => (rule.log, rule.audit) = (false, false),
                Said::AuditLog => rule.audit = true,
                Said::NoAuditLog => rule.audit = false,
                _ => {}
            }
        }
        rule.tags = tags.into();
    }

    /// A tag, which most often other rules have as well.
    fn tag(&mut self, tag: &ast::Template) -> Template {
        let Some(text) = tag.as_literal() else { return Template::compile(tag, &mut self.names) };
        let names = &mut self.names;
        self.tags.entry(text.into()).or_insert_with(|| Template::compile(tag, names)).clone()
    }

    /// Disruptive action and status; `block` and saying nothing mean the default action's.
    fn decide(&mut self, rule: &mut RuleBody, draft: &Draft) {
        let decides = |action: &&Said| action.is_disruptive() && **action != Said::Block;
        let default = draft.defaults.iter().rev().map(|action| &action.node).find(decides);
        let said = draft.links.iter().flat_map(|link| link.actions.iter()).map(|action| &action.node);
        let said = said.rev().find(|action| action.is_disruptive());
        let action = match said {
            // In v3 the default action's is only for those that say `block`.
            None if self.settings.as_v3 => None,
            None | Some(Said::Block) => default,
            said => said,
        };
        rule.disruptive = match action {
            Some(Said::Deny) => Disruptive::Deny,
            Some(Said::Drop) => Disruptive::Drop,
            Some(Said::Redirect(url)) => Disruptive::Redirect(Template::compile(url, &mut self.names)),
            Some(Said::Proxy(url)) => Disruptive::Proxy(Template::compile(url, &mut self.names)),
            Some(Said::Allow(scope)) => Disruptive::Allow(*scope),
            _ => Disruptive::Pass,
        };
        if draft.phase == Phase::Logging && matches!(rule.disruptive, Disruptive::Deny | Disruptive::Drop) {
            let message = format!("rule {} is in phase 5, which cannot interrupt", rule.id);
            self.warnings.push(Diagnostic::warning(draft.span, message));
        }
        let defaults = draft.defaults.iter().map(|action| &action.node);
        for action in
            defaults.chain(draft.links.iter().flat_map(|link| link.actions.iter()).map(|action| &action.node))
        {
            if let Said::Status(status) = action {
                rule.status = Some(*status);
            }
        }
    }
}

/// The default action's transformations and the link's own; `t:none` clears all before it.
fn transformations(defaults: &[Located<Said>], own: &[Located<Said>]) -> Box<[Transformation]> {
    let mut list = Vec::new();
    for action in defaults.iter().chain(own) {
        match &action.node {
            Said::Transformation(Named::None) => list.clear(),
            Said::Transformation(named) => list.extend(Transformation::from_name(named.name())),
            _ => {}
        }
    }
    list.into()
}

/// The operator's name as ModSecurity v3 spells it in its log.
fn shown_name(operator: &ast::Operator) -> Box<str> {
    let name = match operator.name {
        ast::OperatorName::StrEq => "StrEq",
        ast::OperatorName::StrMatch => "StrMatch",
        other => other.name(),
    };
    let mut name = name.to_owned();
    name[..1].make_ascii_uppercase();
    name.into()
}
