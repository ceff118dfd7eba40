//! What `@rbl` asks: block lists of the DNS, looked up in the background.
//!
//! A transaction is answered from a bounded cache and never waits. A name that is not there counts as not listed, and is
//! looked up for the next time; a few at once, and only so many may wait.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hop3_waf::{BlockLists, Listing};
use tokio::sync::{Semaphore, mpsc};

/// Most names that are remembered.
const NAMES: usize = 16_384;
/// Most names that wait to be looked up.
const WAITING: usize = 1024;
/// Most look-ups at once.
const AT_ONCE: usize = 16;
/// How long a look-up may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a listed name is remembered.
const LISTED: Duration = Duration::from_secs(15 * 60);
/// How long one that is not listed is.
const NOT_LISTED: Duration = Duration::from_secs(5 * 60);
/// How long a name is not asked again after a look-up that failed.
const FAILED: Duration = Duration::from_secs(60);

/// Asks name servers.
pub trait Resolve: Send + Sync + 'static {
    /// The addresses of a name; none when there is no such name.
    fn resolve(&self, name: String) -> Pin<Box<dyn Future<Output = Result<Vec<IpAddr>, String>> + Send>>;
}

/// The resolver of the system, by tokio.
#[derive(Debug, Clone, Copy)]
pub struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve(&self, name: String) -> Pin<Box<dyn Future<Output = Result<Vec<IpAddr>, String>> + Send>> {
        Box::pin(async move {
            // With a dot at its end no search list is tried.
            match tokio::net::lookup_host((format!("{name}."), 0)).await {
                Ok(found) => Ok(found.map(|address| address.ip()).collect()),
                // The system's words for EAI_AGAIN and EAI_FAIL; all others say that there is no such name.
                Err(error) => match error.to_string() {
                    text if text.contains("emporary") || text.contains("recoverable") => Err(text),
                    _ => Ok(Vec::new()),
                },
            }
        })
    }
}

/// The block lists, as the engine asks them.
pub struct NameServers {
    cache: Arc<Mutex<Cache>>,
    wanted: mpsc::Sender<String>,
}

/// Answers and when they end.
#[derive(Debug, Default)]
struct Cache {
    answers: HashMap<String, (Listing, Instant)>,
    /// Names by the moment their answers end.
    ends: BTreeMap<(Instant, u64), String>,
    counter: u64,
}

impl NameServers {
    /// Starts looking up, on the runtime that this is called on. Ends when it is dropped.
    pub fn start(resolver: impl Resolve) -> Arc<NameServers> {
        let (wanted, names) = mpsc::channel(WAITING);
        let cache: Arc<Mutex<Cache>> = Arc::default();
        tokio::spawn(look_up(names, cache.clone(), Arc::new(resolver)));
        Arc::new(NameServers { cache, wanted })
    }
}

impl BlockLists for NameServers {
    fn find(&self, name: &str) -> Listing {
        let now = Instant::now();
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        match cache.answers.get(name) {
            Some((answer, end)) if *end > now => *answer,
            known => {
                // What was known stays the answer while it is looked up again.
                let answer = known.map_or(Listing::Unknown, |(answer, _)| *answer);
                if self.wanted.try_send(name.to_owned()).is_ok() {
                    // Nobody else asks meanwhile.
                    cache.put(name.to_owned(), answer, now + 2 * PATIENCE);
                }
                answer
            }
        }
    }
}

impl fmt::Debug for NameServers {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("NameServers").finish_non_exhaustive()
    }
}

impl Cache {
    fn put(&mut self, name: String, answer: Listing, end: Instant) {
        self.counter += 1;
        if let Some((_, old)) = self.answers.insert(name.clone(), (answer, end)) {
            let places = self.ends.range((old, 0)..=(old, u64::MAX));
            let place = places.into_iter().find(|(_, known)| **known == name).map(|(place, _)| *place);
            place.and_then(|place| self.ends.remove(&place));
        }
        self.ends.insert((end, self.counter), name);
        while self.answers.len() > NAMES {
            let Some((_, first)) = self.ends.pop_first() else { break };
            self.answers.remove(&first);
        }
    }
}

async fn look_up(mut names: mpsc::Receiver<String>, cache: Arc<Mutex<Cache>>, resolver: Arc<dyn Resolve>) {
    let slots = Arc::new(Semaphore::new(AT_ONCE));
    while let Some(name) = names.recv().await {
        let Ok(slot) = slots.clone().acquire_owned().await else { return };
        let (cache, resolver) = (cache.clone(), resolver.clone());
        tokio::spawn(async move {
            // The system's resolver cannot be interrupted: its slot is taken until it gives up.
            let answer = tokio::spawn(async move {
                let answer = resolver.resolve(name.clone()).await;
                drop(slot);
                (name, answer)
            });
            let Ok(Ok((name, answer))) = tokio::time::timeout(PATIENCE, answer).await else { return };
            let (listing, lifetime) = match &answer {
                Ok(addresses) => match addresses.iter().find(|address| is_code(address)) {
                    Some(code) => (Listing::Listed(*code), LISTED),
                    None => (Listing::NotListed, NOT_LISTED),
                },
                Err(error) => {
                    // Only the end of the name: others have a secret key in front.
                    let list = &name[name.rmatch_indices('.').nth(1).map_or(0, |(at, _)| at + 1)..];
                    tracing::debug!(list, error, "a block list does not answer");
                    (Listing::Unknown, FAILED)
                }
            };
            let mut cache = cache.lock().unwrap_or_else(PoisonError::into_inner);
            cache.put(name, listing, Instant::now() + lifetime);
        });
    }
}

