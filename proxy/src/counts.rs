//! How much each client has of something: what is counted is given back when dropped.
//!
//! Holds entries only for clients that have some: a flood of addresses costs what the flood itself holds.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::prefix::Prefix;

/// Parts that are locked by themselves.
const SHARDS: usize = 16;

/// What clients have.
#[derive(Debug, Default)]
pub struct Counts {
    /// Keyed with a random start, so that nobody can choose addresses that share a part.
    hasher: RandomState,
    shards: [Mutex<HashMap<Prefix, usize>>; SHARDS],
}

/// What was counted; dropping it gives it back.
#[derive(Debug)]
pub struct Counted {
    counts: Arc<Counts>,
    client: Prefix,
    amount: usize,
}

impl Counts {
    /// Counts this much more for a client if that may be, in view of what he has already.
    pub fn add(
        self: &Arc<Self>,
        client: IpAddr,
        amount: usize,
        may_be: impl FnOnce(usize) -> bool,
    ) -> Option<Counted> {
        let client = Prefix::customer(client);
        let mut shard = self.shard(&client);
        let has = shard.get(&client).copied().unwrap_or(0);
        if !may_be(has) {
            return None;
        }
        shard.insert(client, has + amount);
        Some(Counted { counts: self.clone(), client, amount })
    }

    fn shard(&self, client: &Prefix) -> MutexGuard<'_, HashMap<Prefix, usize>> {
        let shard = &self.shards[self.hasher.hash_one(client) as usize % SHARDS];
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut shard = self.counts.shard(&self.client);
        if let Some(has) = shard.get_mut(&self.client) {
            *has -= self.amount;
            if *has == 0 {
                shard.remove(&self.client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_is_given_back_and_nothing_is_kept() {
        let counts = Arc::new(Counts::default());
        let add = |client: &str, amount, most| {
            counts.add(client.parse().unwrap(), amount, |has| has + amount <= most)
        };
        let (first, second) = (add("10.0.0.1", 3, 5).unwrap(), add("::ffff:10.0.0.1", 2, 5).unwrap());
        assert!(add("10.0.0.1", 1, 5).is_none());
        let other = add("10.0.0.2", 5, 5).unwrap();
        let _six = add("2001:db8::1", 5, 5).unwrap();
        assert!(add("2001:db8::2", 1, 5).is_none(), "one /64 is one client");
        drop(first);
        drop(add("10.0.0.1", 3, 5).unwrap());
        assert!(add("10.0.0.1", 4, 5).is_none());
        drop((second, other));
        let kept: usize = counts.shards.iter().map(|shard| shard.lock().unwrap().len()).sum();
        assert_eq!(kept, 1);
    }
}
