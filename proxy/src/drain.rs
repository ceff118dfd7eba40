//! Ending without breaking anything: a signal that every task sees, and a count of the connections still open.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, watch};

/// Seen by every task: whether the proxy is shutting down.
#[derive(Clone, Debug)]
pub struct Drain(watch::Receiver<bool>);

impl Drain {
    /// Whether the shutdown has begun.
    pub fn has_begun(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until the shutdown begins.
    pub async fn begun(&mut self) {
        // An error means that the proxy's handle is gone, which is a shutdown as well.
        let _ = self.0.wait_for(|begun| *begun).await;
    }
}

/// The handle's side.
#[derive(Debug)]
pub struct Drainer {
    signal: watch::Sender<bool>,
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
        Self { signal: watch::channel(false).0, open: Arc::default() }
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

    /// Begins the shutdown.
    pub fn begin(&self) {
        self.signal.send_replace(true);
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
