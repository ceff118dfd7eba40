//! Settings: directives that configure the engine instead of adding rules.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::{BodyProcessor, ctl::XmlIntoArgs};
use crate::names::named_enum;

/// One settings directive with its value. Sizes are bytes.
///
/// The last one of a kind counts, except where the text says that it adds.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Setting {
    /// `SecRuleEngine`.
    RuleEngine(EngineMode),
    /// `SecRxMode` (ours): the meaning of `@rx`.
    RxMode(RxMode),
    /// `SecCompatibility` (ours): whose meaning counts where implementations differ.
    Compatibility(Compatibility),
    /// `SecRemoteRulesFailAction`: what a `SecRemoteRules` is, which is never fetched.
    RemoteRulesFailAction(RemoteRulesFailAction),
    /// `SecMaskSecrets` (ours): whether secrets are masked in what is told about matches.
    MaskSecrets(bool),
    /// `SecJsonArrayPrefix` (ours): `On` names JSON array members `array_0` as v3 does, `Off` `0`.
    JsonArrayPrefix(bool),

    /// `SecRequestBodyAccess`.
    RequestBodyAccess(bool),
    /// `SecRequestBodyLimit`.
    RequestBodyLimit(u64),
    /// `SecRequestBodyNoFilesLimit`.
    RequestBodyNoFilesLimit(u64),
    /// `SecRequestBodyLimitAction`.
    RequestBodyLimitAction(LimitAction),
    /// `SecRequestBodyJsonDepthLimit`: levels.
    RequestBodyJsonDepthLimit(u64),
    /// `SecArgumentsLimit`: number of arguments.
    ArgumentsLimit(u64),
    /// `SecArgumentSeparator`.
    ArgumentSeparator(u8),
    /// `SecParseXmlIntoArgs`.
    ParseXmlIntoArgs(XmlIntoArgs),
    /// `SecXmlExternalEntity`: whether `@validateDTD` and `@validateSchema` may use their files. Nothing that a
    /// body names is ever loaded.
    XmlExternalEntity(bool),
    /// `SecRequestBodyProcessor` (ours): used when no rule chose one.
    RequestBodyProcessor(BodyProcessor),

    /// `SecResponseBodyAccess`.
    ResponseBodyAccess(bool),
    /// `SecResponseBodyLimit`.
    ResponseBodyLimit(u64),
    /// `SecResponseBodyLimitAction`.
    ResponseBodyLimitAction(LimitAction),
    /// `SecResponseBodyMimeType`: adds to the list. `(null)` stands for a response without a type.
    ResponseBodyMimeType(Vec<String>),
    /// `SecResponseBodyMimeTypesClear`: empties the list.
    ResponseBodyMimeTypesClear,

    /// `SecPcreMatchLimit`: steps of the backtracking engine.
    PcreMatchLimit(u64),
    /// `SecCollectionTimeout`: how long an idle record of a persistent collection lives.
    CollectionTimeout(Duration),
    /// `SecUnicodeMapFile`.
    UnicodeMapFile(UnicodeMap),

    /// `SecAuditEngine`.
    AuditEngine(AuditEngine),
    /// `SecAuditLog`.
    AuditLog(String),
    /// `SecAuditLog2`.
    AuditLog2(String),
    /// `SecAuditLogDirMode`; `None` for `default`.
    AuditLogDirMode(Option<u32>),
    /// `SecAuditLogFileMode`; `None` for `default`.
    AuditLogFileMode(Option<u32>),
    /// `SecAuditLogFormat`.
    AuditLogFormat(AuditFormat),
    /// `SecAuditLogParts`.
    AuditLogParts(AuditParts),
    /// `SecAuditLogRelevantStatus`: a regular expression on the status code.
    AuditLogRelevantStatus(String),
    /// `SecAuditLogStorageDir`.
    AuditLogStorageDir(String),
    /// `SecAuditLogType`.
    AuditLogType(AuditType),

    /// `SecDebugLog`.
    DebugLog(String),
    /// `SecDebugLogLevel`: 0 to 9.
    DebugLogLevel(u8),

    /// `SecUploadFileLimit`: files in one request.
    UploadFileLimit(u64),

    /// `SecComponentSignature`: adds one.
    ComponentSignature(String),
    /// `SecSensorId`.
    SensorId(String),
    /// `SecWebAppId`.
    WebAppId(String),

    /// `SecGeoLookupDb`.
    GeoLookupDb(GeoDatabase),
    /// `SecHttpBlKey`.
    HttpBlKey(String),
    /// `SecIgnoreRuleCompilationErrors` (Coraza); `On` is refused by the parser.
    IgnoreRuleCompilationErrors(bool),
    /// `SecDataset NAME \`lines\`` (Coraza): phrases or networks for `@…FromDataset`.
    Dataset {
        /// The name.
        name: String,
        /// The lines, trimmed, without empty ones.
        lines: Vec<String>,
    },
}

