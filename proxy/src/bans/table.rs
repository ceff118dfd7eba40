//! Who is banned: asked for every connection and request, written rarely, bounded in memory.
//!
//! A map in parts that are locked by themselves; which lengths of prefixes occur is read without a lock, so that an
//! empty table costs three loads.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, SystemTime};

use super::ban::Ban;
use crate::prefix::Prefix;

/// Parts that are locked by themselves: many, so that the search for what may leave a full one is short.
const SHARDS: usize = 512;
/// Most entries of a part: 57,344 bans in all, among them those that have ended and are remembered. As many as a map of
/// 128 places holds before it grows.
const PER_SHARD: usize = 112;

/// All bans.
pub struct Table {
    /// Keyed with a random start, so that nobody can choose addresses that share a part.
    hasher: RandomState,
    shards: [RwLock<HashMap<Prefix, Ban>>; SHARDS],
    lengths: Lengths,
}

/// What became of a ban that was put into the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Put {
    /// It is there.
    Done,
    /// It is there instead of this one.
    Evicted(Box<Ban>),
    /// There is no room besides those that operators wished for.
    Full,
}

impl Default for Table {
    fn default() -> Self {
        Self {
            hasher: RandomState::new(),
            shards: std::array::from_fn(|_| RwLock::default()),
            lengths: Lengths::default(),
        }
    }
}

impl Table {
    /// The narrowest network around `address` whose ban holds at `now`. `None` when it is not banned.
    pub fn find(&self, address: IpAddr, now: SystemTime) -> Option<Prefix> {
        let address = address.to_canonical();
        let lengths = self.lengths.used();
        if lengths == [0; 3] {
            return None;
        }
        // An IPv4 address has its own lengths, in the mapped form; networks of IPv6 must not match it.
        let least = if address.is_ipv4() { 96 } else { 0 };
        lengths_in(lengths).filter(|length| *length >= least).find_map(|length| {
            let prefix = Prefix::around(address, length);
            let holds = self.read(&prefix).get(&prefix).is_some_and(|ban| ban.holds(now));
            holds.then_some(prefix)
        })
    }

    /// The ban of exactly this prefix, also one that has ended.
    pub fn get(&self, prefix: &Prefix) -> Option<Ban> {
        self.read(prefix).get(prefix).cloned()
    }

    /// Puts a ban in the place of an earlier one of the same prefix. Where there is no room another leaves: one that has
    /// ended at `now`, or else the one that ends first, unless a person wished for it.
    pub fn put(&self, ban: Ban, now: SystemTime) -> Put {
        let prefix = ban.prefix;
        let mut shard = self.write(&prefix);
        let mut evicted = None;
        if shard.len() >= PER_SHARD && !shard.contains_key(&prefix) {
            let may_leave = |ban: &&Ban| !ban.is_manual() || !ban.holds(now);
            let order = |ban: &&Ban| (ban.holds(now), ban.until.is_none(), ban.until);
            let leaving = shard.values().filter(may_leave).min_by_key(order);
            let Some(leaving) = leaving.map(|ban| ban.prefix) else { return Put::Full };
            evicted = shard.remove(&leaving).map(Box::new);
            self.lengths.less(leaving.raw_length());
        }
        if shard.insert(prefix, ban).is_none() {
            self.lengths.more(prefix.raw_length());
        }
        evicted.map_or(Put::Done, Put::Evicted)
    }

    /// Takes a ban away.
    pub fn remove(&self, prefix: &Prefix) -> Option<Ban> {
        let mut shard = self.write(prefix);
        let removed = shard.remove(prefix)?;
        self.lengths.less(prefix.raw_length());
        Some(removed)
    }

    /// Takes away what ended longer ago than `memory`. What that was.
    pub fn forget(&self, memory: Duration, now: SystemTime) -> Vec<Prefix> {
        let is_over = |until: SystemTime| now.duration_since(until).is_ok_and(|past| past >= memory);
        let stays = |ban: &Ban| !ban.until.is_some_and(is_over);
        let mut gone = Vec::new();
        for shard in &self.shards {
            let mut shard = shard.write().unwrap_or_else(PoisonError::into_inner);
            shard.retain(|prefix, ban| {
                let stays = stays(ban);
                if !stays {
                    gone.push(*prefix);
                }
                stays
            });
            if shard.capacity() > 4 * shard.len().max(16) {
                shard.shrink_to_fit();
            }
        }
        gone.iter().for_each(|prefix| self.lengths.less(prefix.raw_length()));
        gone
    }

