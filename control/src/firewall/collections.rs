//! Persistent collections of one app's rules: in memory, and in the store when the app wants that.
//!
//! Transactions only touch memory. What they changed is written to the store now and then, by [`Collections::flush`];
//! what memory has no room for, or what has expired, leaves the store too.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hop3_waf::{Collection, CollectionStore, MemoryStore, PersistentRecord};

use crate::store::{Durable, Store, StoreError, StoredRecord};

/// Most records (one per client address, session, …) kept for an app.
const RECORDS: usize = 20_000;
/// Most changed records that are remembered one by one; beyond that all are written.
const CHANGED: usize = 4096;

/// The collections of one app or static route. They outlive reloads of its rules.
#[derive(Debug)]
pub struct Collections {
    owner: String,
    memory: MemoryStore,
    is_stored: AtomicBool,
    changed: Mutex<Changed>,
}

type Place = (Collection, Vec<u8>);

#[derive(Debug, Default)]
struct Changed {
    places: HashSet<Place>,
    /// Too many to name.
    all: bool,
}

impl Collections {
    /// Empty ones, in memory.
    pub fn new(owner: &str) -> Arc<Collections> {
        Arc::new(Collections {
            owner: owner.to_owned(),
            memory: MemoryStore::new(RECORDS),
            is_stored: AtomicBool::new(false),
            changed: Mutex::default(),
        })
    }

    /// Keeps them in `store` from now on, or no longer. What the store has and memory has not is loaded; what must not
    /// be kept any longer is removed from it.
    ///
    /// # Errors
    /// The store cannot be read or written; then they go on in memory alone.
    pub fn keep(&self, is_stored: bool, store: &Store, now: Duration) -> Result<(), StoreError> {
        if self.is_stored.load(Ordering::Acquire) == is_stored {
            return Ok(());
        }
        if !is_stored {
            self.is_stored.store(false, Ordering::Release);
            *self.changed() = Changed::default();
            return store.note(Durable::Now, |change| change.remove_collections(&self.owner));
        }
        for record in store.read()?.collections(&self.owner)? {
            let StoredRecord { collection, key, record: stored } = record;
            if stored.expires > now && self.memory.load(collection, &key, now).is_none() {
                self.memory.update(collection, &key, now, &mut |record| *record = stored.clone());
            }
        }
        self.changed().all = true;
        self.is_stored.store(true, Ordering::Release);
        Ok(())
    }

    /// Writes what changed since the last time to `store`.
    ///
    /// # Errors
    /// The store cannot be written; what changed is written the next time.
    pub fn flush(&self, store: &Store, now: Duration) -> Result<(), StoreError> {
        if !self.is_stored.load(Ordering::Acquire) {
            return Ok(());
        }
        let changed = std::mem::take(&mut *self.changed());
        if changed.places.is_empty() && !changed.all {
            return Ok(());
        }
        let known: HashSet<Place> = self.memory.places().into_iter().collect();
        let wanted = if changed.all { known.iter() } else { changed.places.iter() };
        let records: Vec<StoredRecord> = wanted
            .filter_map(|(collection, key)| {
                let record = self.memory.load(*collection, key, now)?;
                Some(StoredRecord { collection: *collection, key: key.clone(), record })
            })
            .collect();
        let written = store.note(Durable::Now, |change| {
            change.put_collections(&self.owner, &records)?;
            change.retain_collections(&self.owner, |collection, key| {
                known.contains(&(collection, key.to_vec()))
            })
        });
        if written.is_err() {
            self.changed().all = true;
        }
        written
    }

    fn changed(&self) -> MutexGuard<'_, Changed> {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CollectionStore for Collections {
    fn load(&self, collection: Collection, key: &[u8], now: Duration) -> Option<PersistentRecord> {
        self.memory.load(collection, key, now)
    }

