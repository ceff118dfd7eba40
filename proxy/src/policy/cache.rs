//! A shared response cache (RFC 9111, a subset that never guesses in favour of storing).
//!
//! Kept: complete answers 200, 203, 301, 308, 404 and 410 to GET without `Range` and `Authorization`, without
//! `Set-Cookie`, `private`, `no-store` and `no-cache`, that say how long they are fresh or lie under a prefix for which
//! the route says it. Keys hold path, query, scheme, host and whether the canary answers; `Vary` picks among the answers
//! of a key, by what the back end saw of a request and not by what the client sent. An answer that does not say itself how
//! long it is fresh is for requests without cookies of the application alone. Stale answers are not revalidated but
//! fetched anew. Requests cannot force their way past the cache.

mod entry;
mod freshness;
mod own_cookie;
mod recording;
mod selection;

use std::cell::LazyCell;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

pub use entry::Entry;
pub use freshness::Life;
pub use own_cookie::{remove_cookie, take_set_cookie};
pub use recording::Recording;
pub use selection::Selection;

use crate::headers::Headers;
use crate::request::Request;

/// Most answers of one key.
const MAX_VARIANTS: usize = 8;
/// What an entry costs beside its bytes.
const OVERHEAD: usize = 512;

/// What a route keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheRules {
    /// How long answers are fresh that do not say it themselves, by path prefix at segment borders; the longest prefix
    /// decides. Requests with cookies of the application are never answered from, nor stored by, such a rule.
    pub prefixes: Vec<(String, Duration)>,
    /// Bytes of all kept answers.
    pub max_size: usize,
    /// Bytes of one.
    pub max_entry: usize,
}

impl Default for CacheRules {
    fn default() -> Self {
        Self { prefixes: Vec::new(), max_size: 64 * 1024 * 1024, max_entry: 1024 * 1024 }
    }
}

impl CacheRules {
    /// How long an answer to this path is fresh that does not say it.
    pub fn default_life(&self, path: &[u8]) -> Option<Duration> {
        let matching = self.prefixes.iter().filter(|(prefix, _)| {
            let prefix = prefix.trim_end_matches('/').as_bytes();
            path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
        });
        matching.max_by_key(|(prefix, _)| prefix.len()).map(|(_, life)| *life)
    }
}

/// What identifies a resource: path and query, then scheme, host (its case folded) and who answers. Keys of one path lie
/// side by side, and clones of a key share its bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CacheKey(Arc<[u8]>);

/// What a key holds beside the request itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Origin<'r> {
    /// Whether the client used TLS.
    pub secure: bool,
    /// Whether the canary answers.
    pub canary: bool,
    /// The host that a trusted proxy tells the back end in `X-Forwarded-Host`.
    pub told_host: Option<&'r [u8]>,
    /// The port that it tells in `X-Forwarded-Port`.
    pub told_port: Option<&'r [u8]>,
}

impl CacheKey {
    /// The key of a request. The authority's port counts: apps may answer with absolute links.
    pub fn of(request: &Request, origin: Origin<'_>) -> Self {
        let scheme: &[u8] = if origin.secure { b"https:" } else { b"http:" };
        let canary: &[u8] = if origin.canary { b" canary " } else { b" " };
        let authority = request.authority.to_ascii_lowercase();
        let told = origin.told_host.unwrap_or_default().to_ascii_lowercase();
        let port = origin.told_port.unwrap_or_default();
        Self([&request.path_and_query, canary, scheme, &authority, b" ", &told, b" ", port].concat().into())
    }

    fn path_and_query(&self) -> &[u8] {
        // A target holds no space.
        let space = self.0.iter().position(|byte| *byte == b' ');
        space.map_or(&[], |space| &self.0[..space])
    }

    /// Before all keys that begin with these bytes.
    fn first_of(start: &[u8]) -> Self {
        Self(start.into())
    }
}

/// The kept answers of the routes of an app; the least recently used goes first.
#[derive(Debug)]
pub struct Cache {
    rules: CacheRules,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// In the order in which they were kept.
    keys: BTreeMap<CacheKey, Vec<Slot>>,
    /// By the moment of their last use.
    uses: BTreeMap<u64, CacheKey>,
    clock: u64,
    size: usize,
}

#[derive(Debug)]
struct Slot {
    entry: Arc<Entry>,
    used: u64,
    size: usize,
}

impl Cache {
    /// Empty.
    pub fn new(rules: CacheRules) -> Self {
        Self { rules, inner: Mutex::default() }
    }

    /// What it was made for.
    pub const fn rules(&self) -> &CacheRules {
        &self.rules
    }

    /// Whether the cache has a say in this request at all.
    pub fn serves(request: &Request) -> bool {
        entry::may_be_answered(request)
    }

