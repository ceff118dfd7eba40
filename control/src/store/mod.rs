//! What the server remembers: one redb file, one writer, typed tables, a schema version.
//!
//! Owns opening, migrations, transactions and the audit chain: [`Store::change`] appends the audit record in the
//! same transaction as the change it describes, so neither exists without the other. What nobody asked for
//! (adoption records of instances, phases of a deployment, firewall events) goes through [`Store::note`] and is
//! not audited. Every call blocks for a few milliseconds at most; none may run on a serving thread.

mod bans;
mod changes;
mod cipher;
mod collections;
mod error;
mod reads;
mod tables;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
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
    /// `None` while another process has it.
    database: ArcSwapOption<Database>,
    cipher: Cipher,
}

/// How long transactions under way may keep a store from being closed.
const CLOSE_PATIENCE: Duration = Duration::from_secs(10);

impl Store {
    /// Opens the file, or makes it; a file that was not closed is repaired to its last commit.
    ///
    /// # Errors
    /// The file is damaged, of a later schema, or the disk refuses.
    pub fn open(path: &Path, cipher: Cipher) -> Result<Store, StoreError> {
        Self::open_when_free(path, cipher, Duration::ZERO)
    }

    /// [`Store::open`] when the process that has it is about to close it: waits for that, at most `patience`. Blocking.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_when_free(path: &Path, cipher: Cipher, patience: Duration) -> Result<Store, StoreError> {
        let begun = Instant::now();
        let database = loop {
            match Self::database(path) {
                Err(error) if error.is_taken() && begun.elapsed() < patience => {
                    std::thread::sleep(Duration::from_millis(10));
                }
                outcome => break outcome?,
            }
        };
        Ok(Store { database: ArcSwapOption::from_pointee(database), cipher })
    }

    /// Lets another process have the file, when all transactions under way have ended. Until [`Store::reopen`], every
    /// call answers [`StoreError::Away`].
    ///
    /// # Errors
    /// A transaction did not end in time; the store stays open then.
    pub fn close(&self) -> Result<(), StoreError> {
        let Some(mut database) = self.database.swap(None) else { return Ok(()) };
        let begun = Instant::now();
        loop {
            match Arc::try_unwrap(database) {
                // Its drop gives up the lock on the file.
                Ok(database) => {
                    drop(database);
                    return Ok(());
                }
                Err(shared) if begun.elapsed() < CLOSE_PATIENCE => database = shared,
                Err(shared) => {
                    self.database.store(Some(shared));
                    return Err(StoreError::Busy);
                }
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Opens the file again after [`Store::close`].
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn reopen(&self, path: &Path) -> Result<(), StoreError> {
        if self.database.load().is_some() {
            return Ok(());
        }
        self.database.store(Some(Arc::new(Self::database(path)?)));
        Ok(())
    }

    fn database(path: &Path) -> Result<Database, StoreError> {
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
        Ok(database)
    }

    fn present(&self) -> Result<Arc<Database>, StoreError> {
        self.database.load_full().ok_or(StoreError::Away)
    }

    /// A view of one moment; later changes do not show in it.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn read(&self) -> Result<Snapshot<'_>, StoreError> {
        Ok(Snapshot::new(self.present()?.begin_read()?, &self.cipher))
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
        let database = self.present()?;
        let transaction = database.begin_write()?;
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
        let database = self.present()?;
        let mut transaction = database.begin_write()?;
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
