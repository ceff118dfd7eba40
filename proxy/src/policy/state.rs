//! What the policy of an app's routes remembers between requests. Handed on to the next table where its rule did not
//! change, and shared by the routes that a rule was written for.

use std::sync::Arc;

use crate::policy::Policy;
use crate::policy::basic_auth::Doorman;
use crate::policy::cache::Cache;
use crate::policy::concurrency::Gate;
use crate::policy::rate_limit::RateLimiter;
use crate::table::LiveRoute;

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

/// The routes of one app whose memory a route may take over.
#[derive(Clone, Copy, Debug)]
pub struct Kin<'t> {
    /// Of the same table.
    pub siblings: &'t [Arc<LiveRoute>],
    /// Of the table before.
    pub earlier: &'t [Arc<LiveRoute>],
    /// Whether the app's routes give the same answers as before, so that kept ones stay good.
    pub same_answers: bool,
}

impl Kin<'_> {
    /// What one of these routes remembers for a rule; those of the same table come first.
    fn known<T>(
        self,
        is_same_rule: impl Fn(&Policy) -> bool,
        memory: impl Fn(&PolicyState) -> Option<&Arc<T>>,
    ) -> Option<Arc<T>> {
        self.siblings.iter().chain(self.earlier).find_map(|live| {
            live.route.policy.as_deref().filter(|policy| is_same_rule(policy))?;
            memory(&live.state).cloned()
        })
    }
}

impl PolicyState {
    /// The memory for the policy of the routes below a path. Routes of an app with the same rule, written for the same
    /// part of it, share what it remembers; it goes over from the earlier table where the rule is the same, kept answers
    /// only where they would be given again.
    pub fn new(policy: Option<&Policy>, path_prefix: &str, kin: Kin<'_>) -> Self {
        let Some(policy) = policy else { return Self::default() };
        let limiter = policy.rate_limit.as_ref().map(|limit| {
            let same = |other: &Policy| {
                other.rate_limit == policy.rate_limit && other.rate_limit_of == policy.rate_limit_of
            };
            let known = kin.known(same, |state| state.limiter.as_ref());
            known.unwrap_or_else(|| RateLimiter::new(limit.clone()).into())
        });
        let gate = policy.concurrency.as_ref().map(|limit| {
            let same = |other: &Policy| {
                other.concurrency == policy.concurrency && other.concurrency_of == policy.concurrency_of
            };
            let known = kin.known(same, |state| state.gate.as_ref());
            known.unwrap_or_else(|| Gate::new(limit.clone()).into())
        });
        let cache = policy.cache.as_ref().map(|rules| {
            let earlier = if kin.same_answers { kin.earlier } else { &[] };
            let same = |other: &Policy| other.cache == policy.cache;
            let known = Kin { earlier, ..kin }.known(same, |state| state.cache.as_ref());
            known.unwrap_or_else(|| Cache::new(rules.clone()).into())
        });
        let before = kin.earlier.iter().find(|live| live.route.path_prefix == path_prefix);
        let doorman = before.map(|live| live.state.doorman.clone()).unwrap_or_default();
        Self { limiter, gate, cache, doorman }
    }
}
