//! What is written about whole transactions besides events: audit records and debug logs.
//!
//! The proxy makes them, whoever keeps files takes them; nothing here waits.

use std::fmt;
use std::sync::Arc;

use hop3_waf::audit::{AuditParts, AuditTransaction};
use hop3_waf::trace::DebugLog;

/// Takes what is to be written about the transactions of a route. Must not block: what cannot be taken is dropped.
pub trait TransactionLog: Send + Sync + fmt::Debug {
    /// Whether audit records are written at all (`SecAuditLog`, `SecAuditLogStorageDir`).
    fn wants_audit(&self) -> bool;

    /// Takes the record of a transaction that belongs in the audit log.
    ///
    /// # Errors
    /// It was dropped.
    fn audit(&self, record: AuditTransaction, parts: AuditParts) -> Result<(), Dropped>;

    /// An empty debug log, when the transaction's evaluation is to be written down (`SecDebugLog`).
    fn debug_log(&self) -> Option<Arc<DebugLog>>;

    /// Takes the lines of a debug log.
    ///
    /// # Errors
    /// They were dropped.
    fn debug(&self, lines: Vec<u8>) -> Result<(), Dropped>;
}

/// The queue was full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the queue of the firewall's logs is full")]
pub struct Dropped;
