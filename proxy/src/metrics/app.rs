//! The counters of one app. A request touches only these, through a pointer that its route holds.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use crate::metrics::histogram::{Histogram, INSPECTION_BOUNDS, REQUEST_BOUNDS};

/// The values of the label `method`; everything else counts as the last.
pub const METHODS: [&str; 10] =
    ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "PROPFIND", "REPORT", "other"];
/// The values of the label `action` of verdicts.
pub const ACTIONS: [&str; 5] = ["pass", "detect", "deny", "redirect", "drop"];
/// Why a request was sent away for no fault that the firewall found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limited {
    /// Its address.
    Address,
    /// Maintenance.
    Maintenance,
    /// Too many of them.
    Rate,
    /// No or a wrong password.
    Password,
    /// Too many under way.
    Concurrency,
    /// No memory to inspect its body in.
    Memory,
}
/// The values of the label `reason`, in the order of [`Limited`].
pub const LIMITED: [&str; 6] = ["address", "maintenance", "rate", "password", "concurrency", "memory"];
/// Most rules that are counted by id; matches of further rules count as `other`.
const MAX_RULES: usize = 1000;
/// Status codes 100 to 599.
const CODES: usize = 500;

/// Counters and histograms of one app.
#[derive(Debug)]
pub struct AppMetrics {
    requests: [OnceLock<Box<[AtomicU64]>>; METHODS.len()],
    /// Whole requests, from the complete head to the last byte of the answer.
    pub duration: Histogram,
    /// From sending a request to the back end until its answer is complete.
    pub upstream: Histogram,
    /// Time within the engine, by phase 1 to 5.
    pub inspection: [Histogram; 5],
    /// Requests answered from the cache.
    pub cache_hits: AtomicU64,
    /// Requests that a kept answer could have served, and none was there.
    pub cache_misses: AtomicU64,
    /// Requests whose body passed the firewall unread.
    pub uninspected_bodies: AtomicU64,
    limited: [AtomicU64; LIMITED.len()],
    verdicts: [AtomicU64; ACTIONS.len()],
    rules: Mutex<BTreeMap<u64, u64>>,
    other_rules: AtomicU64,
}

impl Default for AppMetrics {
    fn default() -> Self {
        Self {
            requests: std::array::from_fn(|_| OnceLock::new()),
            duration: Histogram::new(REQUEST_BOUNDS),
            upstream: Histogram::new(REQUEST_BOUNDS),
            inspection: std::array::from_fn(|_| Histogram::new(INSPECTION_BOUNDS)),
            cache_hits: AtomicU64::new(0),
            cache_misses: AtomicU64::new(0),
            uninspected_bodies: AtomicU64::new(0),
            limited: Default::default(),
            verdicts: Default::default(),
            rules: Mutex::default(),
            other_rules: AtomicU64::new(0),
        }
    }
}

impl AppMetrics {
    /// Counts a finished request. A status outside 100–599 counts as 500.
    pub fn count_request(&self, method: &[u8], status: u16, duration: Duration) {
        let method = METHODS.iter().position(|known| known.as_bytes() == method).unwrap_or(METHODS.len() - 1);
        let codes = self.requests[method].get_or_init(|| (0..CODES).map(|_| AtomicU64::new(0)).collect());
        let code = usize::from(status).checked_sub(100).filter(|code| *code < CODES).unwrap_or(400);
        codes[code].fetch_add(1, Ordering::Relaxed);
        self.duration.observe(duration);
    }

    /// Counts a request that was sent away.
    pub fn count_limited(&self, reason: Limited) {
        self.limited[reason as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Requests sent away, by reason.
    pub(super) fn limited(&self) -> impl Iterator<Item = (&'static str, u64)> {
        LIMITED.iter().zip(&self.limited).map(|(reason, count)| (*reason, count.load(Ordering::Relaxed)))
    }

    /// Counts what the firewall decided, by the position in [`ACTIONS`].
    pub fn count_verdict(&self, action: usize) {
        if let Some(counter) = self.verdicts.get(action) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts a match of a rule.
    pub fn count_rule(&self, rule_id: u64) {
        let mut rules = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = rules.get_mut(&rule_id) {
            *count += 1;
        } else if rules.len() < MAX_RULES {
            rules.insert(rule_id, 1);
        } else {
            self.other_rules.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts by method and code, zero ones left out.
    pub(super) fn requests(&self) -> impl Iterator<Item = (&'static str, usize, u64)> {
        METHODS.iter().zip(&self.requests).flat_map(|(method, codes)| {
            let codes = codes.get().map_or(&[][..], |codes| codes);
            codes.iter().enumerate().filter_map(|(code, count)| {
                let count = count.load(Ordering::Relaxed);
                (count > 0).then_some((*method, code + 100, count))
            })
        })
    }

    /// Verdicts by action.
    pub(super) fn verdicts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        ACTIONS.iter().zip(&self.verdicts).map(|(action, count)| (*action, count.load(Ordering::Relaxed)))
    }

    /// Matches by rule, as label values.
    pub(super) fn rules(&self) -> Vec<(String, u64)> {
        let rules = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        let mut counts: Vec<_> = rules.iter().map(|(rule, count)| (rule.to_string(), *count)).collect();
        let other = self.other_rules.load(Ordering::Relaxed);
        if other > 0 {
            counts.push(("other".to_owned(), other));
        }
        counts
    }
}
