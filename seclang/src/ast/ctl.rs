//! `ctl`: settings and rules changed for the rest of one transaction.

use super::{AuditEngine, AuditParts, EngineMode, IdRange, Target};
use crate::names::named_enum;

/// A `ctl:NAME=VALUE` action (reference manual, "ctl"; Coraza's additions included).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ctl {
    /// `auditEngine=On|Off|RelevantOnly`.
    AuditEngine(AuditEngine),
    /// `auditLogParts=+E`, `=-E`, `=ABCZ`.
    AuditLogParts(PartsChange),
    /// `debugLogLevel=0…9`.
    DebugLogLevel(u8),
    /// `forceRequestBodyVariable=On|Off`.
    ForceRequestBodyVariable(bool),
    /// `forceResponseBodyVariable=On|Off`.
    ForceResponseBodyVariable(bool),
    /// `parseXmlIntoArgs=On|Off|OnlyArgs`.
    ParseXmlIntoArgs(XmlIntoArgs),
    /// `requestBodyAccess=On|Off`.
    RequestBodyAccess(bool),
    /// `requestBodyLimit=BYTES`.
    RequestBodyLimit(u64),
    /// `requestBodyProcessor=NAME`.
    RequestBodyProcessor(BodyProcessor),
    /// `responseBodyAccess=On|Off`.
    ResponseBodyAccess(bool),
    /// `responseBodyLimit=BYTES`.
    ResponseBodyLimit(u64),
    /// `responseBodyProcessor=NAME`.
    ResponseBodyProcessor(BodyProcessor),
    /// `ruleEngine=On|Off|DetectionOnly`.
    RuleEngine(EngineMode),
    /// `ruleRemoveById=ID` or a range.
    RuleRemoveById(Vec<IdRange>),
    /// `ruleRemoveByTag=TAG`: the whole tag.
    RuleRemoveByTag(String),
    /// `ruleRemoveByMsg=TEXT`: the whole message.
    RuleRemoveByMsg(String),
    /// `ruleRemoveTargetById=ID;TARGET`.
    RuleRemoveTargetById(Vec<IdRange>, CtlTarget),
    /// `ruleRemoveTargetByTag=TAG;TARGET`.
    RuleRemoveTargetByTag(String, CtlTarget),
    /// `ruleRemoveTargetByMsg=TEXT;TARGET`.
    RuleRemoveTargetByMsg(String, CtlTarget),
}

/// The target of `ruleRemoveTarget…`; never negated, never a count.
pub type CtlTarget = Target;

named_enum! {
    /// A body processor.
    BodyProcessor {
        UrlEncoded = "URLENCODED",
        Multipart = "MULTIPART",
        Json = "JSON",
        Xml = "XML",
        Raw = "RAW",
    }
}

named_enum! {
    /// Whether XML texts become arguments as well.
    XmlIntoArgs {
        Off = "Off",
        On = "On",
        OnlyArgs = "OnlyArgs",
    }
}

/// A change of the audit log's parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PartsChange {
    /// These parts and no others.
    Set(AuditParts),
    /// `+`: these parts too.
    Add(AuditParts),
    /// `-`: without these parts.
    Remove(AuditParts),
}