    /// Copies of the bans that `wanted` says.
    pub fn list(&self, wanted: impl Fn(&Ban) -> bool) -> Vec<Ban> {
        let mut bans = Vec::new();
        for shard in &self.shards {
            let shard = shard.read().unwrap_or_else(PoisonError::into_inner);
            bans.extend(shard.values().filter(|ban| wanted(ban)).cloned());
        }
        bans
    }

    /// How many bans `wanted` says.
    pub fn count(&self, wanted: impl Fn(&Ban) -> bool) -> usize {
        let in_shard = |shard: &RwLock<HashMap<Prefix, Ban>>| {
            let shard = shard.read().unwrap_or_else(PoisonError::into_inner);
            shard.values().filter(|ban| wanted(ban)).count()
        };
        self.shards.iter().map(in_shard).sum()
    }

    fn shard(&self, prefix: &Prefix) -> &RwLock<HashMap<Prefix, Ban>> {
        &self.shards[self.hasher.hash_one(prefix) as usize % SHARDS]
    }

    fn read(&self, prefix: &Prefix) -> RwLockReadGuard<'_, HashMap<Prefix, Ban>> {
        self.shard(prefix).read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, prefix: &Prefix) -> RwLockWriteGuard<'_, HashMap<Prefix, Ban>> {
        self.shard(prefix).write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Table {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Table").field("bans", &self.count(|_| true)).finish_non_exhaustive()
    }
}

/// The lengths of the prefixes in the table.
struct Lengths {
    /// A bit for each length that occurs, 0 to 128.
    used: [AtomicU64; 3],
    /// How often each occurs.
    counts: Mutex<[u32; 129]>,
}

impl Default for Lengths {
    fn default() -> Self {
        Self { used: Default::default(), counts: Mutex::new([0; 129]) }
    }
}

impl Lengths {
    fn used(&self) -> [u64; 3] {
        [0, 1, 2].map(|word: usize| self.used[word].load(Ordering::Acquire))
    }

    fn more(&self, length: u8) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts[usize::from(length)] += 1;
        self.used[usize::from(length / 64)].fetch_or(1 << (length % 64), Ordering::AcqRel);
    }

    fn less(&self, length: u8) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = &mut counts[usize::from(length)];
        *count = count.saturating_sub(1);
        if *count == 0 {
            self.used[usize::from(length / 64)].fetch_and(!(1 << (length % 64)), Ordering::AcqRel);
        }
    }
}

