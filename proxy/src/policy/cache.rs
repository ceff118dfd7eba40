//! A shared response cache (RFC 9111, a subset that never guesses in favour of storing).
//!
//! Kept: complete answers 200, 203, 301, 308, 404 and 410 to GET without `Range` and `Authorization`, without
//! `Set-Cookie`, `private`, `no-store` and `no-cache`, that say how long they are fresh or lie under a prefix for which
//! the route says it. Keys hold scheme, host, path and query; `Vary` picks among the answers of a key. Stale answers are
//! not revalidated but fetched anew. Requests cannot force their way past the cache.

mod entry;
mod freshness;
mod recording;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

pub use entry::Entry;
pub use recording::Recording;

use crate::request::Request;

/// Most answers of one key.
const MAX_VARIANTS: usize = 8;
/// What an entry costs beside its bytes.
const OVERHEAD: usize = 512;

/// What a route keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheRules {
    /// How long answers are fresh that do not say it themselves, by path prefix at segment borders; the longest prefix
    /// decides. Requests with cookies are never answered from, nor stored by, such a rule.
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

/// What identifies a resource: scheme, host, path and query, with the case of the host folded.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CacheKey(Box<[u8]>);

impl CacheKey {
    /// The key of a request. The authority's port counts: apps may answer with absolute links.
    pub fn of(request: &Request, secure: bool) -> Self {
        let scheme: &[u8] = if secure { b"https:" } else { b"http:" };
        let authority = request.authority.to_ascii_lowercase();
        Self([scheme, &authority, b" ", &request.path_and_query].concat().into())
    }

    fn path_and_query(&self) -> &[u8] {
        let space = self.0.iter().position(|byte| *byte == b' ');
        space.map_or(&[], |space| &self.0[space + 1..])
    }
}

/// The kept answers of one route; the least recently used goes first.
#[derive(Debug)]
pub struct Cache {
    rules: CacheRules,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    keys: HashMap<CacheKey, Vec<Slot>>,
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

    /// A fresh answer for this request.
    pub fn find(&self, key: &CacheKey, request: &Request, now: SystemTime) -> Option<Arc<Entry>> {
        if !entry::may_be_answered(request) {
            return None;
        }
        let inner = &mut *self.lock();
        let place = inner.keys.get(key)?.iter().position(|slot| slot.entry.fits(request))?;
        let fresh = inner.keys.get(key).is_some_and(|slots| slots[place].entry.is_fresh(now));
        if !fresh {
            inner.drop_slot(key, place);
            return None;
        }
        inner.clock += 1;
        let clock = inner.clock;
        let slot = inner.keys.get_mut(key)?.get_mut(place)?;
        let used = std::mem::replace(&mut slot.used, clock);
        let entry = slot.entry.clone();
        inner.uses.remove(&used);
        inner.uses.insert(clock, key.clone());
        Some(entry)
    }

    /// Keeps an answer, in place of one for the same requests.
    pub fn store(&self, key: CacheKey, entry: Entry) {
        let size = entry.size() + key.0.len() + OVERHEAD;
        if size > self.rules.max_size || entry.size() > self.rules.max_entry {
            return;
        }
        let inner = &mut *self.lock();
        let same = |slots: &Vec<Slot>| slots.iter().position(|slot| slot.entry.same_selection(&entry));
        if let Some(place) = inner.keys.get(&key).and_then(same) {
            inner.drop_slot(&key, place);
        }
        if inner.keys.get(&key).is_some_and(|slots| slots.len() >= MAX_VARIANTS) {
            inner.drop_slot(&key, 0);
        }
        while inner.size + size > self.rules.max_size && inner.drop_oldest() {}
        inner.clock += 1;
        let used = inner.clock;
        inner.size += size;
        inner.uses.insert(used, key.clone());
        inner.keys.entry(key).or_default().push(Slot { entry: Arc::new(entry), used, size });
    }

    /// Forgets the answers of one resource, whatever scheme and host: an unsafe request changed it (section 4.4).
    pub fn invalidate(&self, key: &CacheKey) {
        self.lock().drop_key(key);
    }

