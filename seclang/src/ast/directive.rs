//! Directives and the document they make.

use std::sync::Arc;

use super::{Action, Rule, Setting, Target};
use crate::diagnostic::Diagnostic;
use crate::source::{Located, Sources, Span};

/// Everything that one or more files say, in order, includes resolved.
#[derive(Clone, Debug)]
pub struct Document {
    /// The directives in the order in which they take effect.
    pub directives: Vec<Directive>,
    /// The files they came from.
    pub sources: Arc<Sources>,
    /// What is allowed but probably not meant.
    pub warnings: Vec<Diagnostic>,
}

impl Document {
    /// The rules (`SecRule` and `SecAction`) in order; chains count as one.
    pub fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.directives.iter().filter_map(|directive| match &directive.kind {
            DirectiveKind::Rule(rule) => Some(&**rule),
            _ => None,
        })
    }

    /// The settings in order.
    pub fn settings(&self) -> impl Iterator<Item = &Setting> {
        self.directives.iter().filter_map(|directive| match &directive.kind {
            DirectiveKind::Setting(setting) => Some(setting),
            _ => None,
        })
    }
}

/// Two documents are equal when they say the same; places and warnings do not count.
impl PartialEq for Document {
    fn eq(&self, other: &Self) -> bool {
        self.directives == other.directives
    }
}

/// One directive.
#[derive(Clone, Debug)]
pub struct Directive {
    /// From its name to the end of its last argument.
    pub span: Span,
    /// What it says.
    pub kind: DirectiveKind,
}

impl PartialEq for Directive {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind
    }
}

/// What a directive says. `Include` is resolved by the parser and never appears.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum DirectiveKind {
    /// `SecRule` or `SecAction` with its chain.
    Rule(Arc<Rule>),
    /// `SecMarker NAME`.
    Marker(String),
    /// `SecDefaultAction`: has a phase and a disruptive action.
    DefaultAction(Vec<Located<Action>>),
    /// `SecRuleRemoveById`.
    RuleRemoveById(Vec<IdRange>),
    /// `SecRuleRemoveByTag`: a regular expression, or text, on the rules' tags.
    RuleRemoveByTag(Vec<Located<String>>),
    /// `SecRuleRemoveByMsg`: a regular expression, or text, on the rules' messages.
    RuleRemoveByMsg(Vec<Located<String>>),
    /// `SecRuleUpdateTargetById`.
    RuleUpdateTargetById {
        /// Which rules.
        ids: Vec<IdRange>,
        /// Added, or taken away with `!`.
        targets: Vec<Located<Target>>,
        /// Coraza and v2: targets that the new ones take the place of.
        replaced: Vec<Located<Target>>,
    },
    /// `SecRuleUpdateTargetByTag`.
    RuleUpdateTargetByTag {
        /// The rules with this tag.
        tag: Located<String>,
        /// Added, or taken away with `!`.
        targets: Vec<Located<Target>>,
        /// Targets that the new ones take the place of.
        replaced: Vec<Located<Target>>,
    },
    /// `SecRuleUpdateTargetByMsg`.
    RuleUpdateTargetByMsg {
        /// The rules with this message.
        msg: Located<String>,
        /// Added, or taken away with `!`.
        targets: Vec<Located<Target>>,
        /// Targets that the new ones take the place of.
        replaced: Vec<Located<Target>>,
    },
    /// `SecRuleUpdateActionById ID[:OFFSET]`.
    RuleUpdateActionById {
        /// Which rule.
        id: u64,
        /// 0 for the head of a chain, 1 for its first link, and so on.
        chain_offset: u32,
        /// The actions that replace or join the rule's.
        actions: Vec<Located<Action>>,
    },
    /// Every directive that configures instead of adding rules.
    Setting(Setting),
    /// Accepted without effect; the parser's warning says why. The canonical name and the
    /// arguments are kept for the formatter.
    Inert {
        /// The directive's canonical name.
        name: &'static str,
        /// Its arguments.
        arguments: Vec<String>,
    },
}

/// Rule ids from `first` to `last`, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct IdRange {
    /// The lowest.
    pub first: u64,
    /// The highest, at least `first`.
    pub last: u64,
}

impl IdRange {
    /// Whether an id lies within.
    pub const fn contains(self, id: u64) -> bool {
        self.first <= id && id <= self.last
    }
}

impl From<u64> for IdRange {
    fn from(id: u64) -> Self {
        Self { first: id, last: id }
    }
}
