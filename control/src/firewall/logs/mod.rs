//! `SecAuditLog` and `SecDebugLog`: who writes what where.
//!
//! [`LogPlace`] says which files an owner may write, [`LogFiles`] what its rules ask for, [`LogWriter`] writes it in the
//! background: transactions hand their records to a bounded queue that drops and counts, and wait for nothing.

mod file;
mod place;
mod writer;

use std::path::PathBuf;
use std::sync::Arc;

use hop3_proxy::{Dropped, TransactionLog};
use hop3_seclang::Document;
use hop3_seclang::ast::AuditEngine;
use hop3_waf::audit::{self, AuditParts, AuditTransaction};
use hop3_waf::trace::{DebugLog, RuleTexts};
use hop3_waf::{AuditFormat, AuditType, Ruleset};

use crate::failure::Failure;
use file::Modes;
use place::LogPath;
pub use place::LogPlace;
pub use writer::LogWriter;
use writer::{Entry, LogQueue};

/// The audit log when `SecAuditEngine` is on and nobody named a file.
const DEFAULT_FILE: &str = "audit.log";
/// The same for the concurrent log's folder.
const DEFAULT_FOLDER: &str = "audit";

/// The logs that the rules of one owner ask for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogFiles {
    audit: Option<Arc<AuditFiles>>,
    debug: Option<LogPath>,
}

/// Where and how audit records are written.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct AuditFiles {
    to: AuditTarget,
    format: AuditFormat,
    modes: Modes,
}

#[derive(Debug, PartialEq, Eq)]
enum AuditTarget {
    /// All records in one file.
    Serial(LogPath),
    /// A file for each, and an index.
    Concurrent { folder: LogPath, index: Option<LogPath> },
}

impl LogFiles {
    /// What `ruleset` asks for, in `place`.
    ///
    /// # Errors
    /// A file outside of `place`, or a kind of log that is not written here.
    pub fn of(ruleset: &Ruleset, place: &LogPlace) -> Result<LogFiles, Failure> {
        let settings = ruleset.settings();
        let wanted = &settings.audit_log;
        let file = |directive, path: &Option<String>| {
            path.as_ref().map(|path| place.find(directive, path)).transpose()
        };
        let (first, second) =
            (file("SecAuditLog", &wanted.path)?, file("SecAuditLog2", &wanted.second_path)?);
        let folder = file("SecAuditLogStorageDir", &wanted.folder)?;
        let is_on = settings.audit_engine != AuditEngine::Off;
        let or_default = |path: Option<LogPath>, name| match path {
            None if is_on => place.find("SecAuditLog", name).map(Some),
            path => Ok(path),
        };
        let to = match wanted.kind {
            AuditType::Serial => or_default(first, DEFAULT_FILE)?.map(AuditTarget::Serial),
            AuditType::Concurrent => {
                let index = second.or(first);
                or_default(folder, DEFAULT_FOLDER)?.map(|folder| AuditTarget::Concurrent { folder, index })
            }
            other => {
                return Err(Failure::usage(format!("`SecAuditLogType {other}` is not supported"))
                    .cause("the server writes files and sends no records elsewhere")
                    .hint("write `SecAuditLogType Serial` and let a log shipper follow the file"));
            }
        };
        if wanted.format == AuditFormat::Ocsf {
            return Err(Failure::usage("`SecAuditLogFormat OCSF` is not supported")
                .cause("records are written as ModSecurity does")
                .hint("write `SecAuditLogFormat JSON`, or `Native`"));
        }
        let modes = Modes::new(wanted.file_mode, wanted.folder_mode);
        let audit = to.map(|to| Arc::new(AuditFiles { to, format: wanted.format, modes }));
        let debug = file("SecDebugLog", &settings.debug_log.path)?.filter(|_| speaks(ruleset));
        Ok(LogFiles { audit, debug })
    }

    /// The log as the proxy fills it; `None` when nothing is to be written.
    pub fn open(
        &self,
        texts: Option<&Arc<RuleTexts>>,
        writer: &LogWriter,
    ) -> Option<Arc<dyn TransactionLog>> {
        let debug = self.debug.clone().zip(texts.cloned());
        if self.audit.is_none() && debug.is_none() {
            return None;
        }
        Some(Arc::new(OwnerLog { audit: self.audit.clone(), debug, queue: writer.queue() }))
    }
}

/// What the debug log of these rules says about them, when they ask for one.
pub fn rule_texts(document: &Document, ruleset: &Ruleset) -> Option<Arc<RuleTexts>> {
    let wanted = ruleset.settings().debug_log.path.is_some() && speaks(ruleset);
    wanted.then(|| Arc::new(RuleTexts::new(document, ruleset)))
}

/// Whether the debug log's level is, or may become, more than 0.
fn speaks(ruleset: &Ruleset) -> bool {
    let debug = &ruleset.settings().debug_log;
    debug.level > 0 || debug.is_controlled
}

/// The logs of one owner, with the queue behind which they are written.
#[derive(Debug)]
struct OwnerLog {
    audit: Option<Arc<AuditFiles>>,
    debug: Option<(LogPath, Arc<RuleTexts>)>,
    queue: LogQueue,
}

impl TransactionLog for OwnerLog {
    fn wants_audit(&self) -> bool {
        self.audit.is_some()
    }

    fn audit(&self, record: AuditTransaction, parts: AuditParts) -> Result<(), Dropped> {
        let Some(files) = &self.audit else { return Ok(()) };
        self.queue.send(Entry::Audit { files: files.clone(), record: Box::new(record), parts })
    }

    fn debug_log(&self) -> Option<Arc<DebugLog>> {
        self.debug.as_ref().map(|(_, texts)| Arc::new(DebugLog::new(texts.clone())))
    }

    fn debug(&self, lines: Vec<u8>) -> Result<(), Dropped> {
        let Some((path, _)) = &self.debug else { return Ok(()) };
        self.queue.send(Entry::Debug { path: path.clone(), lines })
    }
}

/// What is to be appended where, for one record.
struct Appended {
    path: LogPath,
    bytes: Vec<u8>,
    /// Whether the file holds only this.
    is_own: bool,
}

impl AuditFiles {
    /// The record in its format, and the line of the index.
    fn appended(&self, record: &AuditTransaction, parts: AuditParts) -> Vec<Appended> {
        let bytes = match self.format {
            AuditFormat::Json => audit::json(record, parts),
            _ => audit::native(record, parts),
        };
        match &self.to {
            AuditTarget::Serial(path) => vec![Appended { path: path.clone(), bytes, is_own: false }],
            AuditTarget::Concurrent { folder, index } => {
                let path = folder.join(&audit::storage_path(record));
                let named: PathBuf = path.path().to_owned();
                let line = audit::index_line(record, &named.display().to_string(), &bytes);
                let index = index.clone().map(|path| Appended { path, bytes: line, is_own: false });
                std::iter::once(Appended { path, bytes, is_own: true }).chain(index).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests;
