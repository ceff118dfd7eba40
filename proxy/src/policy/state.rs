//! What a route's policy remembers between requests. Handed on to the next table where its rule did not change.

use crate::policy::Policy;
use crate::policy::basic_auth::Doorman;
use crate::policy::cache::Cache;
use crate::policy::concurrency::Gate;
use crate::policy::rate_limit::RateLimiter;
use std::sync::Arc;

/// The memory of one route.
#[derive(Debug, Default)]
pub struct PolicyState {
    /// Rates of clients.
    pub limiter: Option<Arc<RateLimiter>>,
    /// Requests under way.
    pub gate: Option<Arc<Gate>>,
    /// Kept answers.
    pub cache: Option<Arc<Cache>>,
    /// Passwords that were right.
    pub doorman: Arc<Doorman>,
}

impl PolicyState {
    /// The memory for a policy. What `earlier` remembers stays where the rule is the same; the cache is only kept where
    /// the answers come from the same back end and rules (`same_source`).
    pub fn new(policy: Option<&Policy>, earlier: Option<&Self>, same_source: bool) -> Self {
        let Some(policy) = policy else { return Self::default() };
        let limiter = policy.rate_limit.as_ref().map(|limit| {
            let known = earlier.and_then(|earlier| earlier.limiter.clone());
            known
                .filter(|known| known.limit() == limit)
                .unwrap_or_else(|| RateLimiter::new(limit.clone()).into())
        });
        let gate = policy.concurrency.as_ref().map(|limit| {
            let known = earlier.and_then(|earlier| earlier.gate.clone());
            known.filter(|known| known.limit() == limit).unwrap_or_else(|| Gate::new(limit.clone()).into())
        });
        let cache = policy.cache.as_ref().map(|rules| {
            let known = earlier.and_then(|earlier| earlier.cache.clone()).filter(|_| same_source);
            known.filter(|known| known.rules() == rules).unwrap_or_else(|| Cache::new(rules.clone()).into())
        });
        let doorman = earlier.map(|earlier| earlier.doorman.clone()).unwrap_or_default();
        Self { limiter, gate, cache, doorman }
    }
}
