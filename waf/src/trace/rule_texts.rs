//! What a debug log says about rules and no event repeats: operators, targets, actions.

use std::collections::HashMap;

use hop3_seclang::Document;
use hop3_seclang::ast::{
    Action, AllowScope, Condition, Ctl, DirectiveKind, EngineMode, OperatorName, Rule, Selector,
};
use hop3_seclang::source::Located;

use crate::ruleset::Ruleset;

/// The texts of a ruleset's rules, made once and shared by all its transactions.
#[derive(Debug)]
pub struct RuleTexts {
    rules: HashMap<u64, RuleText>,
    /// Lines about rules that directives have removed.
    pub(super) removed: Vec<String>,
    /// Whether a rule removes others by tag.
    pub(super) removes_by_tag: bool,
    pub(super) web_app_id: String,
    pub(super) masks_secrets: bool,
    pub(super) level: u8,
    /// `SecArgumentsLimit`.
    pub(super) arguments_limit: usize,
    /// `SecRequestBodyAccess`.
    pub(super) request_body_access: bool,
}

#[derive(Debug)]
struct RuleText {
    /// The head first; `None` for `SecAction`.
    links: Vec<Option<LinkText>>,
    /// What is told of each link's actions for every value that matches.
    independent: Vec<Vec<String>>,
    /// What is told of the head's actions when the rule matched: level and line.
    actions: Vec<(u8, String)>,
    /// Whether the head itself says what is to be done with the request.
    is_disruptive: bool,
    /// `xmlns` of the head: lines about namespaces.
    namespaces: Vec<String>,
}

/// The condition of a link.
#[derive(Debug)]
pub(super) struct LinkText {
    pub(super) operator: OperatorName,
    /// Its argument as written.
    pub(super) argument: String,
    /// Whether the argument has no macros.
    pub(super) is_literal: bool,
    /// Whether what it does not find is a match.
    pub(super) negated: bool,
    /// Its targets as written, `|` between them.
    pub(super) targets: String,
    /// Whether one of them is an XPath expression.
    reads_xml: bool,
}

impl RuleTexts {
    /// For the rules of `document`, from which `ruleset` was compiled.
    pub fn new(document: &Document, ruleset: &Ruleset) -> Self {
        let text = |rule: &Rule| RuleText {
            links: std::iter::once(rule.condition.as_ref())
                .chain(rule.links.iter().map(|link| link.condition.as_ref()))
                .map(|condition| condition.map(|condition| LinkText::new(document, condition)))
                .collect(),
            independent: std::iter::once(&rule.actions)
                .chain(rule.links.iter().map(|link| &link.actions))
                .map(|actions| independent(actions))
                .collect(),
            actions: actions(document, rule, ruleset.settings().engine),
            is_disruptive: rule
                .actions
                .iter()
                .any(|action| disruptive(&action.node).is_some() && !matches!(action.node, Action::Block)),
            namespaces: namespaces(rule),
        };
        let settings = ruleset.settings();
        Self {
            rules: document.rules().map(|rule| (rule.id, text(rule))).collect(),
            removed: removed(document, ruleset),
            removes_by_tag: document.rules().any(removes_by_tag),
            web_app_id: match settings.web_app_id.as_str() {
                "default" => String::new(),
                id => id.to_owned(),
            },
            masks_secrets: settings.mask_secrets,
            level: settings.debug_log.level,
            arguments_limit: settings.arguments_limit,
            request_body_access: settings.request_body_access,
        }
    }

    /// The condition of a link, from 0; `None` for `SecAction` and rules nobody knows.
    pub(super) fn link(&self, rule_id: u64, position: usize) -> Option<&LinkText> {
        self.rules.get(&rule_id)?.links.get(position)?.as_ref()
    }

    /// Whether a rule has a link at this position, from 0.
    pub(super) fn has_link(&self, rule_id: u64, position: usize) -> bool {
        self.rules.get(&rule_id).is_some_and(|rule| position < rule.links.len())
    }

    /// Whether a rule itself says what is to be done with the request.
    pub(super) fn is_disruptive(&self, rule_id: u64) -> bool {
        self.rules.get(&rule_id).is_some_and(|rule| rule.is_disruptive)
    }

    /// What is told of a link's actions for every value that matches.
    pub(super) fn independent(&self, rule_id: u64, position: usize) -> &[String] {
        let rule = self.rules.get(&rule_id);
        rule.and_then(|rule| rule.independent.get(position)).map_or(&[], |lines| lines)
    }

    /// What is told of the namespaces of a rule whose link reads XML.
    pub(super) fn namespaces(&self, rule_id: u64, position: usize) -> &[String] {
        let reads_xml = self.link(rule_id, position).is_some_and(|link| link.reads_xml);
        self.rules.get(&rule_id).filter(|_| reads_xml).map_or(&[], |rule| &rule.namespaces)
    }

    /// What is told of a rule's actions when it matched.
    pub(super) fn actions(&self, rule_id: u64) -> &[(u8, String)] {
        self.rules.get(&rule_id).map_or(&[], |rule| &rule.actions)
    }
}

