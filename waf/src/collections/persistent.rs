//! Records that outlive a transaction: IP, SESSION, USER, GLOBAL, RESOURCE.
//!
//! A transaction works on its own copy of a record, and remembers what it
//! changed. After each phase the changes are applied to the record in the
//! store, in one step: counters of transactions that run at the same time add
//! up. Time is always handed in.

use std::time::Duration;

pub use hop3_seclang::ast::Collection;

use crate::operators::number;

/// Most variables of one record.
const VARIABLES_LIMIT: usize = 256;
/// Most bytes of one value.
const VALUE_LIMIT: usize = 64 * 1024;
/// Most bytes of one name.
const NAME_LIMIT: usize = 1024;
/// What keeping a variable takes besides its bytes, roughly.
const OVERHEAD: usize = 64;

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
    /// When it was written first (`CREATE_TIME`), since the epoch.
    pub created: Duration,
    /// When it was written last (`LAST_UPDATE_TIME`), since the epoch.
    pub updated: Duration,
    /// How many transactions wrote it (`UPDATE_COUNTER`).
    pub updates: u64,
    /// How long it lives after it was written last (`TIMEOUT`), when rules say; else SecCollectionTimeout.
    pub timeout: Option<Duration>,
    /// When the whole record disappears unless it is written again, since the epoch.
    pub expires: Duration,
}

impl PersistentRecord {
    /// Bytes of names and values, with what keeping them takes.
    pub fn size(&self) -> usize {
        let variables = self.variables.iter().map(|known| known.name.len() + known.value.len() + OVERHEAD);
        OVERHEAD + variables.sum::<usize>()
    }

    fn find(&self, name: &[u8]) -> Option<&PersistentVariable> {
        self.variables.iter().find(|known| known.name.eq_ignore_ascii_case(name))
    }

    fn put(&mut self, name: &[u8], value: Option<&[u8]>) {
        let place = self.variables.iter().position(|known| known.name.eq_ignore_ascii_case(name));
        let Some(value) = value else {
            if let Some(place) = place {
                self.variables.remove(place);
            }
            return;
        };
        if name.eq_ignore_ascii_case(b"timeout") {
            let seconds = u64::try_from(number(value)).unwrap_or(0);
            self.timeout = Some(Duration::from_secs(seconds.min(u32::MAX.into())));
        }
        let value = value[..value.len().min(VALUE_LIMIT)].to_vec();
        match place {
            Some(place) => self.variables[place].value = value,
            None if self.variables.len() < VARIABLES_LIMIT && name.len() <= NAME_LIMIT => {
                let name = name.to_ascii_lowercase();
                self.variables.push(PersistentVariable { name, value, expires: None });
            }
            None => {}
        }
    }

    fn forget_expired(&mut self, now: Duration) {
        self.variables.retain(|variable| variable.expires.is_none_or(|expires| expires > now));
    }
}

/// Keeps records between transactions. Must not block for long.
pub trait CollectionStore: Send + Sync + std::fmt::Debug {
    /// The record of a key, if it is there and alive at `now`.
    fn load(&self, collection: Collection, key: &[u8], now: Duration) -> Option<PersistentRecord>;

    /// Changes a record in one step: nobody else reads or writes it meanwhile.
    /// `change` gets the record, or an empty one when there is none that is alive.
    fn update(
        &self,
        collection: Collection,
        key: &[u8],
        now: Duration,
        change: &mut dyn FnMut(&mut PersistentRecord),
    );
}

/// A record that this transaction opened.
#[derive(Debug)]
pub(crate) struct OpenRecord {
    pub(crate) collection: Collection,
    pub(crate) key: Vec<u8>,
    record: PersistentRecord,
    is_new: bool,
    changes: Vec<(Vec<u8>, Change)>,
    /// Whether UPDATE_COUNTER counted this transaction.
    counted: bool,
}

#[derive(Clone, Debug)]
enum Change {
    Put(Option<Vec<u8>>),
    Add(i64),
    Expire(Duration),
    Deprecate { amount: u64, seconds: u64 },
}

