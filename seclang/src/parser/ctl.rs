//! `ctl:NAME=VALUE`.

use super::arguments::{bare, shorten};
use super::items::Item;
use super::{Parser, unknown_name};
use crate::ast::{AuditEngine, AuditParts, BodyProcessor, Ctl, EngineMode, PartsChange, Target, XmlIntoArgs};
use crate::diagnostic::Diagnostic;
use crate::text::Slice;

/// All names, for hints.
const NAMES: &[&str] = &[
    "auditEngine",
    "auditLogParts",
    "debugLogLevel",
    "forceRequestBodyVariable",
    "forceResponseBodyVariable",
    "parseXmlIntoArgs",
    "requestBodyAccess",
    "requestBodyLimit",
    "requestBodyProcessor",
    "responseBodyAccess",
    "responseBodyLimit",
    "responseBodyProcessor",
    "ruleEngine",
    "ruleRemoveById",
    "ruleRemoveByMsg",
    "ruleRemoveByTag",
    "ruleRemoveTargetById",
    "ruleRemoveTargetByMsg",
    "ruleRemoveTargetByTag",
];

impl Parser<'_> {
    /// Reads the value of a `ctl` action.
    pub(super) fn ctl(&mut self, item: &Item<'_>, slice: Slice<'_>) -> Option<Ctl> {
        let Some((name, value)) = slice.split_once(b'=') else {
            self.error(item.whole.span(), "ctl: the value is missing, as in `ctl:ruleEngine=Off`");
            return None;
        };
        let (name, value) = (name.trim(), value.trim());
        let lower = name.lossy().to_ascii_lowercase();
        if let Some(why) = crate::refused::ctl(&lower) {
            let error = Diagnostic::error(name.span(), format!("`ctl:{}` is not supported", name.lossy()));
            self.report(error.hint(why));
            return None;
        }
        let what = format!("ctl:{}", name.lossy());
        match lower.as_str() {
            "auditengine" => self.choice(value, &what, AuditEngine::SPELLINGS).map(Ctl::AuditEngine),
            "auditlogparts" => self.parts_change(value).map(Ctl::AuditLogParts),
            "debugloglevel" => {
                self.number_in(value, &what, 0, 9).map(|level| Ctl::DebugLogLevel(level as u8))
            }
            "forcerequestbodyvariable" => self.switch(value, &what).map(Ctl::ForceRequestBodyVariable),
            "forceresponsebodyvariable" => self.switch(value, &what).map(Ctl::ForceResponseBodyVariable),
            "parsexmlintoargs" => {
                self.choice(value, &what, XmlIntoArgs::SPELLINGS).map(Ctl::ParseXmlIntoArgs)
            }
            "requestbodyaccess" => self.switch(value, &what).map(Ctl::RequestBodyAccess),
            "requestbodylimit" => self.number(value, &what).map(Ctl::RequestBodyLimit),
            "requestbodyprocessor" => {
                self.choice(value, &what, BodyProcessor::SPELLINGS).map(Ctl::RequestBodyProcessor)
            }
            "responsebodyaccess" => self.switch(value, &what).map(Ctl::ResponseBodyAccess),
            "responsebodylimit" => self.number(value, &what).map(Ctl::ResponseBodyLimit),
            "responsebodyprocessor" => {
                self.choice(value, &what, BodyProcessor::SPELLINGS).map(Ctl::ResponseBodyProcessor)
            }
            "ruleengine" => self.choice(value, &what, EngineMode::SPELLINGS).map(Ctl::RuleEngine),
            "ruleremovebyid" => self.id_ranges(value).map(Ctl::RuleRemoveById),
            "ruleremovebytag" => self.word(bare(value), &what).map(Ctl::RuleRemoveByTag),
            "ruleremovebymsg" => self.word(bare(value), &what).map(Ctl::RuleRemoveByMsg),
            "ruleremovetargetbyid" | "ruleremovetargetbytag" | "ruleremovetargetbymsg" => {
                self.remove_target(&lower, &what, value)
            }
            _ => {
                let error =
                    Diagnostic::error(name.span(), format!("unknown control `{}`", shorten(&name.lossy())));
                self.report(unknown_name(error, &lower, "ctl:", NAMES.iter().copied()));
                None
            }
        }
    }

    /// `RULES;TARGET`.
    fn remove_target(&mut self, lower: &str, what: &str, value: Slice<'_>) -> Option<Ctl> {
        let Some((rules, target)) = value.split_once(b';') else {
            let error = Diagnostic::error(value.span(), format!("{what}: the target is missing"));
            self.report(error.hint(format!("write `{what}=RULE;ARGS:name`")));
            return None;
        };
        let target = self.removed_target(what, bare(target))?;
        match lower {
            "ruleremovetargetbyid" => Some(Ctl::RuleRemoveTargetById(self.id_ranges(rules)?, target)),
            "ruleremovetargetbytag" => {
                Some(Ctl::RuleRemoveTargetByTag(self.word(bare(rules), what)?, target))
            }
            _ => Some(Ctl::RuleRemoveTargetByMsg(self.word(bare(rules), what)?, target)),
        }
    }

    fn removed_target(&mut self, what: &str, slice: Slice<'_>) -> Option<Target> {
        let mut targets = self.targets(slice, false)?;
        if targets.len() != 1 {
            let error = Diagnostic::error(slice.span(), format!("{what}: only one target at a time"));
            self.report(error.hint("write one `ctl` for each target"));
            return None;
        }
        let target = targets.pop()?.node;
        if target.count {
            self.error(
                slice.span(),
                format!("{what}: counts cannot be removed; name the variable without `&`"),
            );
            return None;
        }
        // `!ARGS:x` means the same here: the target is removed.
        Some(Target { exclude: false, ..target })
    }

    /// `+E`, `-E`, `ABCZ`.
    fn parts_change(&mut self, value: Slice<'_>) -> Option<PartsChange> {
        let value = bare(value);
        let (change, letters): (fn(AuditParts) -> PartsChange, _) = match value.bytes().first() {
            Some(b'+') => (PartsChange::Add, value.from(1)),
            Some(b'-') => (PartsChange::Remove, value.from(1)),
            _ => (PartsChange::Set, value),
        };
        self.audit_parts(letters).map(change)
    }

    /// Letters of the audit log's parts.
    pub(super) fn audit_parts(&mut self, slice: Slice<'_>) -> Option<AuditParts> {
        let letters = bare(slice).lossy().to_ascii_uppercase();
        if letters.is_empty() {
            self.error(slice.span(), "the parts of the audit log are missing");
            return None;
        }
        AuditParts::parse(&letters)
            .map_err(|letter| {
                self.error(
                    slice.span(),
                    format!("`{letter}` is no part of the audit log; they are A to K and Z"),
                )
            })
            .ok()
    }
}
