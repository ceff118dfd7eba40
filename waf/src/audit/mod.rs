//! The audit log: what is recorded of a finished transaction, and the two
//! formats of ModSecurity v3. Pure: writing files is the host's business.

mod concurrent;
mod json;
mod native;
mod record;

pub use concurrent::{index_line, storage_path};
pub use hop3_seclang::ast::AuditParts;
pub use json::json;
pub use native::native;
pub use record::{
    AuditBody, AuditFile, AuditInterruption, AuditMessage, AuditRequest, AuditResponse, AuditTransaction,
};
