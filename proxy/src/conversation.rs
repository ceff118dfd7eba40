//! Both directions of a tunnel, or of a request that is answered while it is still being sent: bounded by the silence in
//! both of them, since either side may listen for as long as the other one speaks.

use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::{Instant, timeout};

use crate::pace::TooSlow;

/// When something passed last, in whichever direction.
#[derive(Debug)]
pub struct Conversation {
    silence: Duration,
    born: Instant,
    /// Milliseconds after `born`, at least 1; 0 before it began.
    last: AtomicU64,
}

impl Conversation {
    /// One that has not begun, and may then be silent for so long.
    pub fn new(silence: Duration) -> Self {
        Self { silence, born: Instant::now(), last: AtomicU64::new(0) }
    }

    /// Notes that something passed. It begins with the first time.
    pub fn passed(&self) {
        self.last.store(self.age().max(1), Ordering::Relaxed);
    }

    /// Whether it has begun.
    pub fn has_begun(&self) -> bool {
        self.last.load(Ordering::Relaxed) != 0
    }

    /// Waits for one direction until both are silent for too long.
    pub async fn wait<T>(&self, operation: impl Future<Output = T>) -> Result<T, TooSlow> {
        let mut operation = pin!(operation);
        loop {
            let silent = self.age().saturating_sub(self.last.load(Ordering::Relaxed));
            let left = self.silence.saturating_sub(Duration::from_millis(silent));
            match timeout(left, operation.as_mut()).await {
                Ok(output) => {
                    self.passed();
                    return Ok(output);
                }
                Err(_) if left.is_zero() => return Err(TooSlow),
                // The other direction may have passed something meanwhile.
                Err(_) => {}
            }
        }
    }

    fn age(&self) -> u64 {
        u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}
