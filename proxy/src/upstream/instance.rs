//! One instance of a back end: its idle connections and its health. Lives as long as some published table names its
//! address, so that a new table neither loses warm connections nor forgets failures.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use crate::backend::Endpoint;
use crate::upstream::connection::UpstreamConnection;

/// Most idle connections kept for an instance.
const MAX_IDLE: usize = 128;
/// Longest time a connection is kept idle.
const MAX_IDLE_TIME: Duration = Duration::from_secs(55);
/// Failures in a row after which an instance is set aside.
const FAILURES_UNTIL_DOWN: u32 = 2;
/// First time set aside; doubled with each further failure.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// Longest time set aside.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Pool and health of one address.
#[derive(Debug)]
pub struct Instance {
    endpoint: Endpoint,
    idle: Mutex<Vec<(UpstreamConnection, Instant)>>,
    active: AtomicUsize,
    failures: AtomicU32,
    /// Milliseconds since `born` until which it is set aside; 0 for never.
    down_until: AtomicU64,
    born: Instant,
}

impl Instance {
    fn new(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            idle: Mutex::default(),
            active: AtomicUsize::new(0),
            failures: AtomicU32::new(0),
            down_until: AtomicU64::new(0),
            born: Instant::now(),
        }
    }

    /// Its address.
    pub const fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Requests being served by it now.
    pub fn active(&self) -> usize {
        self.active.load(Ordering::Relaxed)
    }

    /// Whether it is used; false while it is set aside after failures.
    pub fn is_up(&self) -> bool {
        let until = self.down_until.load(Ordering::Relaxed);
        until == 0 || self.age() >= until
    }

    /// Counts a request as active until the guard is dropped.
    pub fn begin(self: &Arc<Self>) -> ActiveRequest {
        self.active.fetch_add(1, Ordering::Relaxed);
        ActiveRequest(self.clone())
    }

    /// An idle connection that is still open, the most recently used first.
    pub fn idle_connection(&self) -> Option<UpstreamConnection> {
        loop {
            let (mut connection, since) = self.lock().pop()?;
            if since.elapsed() < MAX_IDLE_TIME && connection.is_fresh() {
                connection.reused = true;
                return Some(connection);
            }
        }
    }

    /// A new connection.
    pub async fn connect(&self, limit: Duration) -> io::Result<UpstreamConnection> {
        let connecting = UpstreamConnection::connect(&self.endpoint);
        tokio::time::timeout(limit, connecting).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    /// Keeps a connection for later.
    pub fn release(&self, connection: UpstreamConnection) {
        let mut idle = self.lock();
        if idle.len() < MAX_IDLE {
            idle.push((connection, Instant::now()));
        }
    }

    /// Closes connections that were idle for too long.
    pub fn sweep(&self) {
        self.lock().retain(|(_, since)| since.elapsed() < MAX_IDLE_TIME);
    }

    /// Notes that it answered.
    pub fn succeeded(&self) {
        if self.failures.swap(0, Ordering::Relaxed) != 0 {
            self.down_until.store(0, Ordering::Relaxed);
        }
    }

    /// Notes that it could not be reached or gave no answer.
    pub fn failed(&self) {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed) + 1;
        if failures >= FAILURES_UNTIL_DOWN {
            let doubled = FIRST_PAUSE.saturating_mul(1 << (failures - FAILURES_UNTIL_DOWN).min(8));
            let pause = u64::try_from(doubled.min(LONGEST_PAUSE).as_millis()).unwrap_or(u64::MAX);
            self.down_until.store(self.age().saturating_add(pause), Ordering::Relaxed);
        }
    }

    fn age(&self) -> u64 {
        u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<(UpstreamConnection, Instant)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts one request of an instance while it lives.
#[derive(Debug)]
pub struct ActiveRequest(Arc<Instance>);

impl Drop for ActiveRequest {
    fn drop(&mut self) {
        self.0.active.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The instances that some table uses, by address.
#[derive(Debug, Default)]
pub struct Instances(Mutex<HashMap<Endpoint, Weak<Instance>>>);

impl Instances {
    /// The instance at this address, the known one if there is one.
    pub fn get(&self, endpoint: &Endpoint) -> Arc<Instance> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, instance| instance.strong_count() > 0);
        if let Some(instance) = known.get(endpoint).and_then(Weak::upgrade) {
            return instance;
        }
        let instance = Arc::new(Instance::new(endpoint.clone()));
        known.insert(endpoint.clone(), Arc::downgrade(&instance));
        instance
    }

    /// Requests being served by the instance at this address now; 0 when no table names it any more and all its
    /// requests have ended.
    pub fn active(&self, endpoint: &Endpoint) -> usize {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(endpoint).and_then(Weak::upgrade).map_or(0, |instance| instance.active())
    }

    /// Sweeps all pools.
    pub fn sweep(&self) {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.values().filter_map(Weak::upgrade).for_each(|instance| instance.sweep());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_set_an_instance_aside_and_success_brings_it_back() {
        let instance = Instance::new(Endpoint::Named("x:1".into()));
        instance.failed();
        assert!(instance.is_up());
        instance.failed();
        assert!(!instance.is_up());
        instance.succeeded();
        assert!(instance.is_up());
    }

    #[test]
    fn the_same_address_is_the_same_instance_while_it_is_used() {
        let instances = Instances::default();
        let endpoint = Endpoint::Named("x:1".into());
        let first = instances.get(&endpoint);
        assert!(Arc::ptr_eq(&first, &instances.get(&endpoint)));
        let request = first.begin();
        assert_eq!(instances.active(&endpoint), 1);
        first.failed();
        first.failed();
        drop(first);
        assert_eq!(instances.active(&endpoint), 1, "a request under way keeps its instance");
        drop(request);
        assert_eq!(instances.active(&endpoint), 0);
        assert!(instances.get(&endpoint).is_up());
    }
}