    fn update(
        &self,
        collection: Collection,
        key: &[u8],
        now: Duration,
        change: &mut dyn FnMut(&mut PersistentRecord),
    ) {
        self.memory.update(collection, key, now, change);
        if !self.is_stored.load(Ordering::Relaxed) {
            return;
        }
        let mut changed = self.changed();
        if changed.all {
            return;
        }
        if changed.places.len() < CHANGED {
            changed.places.insert((collection, key.to_vec()));
        } else {
            *changed = Changed { places: HashSet::new(), all: true };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Cipher;
    use hop3_waf::PersistentVariable;

    const NOW: Duration = Duration::from_secs(1000);

    fn put(collections: &Collections, key: &[u8], value: &[u8], expires: u64) {
        collections.update(Collection::Ip, key, NOW, &mut |record| {
            record.expires = Duration::from_secs(expires);
            record.updates += 1;
            let expires = Some(Duration::from_secs(1500));
            record.variables =
                vec![PersistentVariable { name: b"v".to_vec(), value: value.to_vec(), expires }];
        });
    }

    fn value(collections: &Collections, key: &[u8], now: Duration) -> Option<Vec<u8>> {
        Some(collections.load(Collection::Ip, key, now)?.variables[0].value.clone())
    }

    #[test]
    fn stored_records_outlive_the_server_and_expire() {
        let folder = tempfile::tempdir().unwrap();
        let cipher = Cipher::open(&folder.path().join("key")).unwrap();
        let store = Store::open(&folder.path().join("store"), cipher).unwrap();
        let first = Collections::new("shop");
        put(&first, b"before", b"0", 3000);
        first.keep(true, &store, NOW).unwrap();
        put(&first, b"\xffbytes", b"\x00\xfe", 3000);
        put(&first, b"short", b"1", 2000);
        first.flush(&store, NOW).unwrap();

        let again = Collections::new("shop");
        again.keep(true, &store, NOW).unwrap();
        assert_eq!(value(&again, b"before", NOW).unwrap(), b"0", "what was there before is kept too");
        assert_eq!(value(&again, b"\xffbytes", NOW).unwrap(), b"\x00\xfe");
        let record = again.load(Collection::Ip, b"short", NOW).unwrap();
        assert_eq!(record, first.load(Collection::Ip, b"short", NOW).unwrap());
        assert_eq!(again.load(Collection::Session, b"short", NOW), None);

        let late = Duration::from_secs(2500);
        let later = Collections::new("shop");
        later.keep(true, &store, late).unwrap();
        assert_eq!(value(&later, b"short", late), None, "it expired while nobody ran");
        assert!(value(&later, b"before", late).is_some());
        later.flush(&store, late).unwrap();
        assert_eq!(
            store.read().unwrap().collections("shop").unwrap().len(),
            2,
            "the store forgets it as well"
        );

        let other = Collections::new("blog");
        other.keep(true, &store, NOW).unwrap();
        assert_eq!(value(&other, b"before", NOW), None, "apps share nothing");
        later.keep(false, &store, late).unwrap();
        assert!(store.read().unwrap().collections("shop").unwrap().is_empty());
        assert!(value(&later, b"before", late).is_some(), "memory stays");
    }

    #[test]
    fn many_changes_are_written_too() {
        let folder = tempfile::tempdir().unwrap();
        let cipher = Cipher::open(&folder.path().join("key")).unwrap();
        let store = Store::open(&folder.path().join("store"), cipher).unwrap();
        let collections = Collections::new("shop");
        collections.keep(true, &store, NOW).unwrap();
        collections.flush(&store, NOW).unwrap();
        for number in 0..CHANGED + 10 {
            put(&collections, number.to_string().as_bytes(), b"x", 3000);
        }
        assert!(collections.changed().all);
        collections.flush(&store, NOW).unwrap();
        assert_eq!(store.read().unwrap().collections("shop").unwrap().len(), CHANGED + 10);
        assert!(!collections.changed().all);
    }
}
