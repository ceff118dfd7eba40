//! Why the store refused.

use std::path::PathBuf;

use crate::failure::{Failure, Kind};

/// Why the store could not be opened, read or changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The database's own complaint: damaged file, full disk, input/output error.
    #[error("the store failed")]
    Database(#[source] Box<redb::Error>),
    /// The file was written by a later version.
    #[error("the store has schema {found}, this executable knows schemas up to {known}")]
    NewerSchema {
        /// Schema of the file.
        found: u64,
        /// Newest schema this executable reads.
        known: u64,
    },
    /// A stored value does not decode.
    #[error("the store holds an unreadable {what}")]
    Decode {
        /// Which kind of value.
        what: &'static str,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// A secret does not decrypt: the key file is not the one it was encrypted under.
    #[error("`{key}` does not decrypt under the key in this data directory")]
    Decrypt {
        /// Name of the variable.
        key: String,
    },
    /// The key file could not be read or made.
    #[error("cannot use the key file `{path}`: {reason}")]
    Key {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The store is closed here, since another process has it: this server's successor.
    #[error("the server is being replaced by its successor")]
    Away,
    /// Transactions under way keep it from being closed.
    #[error("the store is in use")]
    Busy,
    /// The change itself was refused by its author; nothing was written.
    #[error(transparent)]
    Refused(#[from] Failure),
}

impl StoreError {
    /// Whether another process has the file open.
    pub fn is_taken(&self) -> bool {
        matches!(self, StoreError::Database(error) if matches!(**error, redb::Error::DatabaseAlreadyOpen))
    }
}

macro_rules! from_redb {
    ($($error:ty),*) => {
        $(impl From<$error> for StoreError {
            fn from(error: $error) -> StoreError {
                StoreError::Database(Box::new(error.into()))
            }
        })*
    };
}

from_redb!(
    redb::DatabaseError,
    redb::TransactionError,
    redb::TableError,
    redb::StorageError,
    redb::CommitError,
    redb::SetDurabilityError
);

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Failure {
        match error {
            StoreError::Refused(failure) => failure,
            StoreError::NewerSchema { .. } => Failure::new(Kind::Conflict, error.to_string())
                .hint("start the newer executable, or restore the data directory from before the upgrade"),
            StoreError::Decrypt { .. } | StoreError::Key { .. } => Failure::internal(error.to_string())
                .hint("the key file `key` belongs to the data directory; restore both together"),
            StoreError::Away => Failure::conflict(error.to_string()).hint("try again in a few seconds"),
            other => Failure::internal("the store could not be used").because(&other),
        }
    }
}