impl Change {
    fn apply(&self, name: &[u8], record: &mut PersistentRecord, now: Duration) {
        match self {
            Change::Put(value) => record.put(name, value.as_deref()),
            Change::Add(amount) => {
                let sum = record.find(name).map_or(0, |known| number(&known.value)).saturating_add(*amount);
                record.put(name, Some(sum.to_string().as_bytes()));
            }
            Change::Expire(at) => {
                let found = record.variables.iter_mut().find(|known| known.name.eq_ignore_ascii_case(name));
                if let Some(variable) = found {
                    variable.expires = Some(*at);
                }
            }
            Change::Deprecate { amount, seconds } => {
                let Some(value) = record.find(name).map(|known| number(&known.value)) else { return };
                let idle = now.saturating_sub(record.updated).as_secs();
                let intervals = if record.updates == 0 { 0 } else { idle / (*seconds).max(1) };
                let fall = i64::try_from(intervals.saturating_mul(*amount)).unwrap_or(i64::MAX);
                if fall > 0 && value > 0 {
                    let rest = value.saturating_sub(fall).max(0);
                    record.put(name, Some(rest.to_string().as_bytes()));
                }
            }
        }
    }
}

impl OpenRecord {
    pub(crate) fn new(
        collection: Collection,
        key: Vec<u8>,
        record: Option<PersistentRecord>,
        now: Duration,
    ) -> Self {
        let is_new = record.is_none();
        let mut record = record.unwrap_or_default();
        record.forget_expired(now);
        Self { collection, key, record, is_new, changes: Vec::new(), counted: false }
    }

    pub(crate) fn get(&self, name: &[u8]) -> Option<&[u8]> {
        self.record.find(name).map(|variable| variable.value.as_slice())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.record.variables.iter().map(|variable| (variable.name.as_slice(), variable.value.as_slice()))
    }

    /// A variable that every record has (reference manual, "Persistent Storage").
    pub(crate) fn built_in(&self, name: &[u8], now: Duration) -> Option<Vec<u8>> {
        let record = &self.record;
        let created = if self.is_new && record.updates == 0 { now } else { record.created };
        let number = match name.to_ascii_lowercase().as_slice() {
            b"key" => return Some(self.key.clone()),
            b"is_new" => u64::from(self.is_new),
            b"create_time" => created.as_secs(),
            b"last_update_time" => (if record.updates == 0 { now } else { record.updated }).as_secs(),
            b"update_counter" => record.updates,
            // Per minute since the record was created.
            b"update_rate" => {
                record.updates.saturating_mul(60) / now.saturating_sub(created).as_secs().max(1)
            }
            b"timeout" => record.timeout.map_or_else(
                || record.expires.saturating_sub(record.updated).as_secs(),
                |timeout| timeout.as_secs(),
            ),
            _ => return None,
        };
        Some(number.to_string().into_bytes())
    }

    /// Sets or unsets a variable.
    pub(crate) fn set(&mut self, name: &[u8], value: Option<Vec<u8>>) {
        self.change(name, Change::Put(value));
    }

    /// Adds to a variable; one that is not there counts as 0.
    pub(crate) fn add(&mut self, name: &[u8], amount: i64) {
        self.change(name, Change::Add(amount));
    }

    /// Lets a variable disappear at a time.
    pub(crate) fn expire(&mut self, name: &[u8], at: Duration) {
        self.change(name, Change::Expire(at));
    }

    /// Lowers a variable by an amount for each interval since the record was written last.
    pub(crate) fn deprecate(&mut self, name: &[u8], amount: u64, seconds: u64, now: Duration) {
        let change = Change::Deprecate { amount, seconds };
        change.apply(name, &mut self.record, now);
        self.remember(name, change);
    }

    fn change(&mut self, name: &[u8], change: Change) {
        change.apply(name, &mut self.record, Duration::ZERO);
        self.remember(name, change);
    }

    /// What takes the place of an earlier change is joined with it, so that
    /// rules that count thousands of values leave one change.
    fn remember(&mut self, name: &[u8], change: Change) {
        let has_room = self.changes.len() < 4 * VARIABLES_LIMIT;
        let last = self.changes.iter_mut().rev().find(|(known, _)| known.eq_ignore_ascii_case(name));
        match (last, &change) {
            (Some((_, Change::Add(sum))), Change::Add(more)) => *sum = sum.saturating_add(*more),
            (Some((_, Change::Put(before))), Change::Put(value)) => before.clone_from(value),
            (Some((_, Change::Expire(before))), Change::Expire(at)) => *before = *at,
            _ if has_room => self.changes.push((name.to_ascii_lowercase(), change)),
            _ => {}
        }
    }