impl LinkText {
    fn new(document: &Document, condition: &Condition) -> Self {
        let operator = &condition.operator.node;
        let target = |span| String::from_utf8_lossy(document.sources.text(span)).into_owned();
        let targets: Vec<String> = condition.targets.iter().map(|one| target(one.span)).collect();
        Self {
            operator: operator.name,
            argument: operator.argument.raw_str().into_owned(),
            negated: operator.negated,
            is_literal: operator.argument.as_literal().is_some(),
            reads_xml: condition.targets.iter().any(|one| matches!(one.selector, Some(Selector::XPath(_)))),
            targets: targets.join("|"),
        }
    }
}

fn namespaces(rule: &Rule) -> Vec<String> {
    let told = rule.actions.iter().filter_map(|action| match &action.node {
        Action::Xmlns { prefix, uri } => {
            Some(format!("Registered XML namespace href \"{uri}\" prefix \"{prefix}\""))
        }
        _ => None,
    });
    told.collect()
}

fn independent(actions: &[Located<Action>]) -> Vec<String> {
    let set = actions.iter().filter(|action| matches!(action.node, Action::SetVar(_)));
    set.map(|_| "Running [independent] (non-disruptive) action: setvar".to_owned()).collect()
}

fn actions(document: &Document, rule: &Rule, engine: EngineMode) -> Vec<(u8, String)> {
    let mut told = Vec::new();
    for action in &rule.actions {
        let written = String::from_utf8_lossy(document.sources.text(action.span));
        let name = written.split(':').next().unwrap_or_default();
        if let Some(line) = disruptive(&action.node) {
            if engine == EngineMode::On {
                told.push((4, format!("Running (disruptive)     action: {name}.")));
                told.extend(line.map(|(level, line)| (level, line.to_owned())));
            } else {
                let what = "Not running any disruptive action (or block)";
                told.push((4, format!("{what}: {name}. SecRuleEngine is not On.")));
            }
            continue;
        }
        let line = match &action.node {
            Action::Log | Action::NoLog | Action::AuditLog | Action::NoAuditLog => None,
            Action::Skip(count) => Some((5, format!("Skipping the next {count} rules."))),
            Action::SkipAfter(marker) => Some((5, format!("Setting skipAfter for: {marker}"))),
            Action::ExpireVar { collection, key, seconds } => {
                let name = format!("{}.{}", collection.name(), key.raw_str());
                Some((9, format!("Setting variable `{name}' to expire in {} seconds.", seconds.raw_str())))
            }
            Action::Ctl(_)
            | Action::InitCol { .. }
            | Action::SetEnv { .. }
            | Action::SetRsc(_)
            | Action::SetSid(_)
            | Action::SetUid(_)
            | Action::Exec { .. } => None,
            _ => continue,
        };
        told.push((9, format!("Running action: {name}")));
        told.extend(line);
    }
    told
}

/// Whether an action says what is to be done with the request, and what it tells when it runs.
fn disruptive(action: &Action) -> Option<Option<(u8, &'static str)>> {
    Some(match action {
        Action::Pass => Some((8, "Running action pass")),
        Action::Deny => Some((8, "Running action deny")),
        Action::Drop => Some((8, "Running action drop [executing deny instead of drop.]")),
        Action::Block => Some((8, "Marking request as disruptive.")),
        Action::Redirect(_) => None,
        Action::Allow(scope) => Some((4, allowed(*scope))),
        _ => return None,
    })
}

fn allowed(scope: AllowScope) -> &'static str {
    match scope {
        AllowScope::Phase => {
            "Dropping the evaluation of upcoming rules in favor of an `allow' action of type: Phase"
        }
        AllowScope::Request => {
            "Dropping the evaluation of upcoming rules in favor of an `allow' action of type: Request"
        }
        AllowScope::All => {
            "Dropping the evaluation of upcoming rules in favor of an `allow' action of type: FromNowOn"
        }
    }
}

fn removed(document: &Document, ruleset: &Ruleset) -> Vec<String> {
    let left: std::collections::HashSet<u64> = ruleset.rule_ids().collect();
    let ways = document.directives.iter().filter_map(|directive| match &directive.kind {
        DirectiveKind::RuleRemoveById(_) => Some("an SecRuleRemove directive."),
        DirectiveKind::RuleRemoveByMsg(_) => Some("a SecRuleRemoveByMsg directive."),
        DirectiveKind::RuleRemoveByTag(_) => Some("a SecRuleRemoveByTag directive."),
        _ => None,
    });
    let ways: std::collections::BTreeSet<&str> = ways.collect();
    let gone = document.rules().filter(|rule| !left.contains(&rule.id));
    gone.flat_map(|rule| {
        ways.iter().map(|way| format!("Skipped rule id '{}'. Removed by {way}", rule.id)).collect::<Vec<_>>()
    })
    .collect()
}

fn removes_by_tag(rule: &Rule) -> bool {
    let actions = rule.actions.iter().chain(rule.links.iter().flat_map(|link| &link.actions));
    actions.into_iter().any(|action| matches!(&action.node, Action::Ctl(Ctl::RuleRemoveByTag(_))))
}
