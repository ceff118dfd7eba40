//! `SecRuleRemove…` and `SecRuleUpdate…`: directives that change rules.

use hop3_seclang::ast::{Action, DirectiveKind, IdRange, Target, Transformation};
use hop3_seclang::diagnostic::Diagnostic;
use hop3_seclang::source::{Located, Span};

use super::Compiler;
use super::draft::Draft;
use crate::regex::{Flags, Pattern};

impl Compiler<'_> {
    /// Applies one directive to all rules.
    pub(super) fn update(&mut self, span: Span, directive: &DirectiveKind) {
        match directive {
            DirectiveKind::RuleRemoveById(ids) => {
                let found = self.remove(|draft| ids_contain(ids, draft.id));
                self.warn_unless(found, span, "there is no rule with this id");
            }
            DirectiveKind::RuleRemoveByTag(tags) => {
                for pattern in self.compile_all(tags) {
                    let found = self.remove(|draft| draft.has_tag(|tag| finds(&pattern, tag)));
                    self.warn_unless(found, span, "there is no rule with this tag");
                }
            }
            DirectiveKind::RuleRemoveByMsg(messages) => {
                for pattern in self.compile_all(messages) {
                    let found = self.remove(|draft| draft.has_message(|message| finds(&pattern, message)));
                    self.warn_unless(found, span, "there is no rule with this message");
                }
            }
            DirectiveKind::RuleUpdateTargetById { ids, targets, replaced } => {
                let found = self.retarget(|draft| ids_contain(ids, draft.id), targets, replaced);
                self.warn_unless(found, span, "there is no rule with this id");
            }
            DirectiveKind::RuleUpdateTargetByTag { tag, targets, replaced } => {
                if let Some(pattern) = self.compile_one(tag) {
                    let found =
                        self.retarget(|draft| draft.has_tag(|tag| finds(&pattern, tag)), targets, replaced);
                    self.warn_unless(found, span, "there is no rule with this tag");
                }
            }
            DirectiveKind::RuleUpdateTargetByMsg { msg, targets, replaced } => {
                if let Some(pattern) = self.compile_one(msg) {
                    let wanted = |draft: &Draft| draft.has_message(|message| finds(&pattern, message));
                    let found = self.retarget(wanted, targets, replaced);
                    self.warn_unless(found, span, "there is no rule with this message");
                }
            }
            DirectiveKind::RuleUpdateActionById { id, chain_offset, actions } => {
                let found = self.react(*id, *chain_offset as usize, actions);
                self.warn_unless(found, span, "there is no such rule");
            }
            other => {
                let message = format!("the engine does not know this directive: {other:?}");
                self.errors.push(Diagnostic::error(span, message));
            }
        }
    }

    /// Returns whether there was a rule.
    fn remove(&mut self, wanted: impl Fn(&Draft) -> bool) -> bool {
        let mut found = false;
        for draft in self.drafts.iter_mut().filter(|draft| wanted(draft)) {
            draft.removed = true;
            found = true;
        }
        found
    }

    /// Changes the targets of the rules' first links, and where an exclusion
    /// is meant of all links. Returns whether there was a rule.
    fn retarget(
        &mut self,
        wanted: impl Fn(&Draft) -> bool,
        targets: &[Located<Target>],
        replaced: &[Located<Target>],
    ) -> bool {
        let mut found = false;
        for draft in self.drafts.iter_mut().filter(|draft| wanted(draft)) {
            found = true;
            for (depth, link) in
                draft.links.iter_mut().enumerate().filter(|(_, link)| link.operator.is_some())
            {
                let known = link.targets.to_mut();
                known.retain(|known| !replaced.iter().any(|old| old.node == known.node));
                let applies = |target: &&Located<Target>| depth == 0 || target.exclude;
                known.extend(targets.iter().filter(applies).cloned());
            }
        }
        found
    }

    /// Replaces or adds actions of one link. Returns whether it exists.
    fn react(&mut self, id: u64, depth: usize, actions: &[Located<Action>]) -> bool {
        let mut found = false;
        for draft in self.drafts.iter_mut().filter(|draft| draft.id == id) {
            let Some(link) = draft.links.get_mut(depth) else { continue };
            found = true;
            let replaces = |known: &Action| actions.iter().any(|new| replaces(&new.node, known));
            let known = link.actions.to_mut();
            known.retain(|known| !replaces(&known.node));
            known.extend(actions.iter().cloned());
        }
        found
    }

    fn compile_all(&mut self, texts: &[Located<String>]) -> Vec<std::sync::Arc<Pattern>> {
        texts.iter().filter_map(|text| self.compile_one(text)).collect()
    }

    fn compile_one(&mut self, text: &Located<String>) -> Option<std::sync::Arc<Pattern>> {
        match self.parts.pattern(text.node.as_bytes(), Flags::default()) {
            Ok(pattern) => Some(pattern),
            Err(error) => {
                self.errors
                    .push(Diagnostic::error(text.span, format!("the pattern cannot be compiled: {error}")));
                None
            }
        }
    }

    fn warn_unless(&mut self, found: bool, span: Span, message: &str) {
        if !found {
            self.warnings.push(Diagnostic::warning(span, message));
        }
    }
}

fn ids_contain(ids: &[IdRange], id: u64) -> bool {
    ids.iter().any(|range| range.contains(id))
}

fn finds(pattern: &Pattern, text: &[u8]) -> bool {
    pattern.is_match(text, 100_000).unwrap_or(false)
}

/// Whether a new action takes the place of a known one: disruptive actions and
/// everything that can only be said once.
fn replaces(new: &Action, known: &Action) -> bool {
    use Action as A;
    let same_kind = std::mem::discriminant(new) == std::mem::discriminant(known);
    let repeats = matches!(
        known,
        A::Tag(_)
            | A::SetVar(_)
            | A::SetEnv { .. }
            | A::Ctl(_)
            | A::Transformation(_)
            | A::ExpireVar { .. }
            | A::InitCol { .. }
    );
    (new.is_disruptive() && known.is_disruptive())
        || (same_kind && !repeats)
        || (matches!(new, A::Transformation(Transformation::None)) && matches!(known, A::Transformation(_)))
}