    /// Applies what rules changed to the record in the store, and takes over
    /// what others changed there.
    pub(crate) fn flush(&mut self, store: &dyn CollectionStore, now: Duration, timeout: Duration) {
        if self.changes.is_empty() {
            return;
        }
        let changes = std::mem::take(&mut self.changes);
        let counts = !std::mem::replace(&mut self.counted, true);
        let mut merged = PersistentRecord::default();
        store.update(self.collection, &self.key, now, &mut |record| {
            record.forget_expired(now);
            for (name, change) in &changes {
                change.apply(name, record, now);
            }
            if record.updates == 0 {
                record.created = now;
            }
            record.updates += u64::from(counts || record.updates == 0);
            record.updated = now;
            record.expires = now.saturating_add(record.timeout.unwrap_or(timeout));
            merged = record.clone();
        });
        self.record = merged;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collections::memory_store::MemoryStore;

    const NOW: Duration = Duration::from_secs(1000);
    const TIMEOUT: Duration = Duration::from_secs(60);

    fn open(store: &MemoryStore, now: Duration) -> OpenRecord {
        OpenRecord::new(Collection::Ip, b"a".to_vec(), store.load(Collection::Ip, b"a", now), now)
    }

    fn built_in(record: &OpenRecord, name: &str, now: Duration) -> String {
        String::from_utf8(record.built_in(name.as_bytes(), now).unwrap()).unwrap()
    }

    #[test]
    fn records_come_back_and_expire() {
        let store = MemoryStore::new(2);
        let mut first = open(&store, NOW);
        first.set(b"Count", Some(b"1".to_vec()));
        first.set(b"other", Some(b"2".to_vec()));
        first.expire(b"other", NOW + Duration::from_secs(5));
        first.flush(&store, NOW, TIMEOUT);
        let again = open(&store, NOW + Duration::from_secs(10));
        assert_eq!(again.get(b"COUNT"), Some(&b"1"[..]));
        assert_eq!(again.get(b"other"), None);
        assert_eq!(store.load(Collection::Ip, b"a", NOW + Duration::from_secs(61)), None);
    }

    #[test]
    fn counters_of_concurrent_transactions_add_up() {
        let store = MemoryStore::new(2);
        let (mut one, mut other) = (open(&store, NOW), open(&store, NOW));
        one.add(b"count", 3);
        other.add(b"count", 4);
        other.add(b"count", -1);
        one.flush(&store, NOW, TIMEOUT);
        other.flush(&store, NOW, TIMEOUT);
        assert_eq!(other.get(b"count"), Some(&b"6"[..]));
        one.add(b"count", 1);
        one.flush(&store, NOW, TIMEOUT);
        assert_eq!(open(&store, NOW).get(b"count"), Some(&b"7"[..]));
        assert_eq!(built_in(&one, "update_counter", NOW), "2");
    }

    #[test]
    fn what_every_record_has() {
        let store = MemoryStore::new(2);
        let mut first = open(&store, NOW);
        for (name, value) in [("KEY", "a"), ("IS_NEW", "1"), ("CREATE_TIME", "1000"), ("UPDATE_COUNTER", "0")]
        {
            assert_eq!(built_in(&first, name, NOW), value, "{name}");
        }
        first.set(b"x", Some(b"1".to_vec()));
        first.set(b"timeout", Some(b"90".to_vec()));
        first.flush(&store, NOW, TIMEOUT);
        let later = NOW + Duration::from_secs(80);
        let again = open(&store, later);
        for (name, value) in [
            ("is_new", "0"),
            ("create_time", "1000"),
            ("last_update_time", "1000"),
            ("update_counter", "1"),
            ("update_rate", "0"),
            ("timeout", "90"),
        ] {
            assert_eq!(built_in(&again, name, later), value, "{name}");
        }
        assert_eq!(again.built_in(b"x", later), None);
    }

    #[test]
    fn deprecated_variables_fall_with_time() {
        let store = MemoryStore::new(2);
        let mut first = open(&store, NOW);
        first.set(b"score", Some(b"100".to_vec()));
        first.deprecate(b"score", 10, 5, NOW);
        first.flush(&store, NOW, TIMEOUT);
        assert_eq!(first.get(b"score"), Some(&b"100"[..]));
        let later = NOW + Duration::from_secs(17);
        let mut again = open(&store, later);
        again.deprecate(b"score", 10, 5, later);
        assert_eq!(again.get(b"score"), Some(&b"70"[..]));
        again.flush(&store, later, TIMEOUT);
        assert_eq!(again.get(b"score"), Some(&b"70"[..]));
        let end = later + Duration::from_secs(59);
        let mut last = open(&store, end);
        last.deprecate(b"score", 10, 5, end);
        assert_eq!(last.get(b"score"), Some(&b"0"[..]));
    }
}