    /// A fresh answer for this request, of several the youngest. `seen` are the fields that the back end would see.
    pub fn find<F: FnOnce() -> Headers>(
        &self,
        key: &CacheKey,
        request: &Request,
        seen: &LazyCell<Headers, F>,
        now: SystemTime,
    ) -> Option<Arc<Entry>> {
        if !Self::serves(request) {
            return None;
        }
        let inner = &mut *self.lock();
        inner.drop_stale(key, now);
        // What lets others see an answer is its own word, or that nobody was told from others when it was made.
        let is_for_all = |entry: &Entry| entry.life.told || !has_cookies(request, seen);
        let fits = |slot: &&mut Slot| {
            let Entry { selection, .. } = &*slot.entry;
            is_for_all(&slot.entry) && (selection.is_empty() || selection.fits(seen))
        };
        let slot = inner.keys.get_mut(key)?.iter_mut().rev().find(fits)?;
        inner.clock += 1;
        let used = std::mem::replace(&mut slot.used, inner.clock);
        let entry = slot.entry.clone();
        inner.uses.remove(&used);
        inner.uses.insert(inner.clock, key.clone());
        Some(entry)
    }

    /// Keeps an answer, in place of one for the same requests.
    pub fn store(&self, key: CacheKey, entry: Entry) {
        let size = entry.size() + key.0.len() + OVERHEAD;
        if size > self.rules.max_size || entry.size() > self.rules.max_entry {
            return;
        }
        let inner = &mut *self.lock();
        let same = |slots: &Vec<Slot>| slots.iter().position(|slot| slot.entry.selection == entry.selection);
        if let Some(place) = inner.keys.get(&key).and_then(same) {
            inner.drop_slot(&key, place);
        }
        if let Some(slots) = inner.keys.get(&key).filter(|slots| slots.len() >= MAX_VARIANTS) {
            let least_used = (0..slots.len()).min_by_key(|place| slots[*place].used);
            inner.drop_slot(&key, least_used.unwrap_or(0));
        }
        while inner.size + size > self.rules.max_size && inner.drop_oldest() {}
        inner.clock += 1;
        let used = inner.clock;
        inner.size += size;
        inner.uses.insert(used, key.clone());
        inner.keys.entry(key).or_default().push(Slot { entry: Arc::new(entry), used, size });
    }

    /// Forgets the answers of one path and query, whatever scheme and host and whoever answered: an unsafe request
    /// changed it (section 4.4).
    pub fn invalidate(&self, path_and_query: &[u8]) {
        let start = [path_and_query, b" "].concat();
        self.lock().drop_keys(&start, |_| true);
    }

    /// Forgets what lies under a path (all hosts), or everything. How many answers that were.
    pub fn purge(&self, path: Option<&str>) -> usize {
        let path = path.unwrap_or("*");
        let start = path.trim_end_matches('*').as_bytes();
        self.lock().drop_keys(start, |found| {
            let rest = found.strip_prefix(start);
            rest.is_some_and(|rest| path.ends_with('*') || rest.is_empty() || rest[0] == b'?')
        })
    }

    /// Kept answers and their bytes.
    #[cfg(test)]
    fn usage(&self) -> (usize, usize) {
        let inner = self.lock();
        (inner.uses.len(), inner.size)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the back end would see cookies of this client.
fn has_cookies<F: FnOnce() -> Headers>(request: &Request, seen: &LazyCell<Headers, F>) -> bool {
    request.headers.contains("cookie") && seen.contains("cookie")
}

impl Inner {
    fn drop_slot(&mut self, key: &CacheKey, place: usize) {
        let Some(slots) = self.keys.get_mut(key).filter(|slots| place < slots.len()) else { return };
        let slot = slots.remove(place);
        if slots.is_empty() {
            self.keys.remove(key);
        }
        self.size -= slot.size;
        self.uses.remove(&slot.used);
    }

    /// Drops the stale answers of a key.
    fn drop_stale(&mut self, key: &CacheKey, now: SystemTime) {
        let stale = |slots: &Vec<Slot>| slots.iter().position(|slot| !slot.entry.is_fresh(now));
        while let Some(place) = self.keys.get(key).and_then(stale) {
            self.drop_slot(key, place);
        }
    }

    /// Drops the keys that begin with `start` and whose path and query are `meant`. How many answers that were.
    fn drop_keys(&mut self, start: &[u8], meant: impl Fn(&[u8]) -> bool) -> usize {
        let beginning = self.keys.range(CacheKey::first_of(start)..).map(|(key, _)| key);
        let beginning = beginning.take_while(|key| key.0.starts_with(start));
        let keys: Vec<_> = beginning.filter(|key| meant(key.path_and_query())).cloned().collect();
        let slots: Vec<_> = keys.iter().filter_map(|key| self.keys.remove(key)).flatten().collect();
        for slot in &slots {
            self.size -= slot.size;
            self.uses.remove(&slot.used);
        }
        slots.len()
    }

    fn drop_oldest(&mut self) -> bool {
        let Some((used, key)) = self.uses.iter().next().map(|(used, key)| (*used, key.clone())) else {
            return false;
        };
        let place = self.keys.get(&key).and_then(|slots| slots.iter().position(|slot| slot.used == used));
        match place {
            Some(place) => self.drop_slot(&key, place),
            None => drop(self.uses.remove(&used)),
        }
        true
    }
}

#[cfg(test)]
mod tests;
