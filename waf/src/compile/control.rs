//! `ctl`: which rules and settings it means, worked out at load.

use hop3_seclang::ast::{BodyProcessor, Ctl, IdRange, Target};
use hop3_seclang::diagnostic::Diagnostic;
use hop3_seclang::source::Span;

use super::Compiler;
use super::draft::Draft;
use crate::rule::RuleIndex;
use crate::rule_control::{Control, RuleSelection};

impl Compiler<'_> {
    /// Prepares a `ctl`; `None` for what has no effect here.
    pub(super) fn control(&mut self, ctl: &Ctl, span: Span, drafts: &[Draft]) -> Option<Control> {
        let size = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
        Some(match ctl {
            Ctl::AuditEngine(mode) => Control::AuditEngine(*mode),
            Ctl::AuditLogParts(change) => Control::AuditLogParts(*change),
            Ctl::DebugLogLevel(level) => {
                self.settings.debug_log.is_controlled = true;
                Control::DebugLogLevel(*level)
            }
            Ctl::ForceRequestBodyVariable(on) => Control::ForceRequestBodyVariable(*on),
            Ctl::ForceResponseBodyVariable(on) => Control::ForceResponseBodyVariable(*on),
            Ctl::RequestBodyAccess(on) => Control::RequestBodyAccess(*on),
            Ctl::RequestBodyLimit(bytes) => Control::RequestBodyLimit(size(*bytes)),
            Ctl::RequestBodyProcessor(processor) => Control::RequestBodyProcessor(*processor),
            Ctl::ResponseBodyAccess(on) => Control::ResponseBodyAccess(*on),
            Ctl::ResponseBodyLimit(bytes) => Control::ResponseBodyLimit(size(*bytes)),
            Ctl::ResponseBodyProcessor(processor) => {
                use BodyProcessor as P;
                if let P::UrlEncoded | P::Multipart = processor {
                    let message = format!("ctl:responseBodyProcessor: no response is read as {processor}");
                    self.errors.push(Diagnostic::error(span, message).hint("write `JSON`, `XML` or `RAW`"));
                    return None;
                }
                Control::ResponseBodyProcessor(*processor)
            }
            Ctl::ParseXmlIntoArgs(mode) => Control::XmlIntoArgs(*mode),
            Ctl::RuleEngine(mode) => Control::Engine(*mode),
            Ctl::RuleRemoveById(ids) => Control::RemoveRules(by_id(drafts, ids)),
            Ctl::RuleRemoveByTag(tag) => Control::RemoveRules(by_tag(drafts, tag)),
            Ctl::RuleRemoveByMsg(message) => Control::RemoveRules(by_message(drafts, message)),
            Ctl::RuleRemoveTargetById(ids, target) => self.remove_target(by_id(drafts, ids), target),
            Ctl::RuleRemoveTargetByTag(tag, target) => self.remove_target(by_tag(drafts, tag), target),
            Ctl::RuleRemoveTargetByMsg(message, target) => {
                self.remove_target(by_message(drafts, message), target)
            }
            other => {
                let message = format!("this `ctl` has no effect in this engine: {other:?}");
                self.warnings.push(Diagnostic::warning(span, message));
                return None;
            }
        })
    }

    fn remove_target(&mut self, rules: RuleSelection, target: &Target) -> Control {
        let selector = self.selector(target.variable, target.selector.as_ref());
        Control::RemoveTarget(rules, target.variable, selector)
    }
}

fn by_id(drafts: &[Draft], ids: &[IdRange]) -> RuleSelection {
    select(drafts, |draft| ids.iter().any(|range| range.contains(draft.id)))
}

/// The whole tag, as ModSecurity v3 and Coraza compare it.
fn by_tag(drafts: &[Draft], tag: &str) -> RuleSelection {
    select(drafts, |draft| draft.has_tag(|known| known == tag.as_bytes()))
}

fn by_message(drafts: &[Draft], message: &str) -> RuleSelection {
    select(drafts, |draft| draft.has_message(|known| known == message.as_bytes()))
}

fn select(drafts: &[Draft], wanted: impl Fn(&Draft) -> bool) -> RuleSelection {
    let rules = drafts.iter().enumerate().filter(|(_, draft)| wanted(draft));
    rules.map(|(index, _)| RuleIndex(index as u32)).collect()
}