named_enum! {
    /// Whether rules run, and whether they may interrupt.
    EngineMode {
        Off = "Off",
        DetectionOnly = "DetectionOnly",
        On = "On",
    }
}

named_enum! {
    /// What `^`, `$` mean in `@rx`.
    RxMode {
        /// Start and very end of the value, as ModSecurity v2, Coraza and CRS mean it.
        Text = "Text",
        /// Start and end of each line, as ModSecurity v3 does.
        Multiline = "Multiline",
    }
}

named_enum! {
    /// Whose meaning counts where ModSecurity v2, Coraza and the manual differ from v3.
    Compatibility {
        /// That of v2, Coraza and the manual.
        Default = "Default",
        /// That of v3: a rule that names no disruptive action does not take the default action's, REQUEST_URI is
        /// decoded, DURATION is in seconds, WEBAPPID is empty until it is set, and SecPcreMatchLimit counts for
        /// every pattern.
        ModSecurity3 = "ModSecurity3",
    }
}

named_enum! {
    /// What happens when rules cannot be downloaded.
    RemoteRulesFailAction {
        Abort = "Abort",
        Warn = "Warn",
    }
}

named_enum! {
    /// What happens to a body over its limit.
    LimitAction {
        Reject = "Reject",
        ProcessPartial = "ProcessPartial",
    }
}

named_enum! {
    /// Which transactions are written to the audit log.
    AuditEngine {
        Off = "Off",
        On = "On",
        RelevantOnly = "RelevantOnly",
    }
}

named_enum! {
    /// The audit log's format.
    AuditFormat {
        Json = "JSON",
        Native = "Native",
        Ocsf = "OCSF",
    }
}

named_enum! {
    /// How the audit log is written.
    AuditType {
        Serial = "Serial",
        Concurrent = "Concurrent" | "Parallel",
        Https = "HTTPS",
        Syslog = "Syslog",
    }
}

/// Set of audit log parts `A`…`K`, `Z`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct AuditParts(u32);

impl AuditParts {
    /// Reads letters; the first one that is no part is the error.
    pub fn parse(text: &str) -> Result<Self, char> {
        text.chars().try_fold(Self(0), |parts, letter| match letter {
            'A'..='K' | 'Z' => Ok(Self(parts.0 | bit(letter))),
            other => Err(other),
        })
    }

    /// Whether a part is in the set.
    pub fn contains(self, letter: char) -> bool {
        letter.is_ascii_uppercase() && self.0 & bit(letter) != 0
    }

    /// With these parts too.
    pub fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Without these parts; A and Z frame a record and cannot be removed.
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & (!other.0 | bit('A') | bit('Z')))
    }

    /// The letters in order.
    pub fn letters(self) -> impl Iterator<Item = char> {
        ('A'..='Z').filter(move |&letter| self.contains(letter))
    }
}

fn bit(letter: char) -> u32 {
    1 << (u32::from(letter) - u32::from('A'))
}

/// A unicode mapping file and the code page to use of it.
#[derive(Clone, PartialEq, Eq)]
pub struct UnicodeMap {
    /// The path that was read.
    pub path: PathBuf,
    /// Its bytes.
    pub contents: Arc<[u8]>,
    /// The code page, e.g. 20127.
    pub code_page: u32,
}

impl std::fmt::Debug for UnicodeMap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "UnicodeMap({}, {})", self.path.display(), self.code_page)
    }
}

/// A geographic database, not looked into.
#[derive(Clone, PartialEq, Eq)]
pub struct GeoDatabase {
    /// The path that was read.
    pub path: PathBuf,
    /// Its bytes.
    pub contents: Arc<[u8]>,
}

impl std::fmt::Debug for GeoDatabase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "GeoDatabase({}, {} bytes)", self.path.display(), self.contents.len())
    }
}