    /// Forgets what lies under a path (all hosts), or everything. How many answers that were.
    pub fn purge(&self, path: Option<&str>) -> usize {
        let inner = &mut *self.lock();
        let lies_under = |key: &CacheKey| match path {
            None => true,
            Some(path) => {
                let rest = key.path_and_query().strip_prefix(path.trim_end_matches('*').as_bytes());
                rest.is_some_and(|rest| path.ends_with('*') || rest.is_empty() || rest[0] == b'?')
            }
        };
        let keys: Vec<_> = inner.keys.keys().filter(|key| lies_under(key)).cloned().collect();
        keys.iter().map(|key| inner.drop_key(key)).sum()
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

    fn drop_key(&mut self, key: &CacheKey) -> usize {
        let slots = self.keys.remove(key).unwrap_or_default();
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
mod tests {
    use super::*;
    use crate::http1::response::ResponseHead;
    use crate::http1::target::Scheme;

    fn request(target: &str, host: &str, lines: &str) -> Request {
        let head = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n{lines}\r\n");
        crate::http1::request::parse_request(head.into(), Scheme::Http, 100).unwrap()
    }

    fn answer(fields: &[(&'static str, &'static str)]) -> ResponseHead {
        let mut head = ResponseHead::new(200);
        fields.iter().for_each(|(name, value)| head.headers.push(*name, *value));
        head
    }

    fn put(
        cache: &Cache,
        request: &Request,
        fields: &[(&'static str, &'static str)],
        body: &'static [u8],
    ) -> bool {
        let Some(mut recording) = Recording::begin(
            cache.rules(),
            request,
            CacheKey::of(request, false),
            &answer(fields),
            SystemTime::now(),
            &crate::budget::Budget::of_server(1 << 20),
        ) else {
            return false;
        };
        recording.piece(&bytes::Bytes::from_static(body));
        recording.finish(cache);
        true
    }

    fn got(cache: &Cache, request: &Request) -> Option<Vec<u8>> {
        let found = cache.find(&CacheKey::of(request, false), request, SystemTime::now())?;
        Some(found.body.to_vec())
    }

    #[test]
    fn answers_are_found_by_host_path_and_what_they_vary_by() {
        let cache = Cache::new(CacheRules::default());
        let fresh = ("cache-control", "max-age=60");
        let plain = request("/a?b", "x.org", "");
        assert!(put(&cache, &plain, &[fresh], b"plain"));
        assert_eq!(got(&cache, &plain).as_deref(), Some(&b"plain"[..]));
        assert_eq!(got(&cache, &request("/a?b", "X.org", "")).as_deref(), Some(&b"plain"[..]));
        for other in [
            request("/a?c", "x.org", ""),
            request("/a?b", "y.org", ""),
            request("/a?b", "x.org", "Range: bytes=0-1\r\n"),
            request("/a?b", "x.org", "Authorization: Basic eA==\r\n"),
        ] {
            assert_eq!(got(&cache, &other), None, "{:?}", other.headers);
        }
        assert!(cache.find(&CacheKey::of(&plain, true), &plain, SystemTime::now()).is_none());
        let german = request("/v", "x.org", "Accept-Language: de\r\n");
        let english = request("/v", "x.org", "Accept-Language: en\r\n");
        assert!(put(&cache, &german, &[fresh, ("vary", "Accept-Language")], b"hallo"));
        assert_eq!(got(&cache, &english), None);
        assert!(put(&cache, &english, &[fresh, ("vary", "accept-language")], b"hello"));
        assert_eq!(got(&cache, &german).as_deref(), Some(&b"hallo"[..]));
        assert_eq!(got(&cache, &english).as_deref(), Some(&b"hello"[..]));
        assert_eq!(cache.usage().0, 3);
        assert_eq!(cache.purge(Some("/v")), 2);
        assert_eq!(got(&cache, &german), None);
        cache.invalidate(&CacheKey::of(&plain, false));
        assert_eq!(cache.usage(), (0, 0));
    }

    #[test]
    fn memory_is_bounded_and_the_least_used_goes_first() {
        let rules = CacheRules { max_size: 20_000, max_entry: 5_000, ..CacheRules::default() };
        let cache = Cache::new(rules);
        let fresh = [("cache-control", "max-age=60")];
        static BODY: [u8; 4_000] = [b'x'; 4_000];
        let page = |number: usize| request(&format!("/{number}"), "x.org", "");
        for number in 0..100 {
            assert!(put(&cache, &page(number), &fresh, &BODY));
            let _ = got(&cache, &page(0));
            assert!(cache.usage().1 <= 20_000);
        }
        assert!(got(&cache, &page(0)).is_some(), "what is used stays");
        assert!(got(&cache, &page(50)).is_none());
        assert_eq!(cache.purge(None), cache.usage().0.max(4));
        static LARGE: [u8; 6_000] = [b'x'; 6_000];
        put(&cache, &page(1), &fresh, &LARGE);
        assert!(got(&cache, &page(1)).is_none());
    }

    #[test]
    fn only_what_says_so_is_kept() {
        let rules = CacheRules {
            prefixes: vec![("/assets".into(), Duration::from_secs(60))],
            ..CacheRules::default()
        };
        let kept = |target: &str, lines: &str, fields: &[(&'static str, &'static str)]| {
            let cache = Cache::new(rules.clone());
            let request = request(target, "x.org", lines);
            put(&cache, &request, fields, b"x") && got(&cache, &request).is_some()
        };
        let cc = |value: &'static str| [("cache-control", value)];
        assert!(kept("/", "", &cc("public, max-age=60")));
        assert!(kept("/", "Cookie: a=b\r\n", &cc("public, max-age=60")));
        assert!(kept("/assets/x", "", &[]));
        assert!(kept("/assets/x", "Cache-Control: no-cache\r\n", &[]));
        assert!(!kept("/assetsx", "", &[]));
        assert!(!kept("/assets/x", "Cookie: a=b\r\n", &[]));
        assert!(!kept("/assets/x", "Cache-Control: no-store\r\n", &[]));
        assert!(!kept("/", "", &[]));
        for refused in [
            "max-age=0",
            "no-store, max-age=60",
            "private, max-age=60",
            "no-cache, max-age=60",
            "max-age=60, s-maxage=0",
            "max-age=x",
            "max-age=-1",
        ] {
            assert!(!kept("/", "", &cc(refused)), "{refused}");
        }
        assert!(kept("/", "", &cc("max-age=0, s-maxage=60")));
        assert!(!kept("/", "", &[("cache-control", "max-age=60"), ("set-cookie", "a=b")]));
        assert!(!kept("/", "", &[("cache-control", "max-age=60"), ("vary", "*")]));
        assert!(!kept("/", "", &[("cache-control", "max-age=60"), ("age", "100")]));
        assert!(!kept("/", "", &[("expires", "Thu, 01 Jan 1970 00:00:00 GMT")]));
        assert!(kept("/", "", &[("expires", "Thu, 01 Jan 2099 00:00:00 GMT")]));
    }
}
