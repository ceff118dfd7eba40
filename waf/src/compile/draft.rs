//! Rules while later directives may still change them; what none changes is the document's own.

use std::borrow::Cow;

use hop3_seclang::ast::{self, Action, Phase, Target};
use hop3_seclang::source::{Located, Span};

use super::DEFAULT_PHASE;

/// A rule as read, with what was said about it since.
#[derive(Clone, Debug)]
pub(super) struct Draft<'d> {
    pub(super) span: Span,
    pub(super) id: u64,
    pub(super) phase: Phase,
    pub(super) links: Vec<DraftLink<'d>>,
    /// The default action in force where the rule stands.
    pub(super) defaults: &'d [Located<Action>],
    pub(super) removed: bool,
}

/// One link of a chain.
#[derive(Clone, Debug)]
pub(super) struct DraftLink<'d> {
    pub(super) targets: Cow<'d, [Located<Target>]>,
    pub(super) operator: Option<&'d Located<ast::Operator>>,
    pub(super) actions: Cow<'d, [Located<Action>]>,
}

impl<'d> Draft<'d> {
    pub(super) fn new(rule: &'d ast::Rule, defaults: &Defaults<'d>) -> Self {
        let phase = rule.phase.unwrap_or(DEFAULT_PHASE);
        let mut links = vec![DraftLink::new(rule.condition.as_ref(), &rule.actions)];
        links.extend(rule.links.iter().map(|link| DraftLink::new(link.condition.as_ref(), &link.actions)));
        Self { span: rule.span, id: rule.id, phase, links, defaults: defaults.of(phase), removed: false }
    }

    /// The actions of the chain's head.
    pub(super) fn head(&self) -> impl Iterator<Item = &Action> {
        self.links.first().into_iter().flat_map(|link| link.actions.iter()).map(|action| &action.node)
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

impl<'d> DraftLink<'d> {
    fn new(condition: Option<&'d ast::Condition>, actions: &'d [Located<Action>]) -> Self {
        Self {
            targets: condition.map(|condition| condition.targets.as_slice()).unwrap_or_default().into(),
            operator: condition.map(|condition| &condition.operator),
            actions: actions.into(),
        }
    }
}

/// `SecDefaultAction` of each phase.
#[derive(Clone, Debug, Default)]
pub(super) struct Defaults<'d> {
    phases: [&'d [Located<Action>]; 5],
}

impl<'d> Defaults<'d> {
    /// Takes the place of what was said for the phase before.
    pub(super) fn set(&mut self, actions: &'d [Located<Action>]) {
        let phase = actions.iter().find_map(|action| match action.node {
            Action::Phase(phase) => Some(phase),
            _ => None,
        });
        self.phases[usize::from(phase.unwrap_or(DEFAULT_PHASE).number() - 1)] = actions;
    }

    fn of(&self, phase: Phase) -> &'d [Located<Action>] {
        self.phases[usize::from(phase.number() - 1)]
    }
}
