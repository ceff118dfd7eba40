//! Directives that change rules already read: remove, update, default actions.

use super::Parser;
use super::arguments::bare;
use crate::ast::{Action, DirectiveKind, IdRange, Phase, Target};
use crate::diagnostic::Diagnostic;
use crate::source::{Located, Span};
use crate::text::Text;

/// Added targets, and those they replace.
type Targets = (Vec<Located<Target>>, Vec<Located<Target>>);

impl Parser<'_> {
    /// `SecRuleRemoveById 1 2-3`.
    pub(super) fn remove_by_id(&mut self, arguments: &[Text]) -> Option<DirectiveKind> {
        let ranges: Vec<_> = arguments.iter().map(|argument| self.id_ranges(argument.all())).collect();
        let ranges: Option<Vec<_>> = ranges.into_iter().collect();
        let ranges: Vec<_> = ranges?.into_iter().flatten().collect();
        ranges.iter().for_each(|range| self.free(*range));
        Some(DirectiveKind::RuleRemoveById(ranges))
    }

    /// Lets removed ids be given to other rules.
    pub(super) fn free(&mut self, range: IdRange) {
        while let Some((&id, _)) = self.ids.range(range.first..=range.last).next() {
            self.ids.remove(&id);
        }
        self.removed.push(range);
    }

    /// `SecRuleRemoveByTag`, `SecRuleRemoveByMsg`.
    pub(super) fn patterns(&mut self, arguments: &[Text]) -> Option<Vec<Located<String>>> {
        arguments.iter().map(|argument| self.pattern(argument)).collect()
    }

    fn pattern(&mut self, argument: &Text) -> Option<Located<String>> {
        let slice = bare(argument.all());
        Some(Located::new(argument.span, self.word(slice, "the text to compare with")?))
    }

    /// `SecRuleUpdateTargetById`.
    pub(super) fn update_target_by_id(
        &mut self,
        ids: &Text,
        list: &Text,
        old: Option<&Text>,
    ) -> Option<DirectiveKind> {
        let ids = self.id_ranges(ids.all());
        let (targets, replaced) = self.updated_targets(list, old)?;
        Some(DirectiveKind::RuleUpdateTargetById { ids: ids?, targets, replaced })
    }

    /// `SecRuleUpdateTargetByTag`.
    pub(super) fn update_target_by_tag(
        &mut self,
        tag: &Text,
        list: &Text,
        old: Option<&Text>,
    ) -> Option<DirectiveKind> {
        let tag = self.pattern(tag);
        let (targets, replaced) = self.updated_targets(list, old)?;
        Some(DirectiveKind::RuleUpdateTargetByTag { tag: tag?, targets, replaced })
    }

    /// `SecRuleUpdateTargetByMsg`.
    pub(super) fn update_target_by_msg(
        &mut self,
        msg: &Text,
        list: &Text,
        old: Option<&Text>,
    ) -> Option<DirectiveKind> {
        let msg = self.pattern(msg);
        let (targets, replaced) = self.updated_targets(list, old)?;
        Some(DirectiveKind::RuleUpdateTargetByMsg { msg: msg?, targets, replaced })
    }

    fn updated_targets(&mut self, list: &Text, old: Option<&Text>) -> Option<Targets> {
        let targets = self.targets(list.all(), true);
        let replaced = old.map_or(Some(Vec::new()), |old| self.targets(old.all(), true));
        Some((targets?, replaced?))
    }

    /// `SecRuleUpdateActionById ID[:OFFSET] ACTIONS`.
    pub(super) fn update_action(&mut self, id: &Text, list: &Text) -> Option<DirectiveKind> {
        let slice = bare(id.all());
        let (id, offset) = slice.split_once(b':').map_or((slice, None), |(id, offset)| (id, Some(offset)));
        let before = self.errors;
        let id = self.number_in(id, "rule id", 1, u64::MAX);
        let chain_offset = offset.map_or(Some(0), |offset| self.number(offset, "place in the chain"));
        let actions = self.actions(list.all());
        self.forbid(&actions, "SecRuleUpdateActionById", |action| {
            matches!(action, Action::Id(_) | Action::Phase(_) | Action::Chain)
        });
        if self.errors > before {
            return None;
        }
        Some(DirectiveKind::RuleUpdateActionById { id: id?, chain_offset: chain_offset?, actions })
    }

    /// `SecDefaultAction`.
    pub(super) fn default_action(&mut self, span: Span, list: &Text) -> Option<DirectiveKind> {
        let before = self.errors;
        let actions = self.actions(list.all());
        self.forbid(&actions, "SecDefaultAction", |action| {
            use Action::*;
            matches!(
                action,
                Id(_)
                    | Chain
                    | Skip(_)
                    | SkipAfter(_)
                    | Msg(_)
                    | Rev(_)
                    | Ver(_)
                    | Severity(_)
                    | Accuracy(_)
                    | Maturity(_)
            )
        });
        let phase = actions.iter().find_map(|action| match action.node {
            Action::Phase(phase) => Some(phase),
            _ => None,
        });
        let decides = |action: &Action| action.is_disruptive() && *action != Action::Block;
        if phase.is_none() && self.errors == before {
            let error = Diagnostic::error(list.span, "SecDefaultAction must specify a phase");
            self.report(error.hint("add `phase:1` or `phase:2`"));
        }
        if !actions.iter().any(|action| decides(&action.node)) && self.errors == before {
            let error = Diagnostic::error(list.span, "SecDefaultAction must specify a disruptive action");
            self.report(error.hint("add `pass` or `deny`; `block` refers to this very directive"));
        }
        if self.errors > before {
            return None;
        }
        self.default_action_set(phase?, span);
        Some(DirectiveKind::DefaultAction(actions))
    }

    /// Notes where the default action of a phase was set.
    pub(super) fn default_action_set(&mut self, phase: Phase, span: Span) {
        if let Some(first) = self.defaults.insert(phase, span) {
            let message = format!("the default action of phase {} is set again", phase.number());
            self.report(Diagnostic::warning(span, message).label(first, "set here before"));
        }
    }

    /// Complains about actions that have no place in a directive.
    fn forbid(&mut self, actions: &[Located<Action>], directive: &str, wrong: impl Fn(&Action) -> bool) {
        for action in actions.iter().filter(|action| wrong(&action.node)) {
            self.error(action.span, format!("this action cannot stand in {directive}"));
        }
    }
}
