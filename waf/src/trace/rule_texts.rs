//! What a debug log says about rules and no event repeats: operators, targets, actions.

use std::collections::HashMap;

use hop3_seclang::Document;
use hop3_seclang::ast::{Action, Condition, Ctl, DirectiveKind, OperatorName, Rule, Selector};

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
}

#[derive(Debug)]
struct RuleText {
    /// The head first; `None` for `SecAction`.
    links: Vec<Option<LinkText>>,
    /// What is told of the head's actions when the rule matched: level and line.
    actions: Vec<(u8, String)>,
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
            actions: actions(document, rule),
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
        }
    }

    /// The condition of a link, from 0; `None` for `SecAction` and rules nobody knows.
    pub(super) fn link(&self, rule_id: u64, position: usize) -> Option<&LinkText> {
        self.rules.get(&rule_id)?.links.get(position)?.as_ref()
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

fn actions(document: &Document, rule: &Rule) -> Vec<(u8, String)> {
    let told = rule.actions.iter().filter_map(|action| match &action.node {
        Action::Log | Action::NoLog | Action::AuditLog | Action::NoAuditLog => {
            let name = String::from_utf8_lossy(document.sources.text(action.span));
            Some((9, format!("Running action: {name}")))
        }
        Action::Pass => Some((8, "Running action pass".to_owned())),
        Action::Block => Some((8, "Marking request as disruptive.".to_owned())),
        _ => None,
    });
    told.collect()
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
