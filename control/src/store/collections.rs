//! Records of the rules' persistent collections, by app: table, encoding, reading and writing.

use std::time::Duration;

use hop3_waf::{Collection, PersistentRecord, PersistentVariable};
use redb::{ReadableTable, TableDefinition};
use serde::{Deserialize, Serialize};

use super::tables::{decode, encode};
use super::{Change, Snapshot, StoreError};

/// (app or route, collection, key) → record.
pub(super) const COLLECTIONS: TableDefinition<'static, (&str, &str, &[u8]), &[u8]> =
    TableDefinition::new("collections");

/// A record with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRecord {
    /// The collection.
    pub collection: Collection,
    /// The record's key, e.g. a client's address.
    pub key: Vec<u8>,
    /// The record.
    pub record: PersistentRecord,
}

/// A record as it is encoded. Bytes are written as the characters of their numbers (ISO 8859-1): most are text.
#[derive(Serialize, Deserialize)]
struct Encoded {
    variables: Vec<(String, String, Option<Duration>)>,
    created: Duration,
    updated: Duration,
    updates: u64,
    timeout: Option<Duration>,
    expires: Duration,
}

impl Encoded {
    fn of(record: &PersistentRecord) -> Encoded {
        let variable =
            |variable: &PersistentVariable| (text(&variable.name), text(&variable.value), variable.expires);
        Encoded {
            variables: record.variables.iter().map(variable).collect(),
            created: record.created,
            updated: record.updated,
            updates: record.updates,
            timeout: record.timeout,
            expires: record.expires,
        }
    }

    fn decoded(self) -> PersistentRecord {
        let variable = |(name, value, expires): (String, String, Option<Duration>)| PersistentVariable {
            name: bytes(&name),
            value: bytes(&value),
            expires,
        };
        PersistentRecord {
            variables: self.variables.into_iter().map(variable).collect(),
            created: self.created,
            updated: self.updated,
            updates: self.updates,
            timeout: self.timeout,
            expires: self.expires,
        }
    }
}

fn text(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

fn bytes(text: &str) -> Vec<u8> {
    text.chars().map(|character| u8::try_from(u32::from(character)).unwrap_or(b'?')).collect()
}

impl Change<'_> {
    /// Writes records of an app or route.
    ///
    /// # Errors
    /// See [`Change::app`].
    pub fn put_collections(&mut self, owner: &str, records: &[StoredRecord]) -> Result<(), StoreError> {
        let mut table = self.transaction().open_table(COLLECTIONS)?;
        for StoredRecord { collection, key, record } in records {
            let value = encode(&Encoded::of(record))?;
            table.insert((owner, collection.name(), key.as_slice()), value.as_slice())?;
        }
        Ok(())
    }

    /// Forgets the records of an app or route that are not `wanted`.
    ///
    /// # Errors
    /// See [`Change::app`].
    pub fn retain_collections(
        &mut self,
        owner: &str,
        wanted: impl Fn(Collection, &[u8]) -> bool,
    ) -> Result<(), StoreError> {
        let mut table = self.transaction().open_table(COLLECTIONS)?;
        let mut gone = Vec::new();
        for row in table.range((owner, "", &[][..])..)? {
            let (key, _) = row?;
            let (known, collection, key) = key.value();
            if known != owner {
                break;
            }
            if !Collection::from_name(collection).is_some_and(|found| wanted(found, key)) {
                gone.push((collection.to_owned(), key.to_vec()));
            }
        }
        for (collection, key) in gone {
            table.remove((owner, collection.as_str(), key.as_slice()))?;
        }
        Ok(())
    }

    /// Forgets all records of an app or route.
    ///
    /// # Errors
    /// See [`Change::app`].
    pub fn remove_collections(&mut self, owner: &str) -> Result<(), StoreError> {
        self.retain_collections(owner, |_, _| false)
    }
}

impl Snapshot<'_> {
    /// All records of an app or route. One that cannot be read is left out: it is worth less than the others.
    ///
    /// # Errors
    /// See [`Snapshot::apps`].
    pub fn collections(&self, owner: &str) -> Result<Vec<StoredRecord>, StoreError> {
        let table = self.transaction().open_table(COLLECTIONS)?;
        let mut records = Vec::new();
        for row in table.range((owner, "", &[][..])..)? {
            let (key, value) = row?;
            let (known, collection, key) = key.value();
            if known != owner {
                break;
            }
            let Some(collection) = Collection::from_name(collection) else { continue };
            match decode::<Encoded>("record of a collection", value.value()) {
                Ok(encoded) => {
                    records.push(StoredRecord { collection, key: key.to_vec(), record: encoded.decoded() });
                }
                Err(error) => tracing::warn!(owner, %error, "a record of a collection is forgotten"),
            }
        }
        Ok(records)
    }
}