/// Whether an address is the answer of a block list: within 127.0.0.0/8 (RFC 5782, section 2.1), but not 127.255.255.0/24,
/// which says that the one who asks is not welcome. Others come from name servers that make up answers.
fn is_code(address: &IpAddr) -> bool {
    matches!(address, IpAddr::V4(address) if address.is_loopback() && !address.octets().starts_with(&[127, 255, 255]))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Answers from a table, and counts what it is asked.
    #[derive(Clone, Default)]
    struct Table {
        asked: Arc<AtomicUsize>,
        at_once: Arc<AtomicUsize>,
        most: Arc<AtomicUsize>,
    }

    impl Resolve for Table {
        fn resolve(&self, name: String) -> Pin<Box<dyn Future<Output = Result<Vec<IpAddr>, String>> + Send>> {
            let table = self.clone();
            Box::pin(async move {
                table.asked.fetch_add(1, Ordering::SeqCst);
                let running = table.at_once.fetch_add(1, Ordering::SeqCst) + 1;
                table.most.fetch_max(running, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(2)).await;
                table.at_once.fetch_sub(1, Ordering::SeqCst);
                match name.split('.').next().unwrap() {
                    "listed" => Ok(vec![[127, 0, 0, 4].into()]),
                    "forged" => Ok(vec![[192, 0, 2, 1].into()]),
                    "unwelcome" => Ok(vec![[127, 255, 255, 254].into()]),
                    "broken" => Err("temporary".into()),
                    _ => Ok(Vec::new()),
                }
            })
        }
    }

    async fn settled(lists: &NameServers, table: &Table, name: &str, asked: usize) -> Listing {
        let _first = lists.find(name);
        for _ in 0..500 {
            tokio::time::sleep(Duration::from_millis(2)).await;
            if table.asked.load(Ordering::SeqCst) == asked && table.at_once.load(Ordering::SeqCst) == 0 {
                break;
            }
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
        lists.find(name)
    }

    #[tokio::test]
    async fn answers_are_known_the_next_time() {
        let table = Table::default();
        let lists = NameServers::start(table.clone());
        assert_eq!(lists.find("listed.bl.test"), Listing::Unknown, "nobody waits");
        assert_eq!(lists.find("listed.bl.test"), Listing::Unknown);
        let code = IpAddr::from([127, 0, 0, 4]);
        assert_eq!(settled(&lists, &table, "listed.bl.test", 1).await, Listing::Listed(code));
        assert_eq!(table.asked.load(Ordering::SeqCst), 1, "once is enough");
        for (number, (name, answer)) in [
            ("clean.bl.test", Listing::NotListed),
            ("forged.bl.test", Listing::NotListed),
            ("unwelcome.bl.test", Listing::NotListed),
            ("broken.bl.test", Listing::Unknown),
        ]
        .into_iter()
        .enumerate()
        {
            assert_eq!(settled(&lists, &table, name, number + 2).await, answer, "{name}");
        }
    }

    #[tokio::test]
    async fn a_flood_of_names_is_bounded() {
        let table = Table::default();
        let lists = NameServers::start(table.clone());
        for number in 0..20_000 {
            let _unknown = lists.find(&format!("{number}.bl.test"));
        }
        let queued = lists.cache.lock().unwrap().answers.len();
        assert!(queued <= WAITING + AT_ONCE + 1, "{queued}");
        settled(&lists, &table, "0.bl.test", queued).await;
        assert_eq!(table.asked.load(Ordering::SeqCst), queued);
        assert!(table.most.load(Ordering::SeqCst) <= AT_ONCE);
    }

    #[test]
    fn the_cache_forgets_what_ends_first() {
        let (mut cache, start) = (Cache::default(), Instant::now());
        for number in 0..NAMES as u64 + 10 {
            cache.put(number.to_string(), Listing::NotListed, start + Duration::from_secs(number));
            cache.put("again".into(), Listing::NotListed, start + Duration::from_secs(number + 1));
        }
        assert_eq!((cache.answers.len(), cache.ends.len()), (NAMES, NAMES));
        assert!(!cache.answers.contains_key("0") && cache.answers.contains_key("again"));
    }
}
