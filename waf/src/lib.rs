//! The firewall engine: compiled rulesets, transactions and verdicts.
//!
//! Owns collections, operators, macros, actions and the evaluation of phases
//! 1 to 5. Has no clock, socket, file or async runtime: the caller hands in
//! bytes and time, and takes verdicts and audit records.
#![forbid(unsafe_code)]

pub mod audit;
mod coding;
mod collections;
mod compile;
mod evaluate;
mod fold;
mod geo;
mod inspection;
pub mod masking;
mod operators;
mod parts;
mod rarity;
mod regex;
mod request;
mod response;
mod rule;
mod rule_control;
mod rule_match;
mod ruleset;
mod scan;
mod scripts;
mod settings;
mod state;
mod template;
mod text;
pub mod trace;
mod transaction;
mod variables;
mod verdict;
mod xml_body;

pub use collections::memory_store::MemoryStore;
pub use collections::persistent::{Collection, CollectionStore, PersistentRecord, PersistentVariable};
pub use compile::CompileError;
pub use operators::{BlockLists, Listing};
pub use parts::Parts;
pub use regex::{PatternError, PcreConstruct};
pub use rule_match::{LogContext, MatchedValue, RuleMatch, Severity};
pub use ruleset::{Fallback, Ruleset};
pub use scan::Strategy;
pub use settings::{
    AuditFormat, AuditLogSettings, AuditType, DebugLogSettings, EngineMode, LimitAction, Settings,
};
pub use transaction::{Connection, ShownHead, Transaction, TransactionStart};
pub use verdict::{BodyStatus, Disruption, Interruption, Verdict};
