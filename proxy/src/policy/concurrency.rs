//! How many requests of a route are under way at a time, and how many wait for their turn.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConcurrencyLimit {
    /// Requests under way; at least 1.
    pub requests: usize,
    /// Requests that may wait.
    pub queue: usize,
    /// How long they wait.
    pub patience: Duration,
}

/// The gate of the routes that a limit was written for.
#[derive(Debug)]
pub struct Gate {
    limit: ConcurrencyLimit,
    permits: Arc<Semaphore>,
    waiting: AtomicUsize,
}

impl Gate {
    /// Nobody inside.
    pub fn new(limit: ConcurrencyLimit) -> Self {
        let permits = Arc::new(Semaphore::new(limit.requests.clamp(1, Semaphore::MAX_PERMITS)));
        Self { limit, permits, waiting: AtomicUsize::new(0) }
    }

    /// Lets a request in, at once or after its turn; none when too many wait or it waited too long.
    pub async fn enter(&self) -> Option<OwnedSemaphorePermit> {
        if let Ok(permit) = self.permits.clone().try_acquire_owned() {
            return Some(permit);
        }
        let place = Place::take(&self.waiting, self.limit.queue)?;
        let permit = tokio::time::timeout(self.limit.patience, self.permits.clone().acquire_owned()).await;
        drop(place);
        permit.ok()?.ok()
    }
}

/// A place in the queue; given back also when the client leaves while it waits.
struct Place<'g>(&'g AtomicUsize);

impl<'g> Place<'g> {
    fn take(waiting: &'g AtomicUsize, most: usize) -> Option<Self> {
        let place = Self(waiting);
        // Dropped at once where the queue is full, which takes the count back.
        (waiting.fetch_add(1, Ordering::Relaxed) < most).then_some(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn some_enter_some_wait_and_the_rest_is_sent_away() {
        let gate =
            Arc::new(Gate::new(ConcurrencyLimit { requests: 1, queue: 1, patience: Duration::from_secs(1) }));
        let first = gate.enter().await;
        assert!(first.is_some());
        let waiting = tokio::spawn({
            let gate = gate.clone();
            async move { gate.enter().await.is_some() }
        });
        tokio::task::yield_now().await;
        assert!(gate.enter().await.is_none(), "the queue is full");
        drop(first);
        assert!(waiting.await.unwrap());
        let _inside = gate.enter().await;
        assert!(gate.enter().await.is_none(), "patience ends");
        assert_eq!(gate.waiting.load(Ordering::Relaxed), 0);
    }
}
