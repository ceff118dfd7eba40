//! How many connections each client has open, so that one address cannot take them all.
//!
//! Holds entries only for open connections: a flood of addresses costs what the flood's connections cost.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use crate::prefix::Prefix;

/// Parts that are locked by themselves.
const SHARDS: usize = 16;

/// Counts open connections by client.
#[derive(Debug)]
pub struct Admission {
    /// Most for one client; 0 for any number.
    per_client: usize,
    /// Keyed with a random start, so that nobody can choose addresses that share a part.
    hasher: RandomState,
    shards: [Mutex<HashMap<Prefix, usize>>; SHARDS],
}

/// A connection that was let in; dropping it makes room for another.
#[derive(Debug)]
pub struct Admitted(Option<(Arc<Admission>, Prefix)>);

impl Admission {
    /// Lets in this many connections of one client.
    pub fn new(per_client: usize) -> Self {
        Self { per_client, hasher: RandomState::new(), shards: Default::default() }
    }

    /// Counts a connection; `None` when the client has too many already.
    pub fn admit(self: &Arc<Self>, client: IpAddr) -> Option<Admitted> {
        if self.per_client == 0 {
            return Some(Admitted(None));
        }
        let key = Prefix::customer(client);
        let mut shard = self.shard(&key).lock().unwrap_or_else(PoisonError::into_inner);
        let count = shard.entry(key).or_default();
        if *count >= self.per_client {
            return None;
        }
        *count += 1;
        Some(Admitted(Some((self.clone(), key))))
    }

    fn shard(&self, key: &Prefix) -> &Mutex<HashMap<Prefix, usize>> {
        &self.shards[self.hasher.hash_one(key) as usize % SHARDS]
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let Some((admission, key)) = self.0.take() else { return };
        let mut shard = admission.shard(&key).lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = shard.get_mut(&key) {
            *count -= 1;
            if *count == 0 {
                shard.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_client_gets_its_share_and_nothing_is_kept() {
        let admission = Arc::new(Admission::new(2));
        let admit = |address: &str| admission.admit(address.parse().unwrap());
        let (first, second) = (admit("10.0.0.1").unwrap(), admit("::ffff:10.0.0.1").unwrap());
        assert!(admit("10.0.0.1").is_none());
        let other = admit("10.0.0.2").unwrap();
        let (_six, _teen) = (admit("2001:db8::1").unwrap(), admit("2001:db8::2").unwrap());
        assert!(admit("2001:db8::3").is_none(), "one /64 is one client");
        assert!(admit("2001:db8:0:1::1").is_some());
        drop(first);
        let again = admit("10.0.0.1").unwrap();
        assert!(admit("10.0.0.1").is_none());
        drop((second, other, again));
        let kept: usize = admission.shards.iter().map(|shard| shard.lock().unwrap().len()).sum();
        assert_eq!(kept, 1, "only the /64 that is still open");
        assert!((0..100).all(|_| Arc::new(Admission::new(0)).admit("10.0.0.1".parse().unwrap()).is_some()));
    }
}
