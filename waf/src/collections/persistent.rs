//! Records that outlive a transaction: IP, SESSION, USER, GLOBAL, RESOURCE.
//!
//! The caller gives a store; [`MemoryStore`] keeps a bounded number of records
//! in memory. Time is always handed in.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

pub use hop3_seclang::ast::Collection;

/// Most variables of one record.
const VARIABLES_LIMIT: usize = 256;
/// Most bytes of one value.
const VALUE_LIMIT: usize = 64 * 1024;

/// One variable of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersistentVariable {
    /// Its name, in lower case.
    pub name: Vec<u8>,
    /// Its value.
    pub value: Vec<u8>,
    /// When it disappears, since the epoch.
    pub expires: Option<Duration>,
}

/// A record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PersistentRecord {
    /// Its variables in the order they were set first.
    pub variables: Vec<PersistentVariable>,
    /// When the whole record disappears unless it is written again, since the epoch.
    pub expires: Duration,
}

/// Keeps records between transactions. Must not block for long.
pub trait CollectionStore: Send + Sync + std::fmt::Debug {
    /// The record of a key, if it is there and alive at `now`.
    fn load(&self, collection: Collection, key: &[u8], now: Duration) -> Option<PersistentRecord>;
    /// Writes a record.
    fn save(&self, collection: Collection, key: &[u8], record: &PersistentRecord, now: Duration);
}

/// Records in memory, at most as many as it was made for; when it is full the
/// record that would disappear first makes room.
#[derive(Debug)]
pub struct MemoryStore {
    records: Mutex<HashMap<(Collection, Vec<u8>), PersistentRecord>>,
    capacity: usize,
}

impl MemoryStore {
    /// For so many records.
    pub fn new(capacity: usize) -> Self {
        Self { records: Mutex::default(), capacity: capacity.max(1) }
    }
}

impl CollectionStore for MemoryStore {
    fn load(&self, collection: Collection, key: &[u8], now: Duration) -> Option<PersistentRecord> {
        let records = self.records.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        records.get(&(collection, key.to_vec())).filter(|record| record.expires > now).cloned()
    }

    fn save(&self, collection: Collection, key: &[u8], record: &PersistentRecord, now: Duration) {
        let mut records = self.records.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let place = (collection, key.to_vec());
        if records.len() >= self.capacity && !records.contains_key(&place) {
            records.retain(|_, record| record.expires > now);
            if records.len() >= self.capacity {
                let first =
                    records.iter().min_by_key(|(_, record)| record.expires).map(|(key, _)| key.clone());
                first.map(|key| records.remove(&key));
            }
        }
        records.insert(place, record.clone());
    }
}

/// A record that this transaction opened.
#[derive(Debug)]
pub(crate) struct OpenRecord {
    pub(crate) collection: Collection,
    pub(crate) key: Vec<u8>,
    record: PersistentRecord,
    changed: bool,
}

impl OpenRecord {
    pub(crate) fn new(
        collection: Collection,
        key: Vec<u8>,
        record: Option<PersistentRecord>,
        now: Duration,
    ) -> Self {
        let mut record = record.unwrap_or_default();
        record.variables.retain(|variable| variable.expires.is_none_or(|expires| expires > now));
        Self { collection, key, record, changed: false }
    }

    pub(crate) fn get(&self, name: &[u8]) -> Option<&[u8]> {
        let found = self.record.variables.iter().find(|known| known.name.eq_ignore_ascii_case(name));
        found.map(|variable| variable.value.as_slice())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.record.variables.iter().map(|variable| (variable.name.as_slice(), variable.value.as_slice()))
    }

    /// Sets or unsets a variable.
    pub(crate) fn set(&mut self, name: &[u8], value: Option<Vec<u8>>) {
        self.changed = true;
        let place = self.record.variables.iter().position(|known| known.name.eq_ignore_ascii_case(name));
        match (place, value) {
            (Some(place), Some(mut value)) => {
                value.truncate(VALUE_LIMIT);
                self.record.variables[place].value = value;
            }
            (Some(place), None) => drop(self.record.variables.remove(place)),
            (None, Some(mut value)) if self.record.variables.len() < VARIABLES_LIMIT => {
                value.truncate(VALUE_LIMIT);
                let name = name.to_ascii_lowercase();
                self.record.variables.push(PersistentVariable { name, value, expires: None });
            }
            (None, _) => {}
        }
    }

    /// Lets a variable disappear at a time.
    pub(crate) fn expire(&mut self, name: &[u8], at: Duration) {
        let found = self.record.variables.iter_mut().find(|known| known.name.eq_ignore_ascii_case(name));
        if let Some(variable) = found {
            variable.expires = Some(at);
            self.changed = true;
        }
    }

    /// Writes the record back when rules changed it.
    pub(crate) fn save(&mut self, store: &dyn CollectionStore, now: Duration, timeout: Duration) {
        if std::mem::take(&mut self.changed) {
            self.record.expires = now + timeout;
            store.save(self.collection, &self.key, &self.record, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(1000);

    #[test]
    fn records_come_back_and_expire() {
        let store = MemoryStore::new(2);
        let mut open = OpenRecord::new(Collection::Ip, b"a".to_vec(), None, NOW);
        open.set(b"Count", Some(b"1".to_vec()));
        open.set(b"other", Some(b"2".to_vec()));
        open.expire(b"other", NOW + Duration::from_secs(5));
        open.save(&store, NOW, Duration::from_secs(60));
        let later = NOW + Duration::from_secs(10);
        let again =
            OpenRecord::new(Collection::Ip, b"a".to_vec(), store.load(Collection::Ip, b"a", later), later);
        assert_eq!(again.get(b"COUNT"), Some(&b"1"[..]));
        assert_eq!(again.get(b"other"), None);
        assert_eq!(store.load(Collection::Ip, b"a", NOW + Duration::from_secs(61)), None);
    }

    #[test]
    fn the_store_is_bounded() {
        let store = MemoryStore::new(2);
        for (key, seconds) in [(b"a", 10), (b"b", 5), (b"c", 20)] {
            let record = PersistentRecord { variables: vec![], expires: NOW + Duration::from_secs(seconds) };
            store.save(Collection::Global, key, &record, NOW);
        }
        assert!(store.load(Collection::Global, b"b", NOW).is_none());
        assert!(store.load(Collection::Global, b"a", NOW).is_some());
    }
}
