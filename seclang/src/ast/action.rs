//! Actions: what a matching rule does.

use super::{Collection, Ctl, DataFile, SetVar, Template, Transformation};
use crate::names::named_enum;

/// One action of a rule (reference manual, "Actions").
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    /// `accuracy:1…9`.
    Accuracy(u8),
    /// `allow`, `allow:phase`, `allow:request`.
    Allow(AllowScope),
    /// `append:TEXT` after the response body.
    Append(Template),
    /// `auditlog`.
    AuditLog,
    /// `block`: the default action's disruptive action.
    Block,
    /// `capture`: groups of the match become `TX:0`…`TX:9`.
    Capture,
    /// `chain`: the next rule is a link of this one.
    Chain,
    /// `ctl:…`.
    Ctl(Ctl),
    /// `deny`.
    Deny,
    /// `deprecatevar:collection.key=AMOUNT/SECONDS`.
    DeprecateVar {
        /// Where.
        collection: Collection,
        /// Under which name.
        key: Template,
        /// Taken away each interval.
        amount: u64,
        /// The interval.
        seconds: u64,
    },
    /// `drop`: closes the connection.
    Drop,
    /// `exec:PATH`.
    Exec {
        /// As written.
        path: String,
        /// The Lua script.
        script: DataFile,
    },
    /// `expirevar:collection.key=SECONDS`.
    ExpireVar {
        /// Where.
        collection: Collection,
        /// Under which name.
        key: Template,
        /// From now.
        seconds: Template,
    },
    /// `id:NUMBER`.
    Id(u64),
    /// `initcol:collection=KEY`.
    InitCol {
        /// Which collection; never TX.
        collection: Collection,
        /// Which of its records.
        key: Template,
    },
    /// `log`.
    Log,
    /// `logdata:TEXT`.
    LogData(Template),
    /// `maturity:1…9`.
    Maturity(u8),
    /// `msg:TEXT`.
    Msg(Template),
    /// `multiMatch`: the value is tested after every transformation that changed it.
    MultiMatch,
    /// `noauditlog`.
    NoAuditLog,
    /// `nolog`.
    NoLog,
    /// `pass`.
    Pass,
    /// `pause:MILLISECONDS`.
    Pause(Template),
    /// `phase:1…5` or a name.
    Phase(Phase),
    /// `prepend:TEXT` before the response body.
    Prepend(Template),
    /// `proxy:URL`.
    Proxy(Template),
    /// `redirect:URL`.
    Redirect(Template),
    /// `rev:TEXT`.
    Rev(String),
    /// `sanitiseArg:NAME`.
    SanitiseArg(String),
    /// `sanitiseMatched`.
    SanitiseMatched,
    /// `sanitiseMatchedBytes` or `sanitiseMatchedBytes:START/END`.
    SanitiseMatchedBytes(Option<SanitiseSpan>),
    /// `sanitiseRequestHeader:NAME`.
    SanitiseRequestHeader(String),
    /// `sanitiseResponseHeader:NAME`.
    SanitiseResponseHeader(String),
    /// `setenv:NAME=VALUE`.
    SetEnv {
        /// The name.
        name: Template,
        /// The value; `None` for `setenv:!NAME`, which unsets.
        value: Option<Template>,
    },
    /// `setrsc:KEY`.
    SetRsc(Template),
    /// `setsid:KEY`.
    SetSid(Template),
    /// `setuid:KEY`.
    SetUid(Template),
    /// `setvar:…`.
    SetVar(SetVar),
    /// `severity:0…7` or a name.
    Severity(Severity),
    /// `skip:COUNT`: a chain counts as one.
    Skip(u32),
    /// `skipAfter:MARKER` (or the id of a rule).
    SkipAfter(String),
    /// `status:CODE`.
    Status(u16),
    /// `tag:TEXT`.
    Tag(Template),
    /// `t:NAME`.
    Transformation(Transformation),
    /// `ver:TEXT`.
    Ver(String),
    /// `xmlns:PREFIX=URI`.
    Xmlns {
        /// The prefix used in XPath expressions.
        prefix: String,
        /// The namespace.
        uri: String,
    },
}

impl Action {
    /// Whether it decides about the transaction (`block` and `pass` count).
    pub const fn is_disruptive(&self) -> bool {
        use Action::*;
        matches!(self, Allow(_) | Block | Deny | Drop | Pass | Proxy(_) | Redirect(_))
    }

    /// Whether it only describes the rule.
    pub const fn is_metadata(&self) -> bool {
        use Action::*;
        matches!(
            self,
            Accuracy(_)
                | Id(_)
                | LogData(_)
                | Maturity(_)
                | Msg(_)
                | Phase(_)
                | Rev(_)
                | Severity(_)
                | Tag(_)
                | Ver(_)
        )
    }
}

/// How far `allow` reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AllowScope {
    /// `allow`: the rest of the transaction, except logging.
    All,
    /// `allow:phase`: the rest of this phase.
    Phase,
    /// `allow:request`: the phases of the request.
    Request,
}

/// The bytes at both ends of a match that stay readable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SanitiseSpan {
    /// At the beginning.
    pub keep_start: u32,
    /// At the end.
    pub keep_end: u32,
}

/// When a rule runs (reference manual, "Processing phases").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Phase {
    /// 1.
    RequestHeaders = 1,
    /// 2, also `request`.
    RequestBody = 2,
    /// 3.
    ResponseHeaders = 3,
    /// 4, also `response`.
    ResponseBody = 4,
    /// 5, also `logging`.
    Logging = 5,
}

impl Phase {
    /// The phases in order.
    pub const ALL: [Phase; 5] = [
        Phase::RequestHeaders,
        Phase::RequestBody,
        Phase::ResponseHeaders,
        Phase::ResponseBody,
        Phase::Logging,
    ];

    /// 1 to 5.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The phase of that number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|phase| phase.number() == number)
    }
}

named_enum! {
    /// Severity after syslog; the order is the number (0 is the worst).
    Severity {
        Emergency = "EMERGENCY",
        Alert = "ALERT",
        Critical = "CRITICAL",
        Error = "ERROR",
        Warning = "WARNING",
        Notice = "NOTICE",
        Info = "INFO",
        Debug = "DEBUG",
    }
}

impl Severity {
    /// 0 (emergency) to 7 (debug).
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The severity of that number.
    pub fn from_number(number: u64) -> Option<Self> {
        Self::ALL.get(usize::try_from(number).ok()?).copied()
    }
}
