//! All holdings in memory, and on disk before anybody sees them changed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::holding::{AuthorityRecord, Holding};
use crate::failure::chain;
use crate::model::Entry;
use crate::store::{Change, Durable, Store, StoreError};

/// The holdings of all owners. Calls that change something block for a few milliseconds.
#[derive(Debug)]
pub struct Shelf {
    store: Arc<Store>,
    holdings: Mutex<BTreeMap<String, Holding>>,
    /// Whose holdings do not decrypt or decode: never overwritten.
    unreadable: BTreeSet<String>,
}

impl Shelf {
    /// Reads everything. What cannot be read is logged and left as it is: its owner gets self-signed certificates.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn open(store: Arc<Store>) -> Result<Shelf, StoreError> {
        let (mut holdings, mut unreadable) = (BTreeMap::new(), BTreeSet::new());
        for (owner, holding) in store.read()?.holdings::<Holding>()? {
            match holding {
                Ok(holding) => drop(holdings.insert(owner, holding)),
                Err(error) => {
                    tracing::error!(owner, error = chain(&error), "its certificates cannot be read");
                    unreadable.insert(owner);
                }
            }
        }
        Ok(Shelf { store, holdings: Mutex::new(holdings), unreadable })
    }

    /// What is remembered of an owner.
    pub fn get(&self, owner: &str) -> Holding {
        self.locked().get(owner).cloned().unwrap_or_default()
    }

    /// Changes what is remembered of an owner; not audited.
    ///
    /// # Errors
    /// The disk refuses, or the earlier holding could not be read; nothing was changed then.
    pub fn note<T>(&self, owner: &str, edit: impl FnOnce(&mut Holding) -> T) -> Result<T, StoreError> {
        self.edit(owner, edit, |store, put| store.note(Durable::Now, put))
    }

    /// The same, with an audit record.
    ///
    /// # Errors
    /// See [`Shelf::note`].
    pub fn change<T>(
        &self,
        entry: &Entry,
        owner: &str,
        edit: impl FnOnce(&mut Holding) -> T,
    ) -> Result<T, StoreError> {
        self.edit(owner, edit, |store, put| store.change(entry, put))
    }

    /// Forgets an owner whose record in the store is gone.
    pub fn forget(&self, owner: &str) {
        self.locked().remove(owner);
    }

    /// What is remembered of an authority.
    ///
    /// # Errors
    /// The disk refuses, or the record does not decrypt.
    pub(super) fn authority(&self, directory: &str) -> Result<AuthorityRecord, StoreError> {
        Ok(self.store.read()?.authority(directory)?.unwrap_or_default())
    }

    /// Changes what is remembered of an authority.
    ///
    /// # Errors
    /// See [`Shelf::authority`].
    pub(super) fn note_authority<T>(
        &self,
        directory: &str,
        edit: impl FnOnce(&mut AuthorityRecord) -> T,
    ) -> Result<T, StoreError> {
        // One at a time: reading and writing belong together.
        let _one = self.locked();
        let mut record = self.authority(directory)?;
        let result = edit(&mut record);
        self.store.note(Durable::Now, |change| change.put_authority(directory, &record))?;
        Ok(result)
    }

    fn edit<T>(
        &self,
        owner: &str,
        edit: impl FnOnce(&mut Holding) -> T,
        write: impl FnOnce(&Store, &dyn Fn(&mut Change<'_>) -> Result<(), StoreError>) -> Result<(), StoreError>,
    ) -> Result<T, StoreError> {
        if self.unreadable.contains(owner) {
            return Err(StoreError::Decrypt { key: format!("certificates of {owner}") });
        }
        let mut holdings = self.locked();
        let before = holdings.get(owner).cloned().unwrap_or_default();
        let mut after = before.clone();
        let result = edit(&mut after);
        if after != before {
            write(&self.store, &|change| change.put_holding(owner, &after))?;
            holdings.insert(owner.to_owned(), after);
        }
        Ok(result)
    }

    fn locked(&self) -> MutexGuard<'_, BTreeMap<String, Holding>> {
        self.holdings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::super::holding::Trouble;
    use super::*;
    use crate::model::Timestamp;
    use crate::store::Cipher;

    fn store(directory: &std::path::Path) -> Arc<Store> {
        let cipher = Cipher::open(&directory.join("key")).unwrap();
        Arc::new(Store::open(&directory.join("store.redb"), cipher).unwrap())
    }

    #[test]
    fn what_is_noted_survives_and_keys_are_sealed() {
        let directory = tempfile::tempdir().unwrap();
        {
            let shelf = Shelf::open(store(directory.path())).unwrap();
            shelf
                .note("demo", |holding| {
                    holding.imported = Some(super::super::holding::Imported {
                        chain: "CHAIN-IN-CLEAR".into(),
                        key: "KEY-IN-CLEAR".into(),
                        added: Timestamp(5),
                    });
                })
                .unwrap();
            shelf.note_authority("https://ca", |record| record.account = Some("ACCOUNT-KEY".into())).unwrap();
        }
        let bytes = std::fs::read(directory.path().join("store.redb")).unwrap();
        for secret in ["KEY-IN-CLEAR", "ACCOUNT-KEY"] {
            assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()), "{secret}");
        }
        let shelf = Shelf::open(store(directory.path())).unwrap();
        assert_eq!(shelf.get("demo").imported.unwrap().added, Timestamp(5));
        assert_eq!(shelf.authority("https://ca").unwrap().account, Some("ACCOUNT-KEY".into()));
        assert!(shelf.get("other").is_empty());
    }

    #[test]
    fn what_another_key_sealed_is_never_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        Shelf::open(store(directory.path()))
            .unwrap()
            .note("demo", |holding| holding.renew_now = true)
            .unwrap();
        std::fs::remove_file(directory.path().join("key")).unwrap();
        let shelf = Shelf::open(store(directory.path())).unwrap();
        assert!(shelf.note("demo", |holding| holding.refused = Some(Trouble::default())).is_err());
        shelf.note("other", |holding| holding.renew_now = true).unwrap();
        assert!(shelf.get("demo").is_empty());
    }
}
