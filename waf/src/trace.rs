//! What an observer is told while a transaction is evaluated.
//!
//! For debug logs ([`DebugLog`]), explanations and conformance tests. Without an observer the
//! engine only asks whether there is one. What a document says (operators,
//! targets, actions of a rule) is not repeated here: an observer looks it up
//! by rule and link.

mod body_log;
mod debug_log;
mod operator_log;
mod rule_texts;

pub use debug_log::DebugLog;
pub use rule_texts::RuleTexts;

use hop3_bodies::multipart::Multipart;
use hop3_seclang::ast::{AuditEngine, BodyProcessor, Collection};
use hop3_transformations::Transformation;

use crate::rule_match::RuleMatch;

/// Watches evaluations. Must not block.
pub trait Trace: Send + Sync + std::fmt::Debug {
    /// Something happened.
    fn event(&self, event: &Event<'_>);
}

/// One step of an evaluation, in the order in which they happen.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A phase, 1 to 5, begins; or does not, because the engine is off.
    Phase {
        /// Its number.
        number: u8,
        /// Whether rules run.
        runs: bool,
    },
    /// A rule is not evaluated.
    Skipped {
        /// The rule.
        rule_id: u64,
        /// Why.
        why: Skipped,
    },
    /// A link of a chain is evaluated.
    Link {
        /// The rule.
        rule_id: u64,
        /// Position in its chain, from 0.
        position: usize,
        /// The operator's argument with its macros expanded; empty for others.
        argument: &'a [u8],
    },
    /// A value was selected; its transformations and tests follow.
    Selected {
        /// The value before all transformations.
        value: &'a [u8],
    },
    /// A transformation was applied, whether it changed the value or not.
    Transformed {
        /// The transformation.
        transformation: Transformation,
        /// The value after it.
        value: &'a [u8],
    },
    /// The operator is given a value.
    Tested {
        /// Where it stood, e.g. `ARGS:id`.
        variable: &'a [u8],
        /// The value after all transformations.
        value: &'a [u8],
    },
    /// The operator decided about the value it was given last.
    Decided {
        /// Whether that counts as a match: negation and running out of the budget considered.
        matched: bool,
    },
    /// A value is left out, by the rule's target or by a `ctl`.
    Excluded {
        /// The value's name.
        name: &'a [u8],
    },
    /// The operator's match leaves `TX:0` to `TX:9`.
    Captured {
        /// The group.
        group: usize,
        /// Its text.
        value: &'a [u8],
    },
    /// The backtracking matcher ran out of its budget.
    LimitExceeded,
    /// A link was evaluated.
    LinkEnded {
        /// Whether it matched.
        matched: bool,
    },
    /// A rule matched with its whole chain.
    Matched(&'a RuleMatch),
    /// A record of a persistent collection was opened.
    RecordOpened {
        /// The collection.
        collection: Collection,
        /// Its key.
        key: &'a [u8],
    },
    /// A member of a collection was set; an empty value when it was unset.
    VariableSet {
        /// The collection.
        collection: Collection,
        /// The member's name.
        name: &'a [u8],
        /// Its new value.
        value: &'a [u8],
    },
    /// A variable of the environment was set.
    EnvironmentSet {
        /// Its name.
        name: &'a [u8],
        /// Its value.
        value: &'a [u8],
    },
    /// An argument was found.
    Argument {
        /// What the body was read as; `None` for the query.
        from: Option<BodyProcessor>,
        /// Its name.
        name: &'a [u8],
        /// Its value.
        value: &'a [u8],
    },
    /// `ctl:debugLogLevel`: how much the debug log is to say from here on.
    DebugLogLevel(u8),
    /// More arguments than `SecArgumentsLimit`.
    ArgumentsOverLimit,
    /// A piece of a body came.
    BodyPiece {
        /// Of the response's.
        of_response: bool,
        /// Its length in bytes.
        length: usize,
        /// Most bytes that are kept of the body.
        limit: usize,
    },
    /// A body is longer than its limit.
    BodyOverLimit {
        /// The response's.
        of_response: bool,
        /// Whether it is refused; else its beginning is inspected.
        reject: bool,
    },
    /// The body is not parsed, because access to it is off.
    BodyUnread,
    /// A multipart body was parsed.
    Multipart(&'a Multipart<'a>),
    /// An XML body was held against a definition.
    Validated {
        /// The definition's file, as the rule names it.
        file: &'a str,
        /// By a schema, not a DTD.
        by_schema: bool,
        /// What is not valid.
        error: Option<&'a str>,
    },
    /// A script begins.
    ScriptStarted {
        /// Its name in the rule.
        name: &'a str,
        /// The value it looks at.
        value: Option<&'a [u8]>,
    },
    /// A script says something (`m.log`).
    ScriptLog {
        /// The level it gave.
        level: i64,
        /// The text.
        text: &'a [u8],
    },
    /// A script failed, or took more than it may.
    ScriptFailed {
        /// Why, with script and line.
        reason: &'a str,
    },
    /// `@fuzzyHash` found a hash that is near.
    FuzzyHash {
        /// How near, up to 100.
        score: u32,
    },
    /// The host asked whether the transaction belongs in the audit log.
    AuditDecided {
        /// `SecAuditEngine`, or what `ctl:auditEngine` made of it.
        engine: AuditEngine,
        /// The status that the client was given.
        status: u16,
        /// `SecAuditLogRelevantStatus`; empty without one.
        pattern: &'a str,
        /// Whether it does.
        relevant: bool,
    },
    /// The body was parsed, or its limit was exceeded.
    Body {
        /// By which processor.
        processor: Option<BodyProcessor>,
        /// What was wrong with it.
        error: Option<&'a str>,
    },
}

/// Why a rule is not evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skipped {
    /// `skip` or `skipAfter`.
    Jump,
    /// `allow`.
    Allow,
    /// `ctl:ruleRemoveById`, `ruleRemoveByTag` or `ruleRemoveByMsg`.
    Control,
}
