//! Request rates: a token bucket per client (GCRA: one moment per key says how full its bucket is).
//!
//! Memory is bounded and fixed. A flood of addresses forgets those first whose buckets are fullest, and no attacker who
//! is limited.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::headers::Headers;
use crate::prefix::Prefix;
use crate::sets::Sets;

/// Sets of keys; with eight keys each, 65,536 keys in one MiB.
const SETS: usize = 8192;

/// How often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// Requests per `period`; at least 1.
    pub requests: u32,
    /// The time they are counted over.
    pub period: Duration,
    /// Requests that may come at once after a time of silence, besides those of the rate.
    pub burst: u32,
    /// Whose requests are counted together.
    pub key: RateKey,
}

/// Whose requests are counted together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RateKey {
    /// One client address; one /64 network of IPv6.
    Client,
    /// The value of a request header, by its name in lower case; the address where it is absent.
    Header(String),
    /// All requests that the limit was written for.
    Route,
}

/// The buckets of the routes that a limit was written for.
#[derive(Debug)]
pub struct RateLimiter {
    limit: RateLimit,
    start: Instant,
    buckets: Sets<Bucket>,
}

/// Why a request has to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exhausted {
    /// How long until the next token.
    pub wait: Duration,
    /// Whether the client emptied the bucket alone: others may share the bucket of a route or of a header's value.
    pub by_client: bool,
}

/// A key and the moment (in microseconds since the limiter's start) at which its bucket will be full again.
#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    key: u64,
    full_at: u64,
}

impl RateLimiter {
    /// Empty.
    pub fn new(limit: RateLimit) -> Self {
        // One key needs one set.
        let sets = if limit.key == RateKey::Route { 1 } else { SETS };
        Self { limit, start: Instant::now(), buckets: Sets::new(sets) }
    }

    /// Takes a token, or says how long to wait for the next one.
    pub fn take(&self, client: IpAddr, headers: &Headers) -> Result<(), Exhausted> {
        let now = u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX);
        let wait = self.take_at(self.key(client, headers), now);
        wait.map_err(|wait| Exhausted { wait, by_client: self.is_of_client(headers) })
    }

    /// Whether the bucket of a request with these headers is the client's alone.
    fn is_of_client(&self, headers: &Headers) -> bool {
        match &self.limit.key {
            RateKey::Client => true,
            RateKey::Header(name) => !headers.contains(name),
            RateKey::Route => false,
        }
    }

    fn key(&self, client: IpAddr, headers: &Headers) -> u64 {
        let by_address = || self.buckets.hash(Prefix::customer(client));
        match &self.limit.key {
            RateKey::Client => by_address(),
            RateKey::Header(name) => {
                headers.get(name).map_or_else(by_address, |value| self.buckets.hash(&value[..]))
            }
            RateKey::Route => 1,
        }
    }

    fn take_at(&self, key: u64, now: u64) -> Result<(), Duration> {
        let period = u64::try_from(self.limit.period.as_micros()).unwrap_or(u64::MAX).max(1);
        let requests = u64::from(self.limit.requests.max(1));
        let interval = (period / requests).max(1);
        // A bucket holds the tokens of a period, or of one interval at least, and the burst.
        let depth = interval.saturating_mul(u64::from(self.limit.burst).saturating_add(requests));
        let is_it = |bucket: &Bucket| bucket.key == key && bucket.full_at > 0;
        self.buckets.change(
            key,
            is_it,
            |bucket| bucket.full_at,
            |bucket| {
                let full_at = bucket.full_at.max(now) + interval;
                if full_at - now > depth {
                    return Err(Duration::from_micros(full_at - now - depth));
                }
                *bucket = Bucket { key, full_at };
                Ok(())
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;

    fn limiter(requests: u32, burst: u32) -> RateLimiter {
        let key = RateKey::Client;
        RateLimiter::new(RateLimit { requests, period: Duration::from_secs(1), burst, key })
    }

    #[test]
    fn a_bucket_empties_and_fills_again() {
        let limiter = limiter(10, 5);
        let taken = (0..100).filter(|_| limiter.take_at(7, SECOND).is_ok()).count();
        assert_eq!(taken, 15);
        assert_eq!(limiter.take_at(7, SECOND), Err(Duration::from_millis(100)));
        assert_eq!(limiter.take_at(8, SECOND), Ok(()));
        let later = (0..100).filter(|_| limiter.take_at(7, 2 * SECOND).is_ok()).count();
        assert_eq!(later, 10);
    }

    #[test]
    fn a_flood_of_keys_frees_no_limited_one_and_takes_no_memory() {
        let limiter = limiter(1, 0);
        assert_eq!(limiter.take_at(42, SECOND), Ok(()));
        for key in 0..1_000_000_u64 {
            let _ = limiter.take_at(key.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1 << 63, SECOND - 500_000);
        }
        assert!(limiter.take_at(42, SECOND).is_err());
        assert_eq!(limiter.buckets.entries().len(), 65_536);
    }

    #[test]
    fn keys_are_networks_headers_or_all() {
        let key = |kind: RateKey, address: &str, headers: &Headers| {
            let limiter = RateLimiter::new(RateLimit {
                requests: 1,
                period: Duration::from_secs(1),
                burst: 0,
                key: kind,
            });
            let first = limiter.key("2001:db8::1".parse().unwrap(), &Headers::default());
            first == limiter.key(address.parse().unwrap(), headers)
        };
        let none = Headers::default();
        assert!(key(RateKey::Client, "2001:db8::2", &none));
        assert!(!key(RateKey::Client, "2001:db8:0:1::2", &none));
        assert!(key(RateKey::Route, "1.2.3.4", &none));
        let mut token = Headers::default();
        token.push("X-Token", "a");
        assert!(!key(RateKey::Header("x-token".into()), "2001:db8::1", &token));
    }

    #[test]
    fn a_shared_bucket_is_nobodys_doing() {
        let mut token = Headers::default();
        token.push("X-Token", "a");
        let by_client = |kind: RateKey, headers: &Headers| {
            let limit = RateLimit { requests: 1, period: Duration::from_secs(3600), burst: 0, key: kind };
            let limiter = RateLimiter::new(limit);
            let client = "192.0.2.1".parse().unwrap();
            assert_eq!(limiter.take(client, headers), Ok(()));
            limiter.take(client, headers).unwrap_err().by_client
        };
        let header = || RateKey::Header("x-token".into());
        assert!(by_client(RateKey::Client, &token));
        assert!(by_client(header(), &Headers::default()), "the address stands in for it");
        assert!(!by_client(header(), &token));
        assert!(!by_client(RateKey::Route, &token));
    }
}
