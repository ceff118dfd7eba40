//! Persistent collections in memory, with a bound.
//!
//! Records are spread over shards by their keys, each with its own lock, so
//! that transactions of different clients do not wait for each other. A full
//! shard drops the record that was used longest ago.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::persistent::{Collection, CollectionStore, PersistentRecord};

/// Most shards.
const SHARDS: usize = 16;
/// Records a shard should have at least.
const RECORDS_PER_SHARD: usize = 256;
/// Bytes for each record, on average, when nothing else is said.
const BYTES_PER_RECORD: usize = 4096;

/// Records in memory, bounded in number and bytes.
#[derive(Debug)]
pub struct MemoryStore {
    shards: Box<[Mutex<Shard>]>,
    hasher: RandomState,
}

type Place = (Collection, Vec<u8>);

#[derive(Debug)]
struct Shard {
    entries: HashMap<Arc<Place>, Entry>,
    /// Who was used when, the longest ago first.
    order: BTreeMap<u64, Arc<Place>>,
    clock: u64,
    bytes: usize,
    most_entries: usize,
    most_bytes: usize,
}

#[derive(Debug)]
struct Entry {
    record: PersistentRecord,
    used: u64,
    bytes: usize,
}

impl MemoryStore {
    /// For so many records, of 4 KiB on average.
    pub fn new(records: usize) -> Self {
        Self::bounded(records, records.saturating_mul(BYTES_PER_RECORD))
    }

    /// For so many records and so many bytes of names and values.
    pub fn bounded(records: usize, bytes: usize) -> Self {
        let count = (records / RECORDS_PER_SHARD).clamp(1, SHARDS);
        let shard = || {
            Mutex::new(Shard {
                entries: HashMap::new(),
                order: BTreeMap::new(),
                clock: 0,
                bytes: 0,
                most_entries: records.div_ceil(count).max(1),
                most_bytes: bytes.div_ceil(count),
            })
        };
        Self { shards: (0..count).map(|_| shard()).collect(), hasher: RandomState::new() }
    }

    /// Number of records.
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).entries.len()).sum()
    }

    /// Whether there is no record.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The places of all records, in no order. Records that have expired may be among them.
    pub fn places(&self) -> Vec<(Collection, Vec<u8>)> {
        let of = |shard| lock(shard).entries.keys().map(|place| (**place).clone()).collect::<Vec<_>>();
        self.shards.iter().flat_map(of).collect()
    }

    /// Bytes of names and values, with what keeping them takes.
    pub fn bytes(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).bytes).sum()
    }

    fn shard(&self, place: &Place) -> MutexGuard<'_, Shard> {
        let index = self.hasher.hash_one(place) as usize % self.shards.len();
        lock(&self.shards[index])
    }
}

impl CollectionStore for MemoryStore {
    fn load(&self, collection: Collection, key: &[u8], now: Duration) -> Option<PersistentRecord> {
        let place = (collection, key.to_vec());
        let mut shard = self.shard(&place);
        shard.touch(&place, now).map(|entry| entry.record.clone())
    }

    fn update(
        &self,
        collection: Collection,
        key: &[u8],
        now: Duration,
        change: &mut dyn FnMut(&mut PersistentRecord),
    ) {
        let place = (collection, key.to_vec());
        let mut shard = self.shard(&place);
        let mut record = shard.touch(&place, now).map(|entry| entry.record.clone()).unwrap_or_default();
        change(&mut record);
        shard.put(place, record);
    }
}

impl Shard {
    /// The living entry of a place, now the one used last.
    fn touch(&mut self, place: &Place, now: Duration) -> Option<&Entry> {
        if self.entries.get(place)?.record.expires <= now {
            self.remove(place);
            return None;
        }
        self.clock += 1;
        let entry = self.entries.get_mut(place)?;
        let used = std::mem::replace(&mut entry.used, self.clock);
        if let Some(place) = self.order.remove(&used) {
            self.order.insert(self.clock, place);
        }
        self.entries.get(place)
    }

    fn put(&mut self, place: Place, record: PersistentRecord) {
        self.remove(&place);
        let bytes = place.1.len() + record.size();
        self.clock += 1;
        let place = Arc::new(place);
        self.order.insert(self.clock, place.clone());
        self.entries.insert(place, Entry { record, used: self.clock, bytes });
        self.bytes += bytes;
        while self.entries.len() > self.most_entries || self.bytes > self.most_bytes {
            let Some((_, oldest)) = self.order.first_key_value() else { break };
            let oldest = oldest.clone();
            self.remove(&oldest);
        }
    }

    fn remove(&mut self, place: &Place) {
        if let Some(entry) = self.entries.remove(place) {
            self.order.remove(&entry.used);
            self.bytes -= entry.bytes;
        }
    }
}

/// A panic elsewhere leaves at worst one record half changed, never the shard.
fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collections::persistent::PersistentVariable;

    const NOW: Duration = Duration::from_secs(1000);
    const LATER: Duration = Duration::from_secs(2000);

    fn put(store: &MemoryStore, key: &[u8], value: &[u8]) {
        store.update(Collection::Ip, key, NOW, &mut |record| {
            record.expires = LATER;
            let variable = PersistentVariable { name: b"v".to_vec(), value: value.to_vec(), expires: None };
            record.variables = vec![variable];
        });
    }

    #[test]
    fn the_least_recently_used_makes_room() {
        let store = MemoryStore::new(2);
        put(&store, b"a", b"1");
        put(&store, b"b", b"2");
        assert!(store.load(Collection::Ip, b"a", NOW).is_some());
        put(&store, b"c", b"3");
        assert!(store.load(Collection::Ip, b"b", NOW).is_none());
        assert!(store.load(Collection::Ip, b"a", NOW).is_some());
        assert!(store.load(Collection::Session, b"a", NOW).is_none());
        assert_eq!(store.len(), 2);
        let mut places = store.places();
        places.sort();
        assert_eq!(places, [(Collection::Ip, b"a".to_vec()), (Collection::Ip, b"c".to_vec())]);
        assert!(store.load(Collection::Ip, b"a", LATER).is_none());
        assert_eq!(store.len(), 1);
    }

    #[test]
    fn bytes_are_bounded() {
        let store = MemoryStore::bounded(100, 10_000);
        for index in 0..50_u8 {
            put(&store, &[index], &[0; 1000]);
            assert!(store.bytes() <= 10_000);
        }
        assert!(store.len() >= 5 && store.load(Collection::Ip, &[49], NOW).is_some());
        put(&store, b"large", &[0; 20_000]);
        assert!(store.bytes() <= 10_000);
        assert!(store.load(Collection::Ip, b"large", NOW).is_none());
    }

    #[test]
    fn many_threads_lose_no_update() {
        let store = MemoryStore::new(10_000);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for round in 0..500_u32 {
                        let key = [(round % 7) as u8];
                        store.update(Collection::Ip, &key, NOW, &mut |record| {
                            record.updates += 1;
                            record.expires = LATER;
                        });
                    }
                });
            }
        });
        let all = (0..7).filter_map(|key| store.load(Collection::Ip, &[key], NOW));
        assert_eq!(all.map(|record| record.updates).sum::<u64>(), 2000);
    }
}
