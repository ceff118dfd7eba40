//! Rules while later directives may still change them.

use hop3_seclang::ast::{self, Action, Phase, Target};
use hop3_seclang::source::{Located, Span};

use super::DEFAULT_PHASE;

/// A rule as read, with what was said about it since.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    pub(super) span: Span,
    pub(super) id: u64,
    pub(super) phase: Phase,
    pub(super) links: Vec<DraftLink>,
    /// The default action in force where the rule stands.
    pub(super) defaults: Vec<Located<Action>>,
    pub(super) removed: bool,
}

/// One link of a chain.
#[derive(Clone, Debug)]
pub(super) struct DraftLink {
    pub(super) targets: Vec<Located<Target>>,
    pub(super) operator: Option<Located<ast::Operator>>,
    pub(super) actions: Vec<Located<Action>>,
}

impl Draft {
    pub(super) fn new(rule: &ast::Rule, defaults: &Defaults) -> Self {
        let phase = rule.phase.unwrap_or(DEFAULT_PHASE);
        let mut links = vec![DraftLink::new(rule.condition.as_ref(), &rule.actions)];
        links.extend(rule.links.iter().map(|link| DraftLink::new(link.condition.as_ref(), &link.actions)));
        Self {
            span: rule.span,
            id: rule.id,
            phase,
            links,
            defaults: defaults.of(phase).to_vec(),
            removed: false,
        }
    }

    /// The actions of the chain's head.
    pub(super) fn head(&self) -> impl Iterator<Item = &Action> {
        self.links.first().into_iter().flat_map(|link| &link.actions).map(|action| &action.node)
    }

    /// Whether the rule has exactly this tag.
    pub(super) fn has_tag(&self, wanted: impl Fn(&[u8]) -> bool) -> bool {
        self.head().any(|action| matches!(action, Action::Tag(tag) if wanted(tag.raw())))
    }

    /// Whether the rule's message is accepted.
    pub(super) fn has_message(&self, wanted: impl Fn(&[u8]) -> bool) -> bool {
        self.head().any(|action| matches!(action, Action::Msg(message) if wanted(message.raw())))
    }
}

impl DraftLink {
    fn new(condition: Option<&ast::Condition>, actions: &[Located<Action>]) -> Self {
        Self {
            targets: condition.map(|condition| condition.targets.clone()).unwrap_or_default(),
            operator: condition.map(|condition| condition.operator.clone()),
            actions: actions.to_vec(),
        }
    }
}

/// `SecDefaultAction` of each phase.
#[derive(Clone, Debug, Default)]
pub(super) struct Defaults {
    phases: [Vec<Located<Action>>; 5],
}

impl Defaults {
    /// Takes the place of what was said for the phase before.
    pub(super) fn set(&mut self, actions: &[Located<Action>]) {
        let phase = actions.iter().find_map(|action| match action.node {
            Action::Phase(phase) => Some(phase),
            _ => None,
        });
        self.phases[usize::from(phase.unwrap_or(DEFAULT_PHASE).number() - 1)] = actions.to_vec();
    }

    fn of(&self, phase: Phase) -> &[Located<Action>] {
        &self.phases[usize::from(phase.number() - 1)]
    }
}