/// The lengths whose bits are set, longest first: single addresses are most of what is banned.
fn lengths_in(used: [u64; 3]) -> impl Iterator<Item = u8> {
    used.into_iter().zip([0_u8, 64, 128]).rev().flat_map(|(mut word, start)| {
        std::iter::from_fn(move || {
            let bit = word.checked_ilog2()?;
            word &= !(1 << bit);
            Some(start + bit as u8)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::super::ban::{Offence, Reason};
    use super::*;

    fn time(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn ban(prefix: &str, until: Option<u64>) -> Ban {
        Ban {
            prefix: prefix.parse().unwrap(),
            reason: Reason::Offence(Offence::Firewall),
            app: None,
            note: "".into(),
            since: time(0),
            until: until.map(time),
            count: 1,
        }
    }

    #[test]
    fn addresses_are_found_in_every_banned_network_of_their_family() {
        let table = Table::default();
        let find = |address: &str, now| {
            table.find(address.parse().unwrap(), time(now)).map(|prefix| prefix.to_string())
        };
        assert_eq!(find("10.0.0.1", 0), None);
        for prefix in ["10.0.0.1", "10.1.0.0/16", "2001:db8::/64", "::/3"] {
            assert_eq!(table.put(ban(prefix, Some(100)), time(0)), Put::Done);
        }
        table.put(ban("192.0.2.0/24", None), time(0));
        let cases = [
            ("10.0.0.1", Some("10.0.0.1")),
            ("::ffff:10.0.0.1", Some("10.0.0.1")),
            ("10.0.0.2", None),
            ("10.1.255.255", Some("10.1.0.0/16")),
            ("192.0.2.9", Some("192.0.2.0/24")),
            ("2001:db8::77", Some("2001:db8::/64")),
            ("2001:db8:0:1::", None),
            ("::2", Some("::/3")),
            ("4.4.4.4", None),
        ];
        for (address, found) in cases {
            assert_eq!(find(address, 99).as_deref(), found, "{address}");
        }
        assert_eq!(find("10.0.0.1", 100), None, "it has ended");
        assert_eq!(find("192.0.2.9", 1 << 40).as_deref(), Some("192.0.2.0/24"), "until it is lifted");
        assert!(table.remove(&"192.0.2.0/24".parse().unwrap()).is_some());
        assert!(table.remove(&"192.0.2.0/24".parse().unwrap()).is_none());
        assert_eq!(find("192.0.2.9", 0), None);
    }

    #[test]
    fn what_ended_long_ago_is_forgotten() {
        let table = Table::default();
        table.put(ban("10.0.0.1", Some(100)), time(0));
        table.put(ban("10.0.0.2", Some(200)), time(0));
        table.put(ban("10.0.0.3", None), time(0));
        assert!(table.forget(Duration::MAX, time(1 << 40)).is_empty(), "nothing is ever long ago");
        assert!(table.forget(Duration::from_secs(50), time(149)).is_empty());
        let gone = table.forget(Duration::from_secs(50), time(150));
        assert_eq!(gone, ["10.0.0.1".parse().unwrap()]);
        assert_eq!(table.count(|_| true), 2);
        assert_eq!(table.list(|ban| ban.until.is_none()).len(), 1);
        assert!(table.get(&"10.0.0.2".parse().unwrap()).is_some());
    }

    #[test]
    fn a_full_table_keeps_what_lasts_longest_and_what_was_wished_for() {
        let table = Table::default();
        let wished = Ban { reason: Reason::Manual, ..ban("192.0.2.1", Some(1)) };
        let long = ban("192.0.2.2", Some(1_000_000));
        let endless = ban("192.0.2.3", None);
        let kept = [wished, long, endless];
        kept.iter().for_each(|ban| assert_eq!(table.put(ban.clone(), time(0)), Put::Done));
        let mut evicted = 0;
        for number in 0..100_000_u32 {
            let address = IpAddr::from(std::net::Ipv4Addr::from_bits(0x0A00_0000 + number));
            let next = Ban { prefix: Prefix::host(address), ..ban("::1", Some(100 + u64::from(number))) };
            evicted += usize::from(matches!(table.put(next, time(0)), Put::Evicted(_)));
        }
        assert_eq!(table.count(|_| true) + evicted, 100_003);
        assert!(table.count(|_| true) <= SHARDS * PER_SHARD);
        kept.into_iter().for_each(|ban| assert_eq!(table.get(&ban.prefix), Some(ban)));
        let counted: u32 = table.lengths.counts.lock().unwrap().iter().sum();
        assert_eq!(counted as usize, table.count(|_| true));
    }

    #[test]
    fn what_has_ended_leaves_a_full_table_first_whoever_wished_for_it() {
        let table = Table::default();
        let mut addresses = 0x0A00_0000_u32..;
        let mut put = |reason, until, now| {
            let address = addresses.next().map(std::net::Ipv4Addr::from_bits).unwrap();
            table.put(
                Ban { prefix: Prefix::host(address.into()), reason, ..ban("::1", Some(until)) },
                time(now),
            )
        };
        let full = SHARDS * PER_SHARD;
        let placed = (0..200_000).filter(|_| put(Reason::Manual, 50, 0) == Put::Done).count();
        assert_eq!(placed, full, "wishes in every place");
        let automatic = Reason::Offence(Offence::Firewall);
        assert!((0..1000).all(|_| put(automatic, 100, 49) == Put::Full));
        assert!((0..1000).all(|_| matches!(put(automatic, 100, 50), Put::Evicted(_))));
        assert_eq!(table.count(|ban| !ban.is_manual()), 1000, "none left for another of its kind");
        assert_eq!(table.count(Ban::is_manual), full - 1000);
    }

    #[test]
    fn set_bits_are_lengths() {
        let found: Vec<u8> = lengths_in([1 | 1 << 63, 1 << 32, 1]).collect();
        assert_eq!(found, [128, 96, 63, 0]);
        assert_eq!(lengths_in([0; 3]).count(), 0);
    }
}
