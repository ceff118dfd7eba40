//! What the server remembers: one redb file, one writer, typed tables, a schema version.
//!
//! Owns opening, migrations, transactions and the audit chain: [`Store::change`] appends the audit record in the
//! same transaction as the change it describes, so neither exists without the other. What nobody asked for
//! (adoption records of instances, phases of a deployment, firewall events) goes through [`Store::note`] and is
//! not audited. Every call blocks for a few milliseconds at most; none may run on a serving thread.

mod changes;
mod cipher;
mod collections;
mod error;
mod reads;
mod tables;

use std::path::Path;

pub use changes::Change;
pub use cipher::Cipher;
pub use collections::StoredRecord;
pub use error::StoreError;
pub use reads::{Audit, Snapshot};
use redb::{Database, Durability, ReadableDatabase, ReadableTable};
pub use tables::FIREWALL_EVENTS_PER_APP;

use crate::model::{AuditRecord, Entry, Timestamp};

/// The newest schema this executable writes.
pub const SCHEMA: u64 = 1;

/// The open store.
#[derive(Debug)]
pub struct Store {
    database: Database,
    cipher: Cipher,
}

impl Store {
    /// Opens the file, or makes it; a file that was not closed is repaired to its last commit.
    ///
    /// # Errors
    /// The file is damaged, of a later schema, or the disk refuses.
    pub fn open(path: &Path, cipher: Cipher) -> Result<Store, StoreError> {
        let database = Database::create(path)?;
        let transaction = database.begin_write()?;
        {
            let mut meta = transaction.open_table(tables::META)?;
            let found = meta.get("schema")?.map(|value| value.value());
            match found {
                None => {
                    meta.insert("schema", SCHEMA)?;
                }
                Some(found) if found > SCHEMA => {
                    return Err(StoreError::NewerSchema { found, known: SCHEMA });
                }
                Some(_) => {}
            }
        }
        tables::create_all(&transaction)?;
        transaction.commit()?;
        Ok(Store { database, cipher })
    }

    /// A view of one moment; later changes do not show in it.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn read(&self) -> Result<Snapshot<'_>, StoreError> {
        Ok(Snapshot::new(self.database.begin_read()?, &self.cipher))
    }

    /// Performs one audited mutation: all of `apply` and the record of `entry`, or nothing.
    /// When this returns, the change has reached the disk.
    ///
    /// # Errors
    /// `apply` refuses, or the disk does; nothing was changed then.
    pub fn change<T>(
        &self,
        entry: &Entry,
        apply: impl FnOnce(&mut Change<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let transaction = self.database.begin_write()?;
        let result = apply(&mut Change::new(&transaction, &self.cipher))?;
        {
            let mut table = transaction.open_table(tables::AUDIT)?;
            let last: Option<AuditRecord> = match table.last()? {
                Some((_, value)) => Some(tables::decode("audit record", value.value())?),
                None => None,
            };
            let record = AuditRecord::following(last.as_ref(), entry, Timestamp::now());
            table.insert(record.sequence, tables::encode(&record)?.as_slice())?;
        }
        transaction.commit()?;
        Ok(result)
    }

    /// Keeps a record of what happened without anybody asking for it; not audited.
    ///
    /// # Errors
    /// As [`Store::change`].
    pub fn note<T>(
        &self,
        durability: Durable,
        apply: impl FnOnce(&mut Change<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut transaction = self.database.begin_write()?;
        if durability == Durable::WithTheNextCommit {
            transaction.set_durability(Durability::None)?;
        }
        let result = apply(&mut Change::new(&transaction, &self.cipher))?;
        transaction.commit()?;
        Ok(result)
    }
}

/// When a note must have reached the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durable {
    /// Before the call returns.
    Now,
    /// With the next durable commit; a crash before may lose it. For firewall events.
    WithTheNextCommit,
}

#[cfg(test)]
mod tests;
