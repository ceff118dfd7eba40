//! Ending without breaking anything: a signal that every task sees, and a count of the connections still open.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, watch};

/// Seen by every task: whether the proxy is shutting down.
#[derive(Clone, Debug)]
pub struct Drain(watch::Receiver<Option<Duration>>);

impl Drain {
    /// Whether the shutdown has begun.
    pub fn has_begun(&self) -> bool {
        self.0.borrow().is_some()
    }

    /// Waits until the shutdown begins; how long an idle connection may then still bring a request.
    pub async fn begun(&mut self) -> Duration {
        // An error means that the proxy's handle is gone, which is a shutdown as well.
        self.0.wait_for(Option::is_some).await.ok().and_then(|patience| *patience).unwrap_or_default()
    }
}

/// The handle's side.
#[derive(Debug)]
pub struct Drainer {
    signal: watch::Sender<Option<Duration>>,
    open: Arc<OpenConnections>,
}

/// Counts open connections.
#[derive(Debug, Default)]
pub struct OpenConnections {
    count: AtomicUsize,
    none_left: Notify,
}

/// One open connection.
#[derive(Debug)]
pub struct ConnectionGuard(Arc<OpenConnections>);

impl Default for Drainer {
    fn default() -> Self {
        Self { signal: watch::channel(None).0, open: Arc::default() }
    }
}

impl Drainer {
    /// A view for a task.
    pub fn drain(&self) -> Drain {
        Drain(self.signal.subscribe())
    }

    /// The counter, for listeners.
    pub fn connections(&self) -> Arc<OpenConnections> {
        self.open.clone()
    }

    /// Begins the shutdown. A connection that is idle is closed when it brings no request for this long.
    pub fn begin(&self, patience: Duration) {
        self.signal.send_replace(Some(patience));
    }

    /// Waits until no connection is open, at most this long. Whether all ended.
    pub async fn wait(&self, limit: Duration) -> bool {
        let none_left = async {
            loop {
                let notified = self.open.none_left.notified();
                if self.open.count.load(Ordering::Acquire) == 0 {
                    return;
                }
                notified.await;
            }
        };
        tokio::time::timeout(limit, none_left).await.is_ok()
    }
}

impl OpenConnections {
    /// Counts a connection until the guard is dropped.
    pub fn open(self: &Arc<Self>) -> ConnectionGuard {
        self.count.fetch_add(1, Ordering::AcqRel);
        ConnectionGuard(self.clone())
    }
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        if self.0.count.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.none_left.notify_waiters();
        }
    }
}
