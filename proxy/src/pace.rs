//! How slow a client may be in one direction of one request: bounded pauses, a minimum rate, a total.
//!
//! Only time spent waiting for the client counts: a back end that takes its time is no fault of the client's.

use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use crate::config::ServerLimits;
use crate::patience::at_once;

/// The client was slower than allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooSlow;

/// Bounds on one direction, and what came of it so far.
#[derive(Clone, Debug)]
pub struct Pace {
    pause: Duration,
    grace: Duration,
    /// Bytes per second; 0 for none.
    rate: u64,
    total: Duration,
    waited: Duration,
    bytes: u64,
}

impl Pace {
    /// For a request body.
    pub const fn of_body(limits: &ServerLimits) -> Self {
        Self {
            pause: limits.body_timeout,
            grace: limits.rate_grace,
            rate: limits.min_body_rate,
            total: limits.body_deadline,
            waited: Duration::ZERO,
            bytes: 0,
        }
    }

    /// For a response.
    pub const fn of_response(limits: &ServerLimits) -> Self {
        Self {
            pause: limits.write_timeout,
            grace: limits.rate_grace,
            rate: limits.min_write_rate,
            total: Duration::MAX,
            waited: Duration::ZERO,
            bytes: 0,
        }
    }

    /// Longest time that the next wait may take.
    fn allowance(&self) -> Duration {
        let earned = match self.rate {
            0 => Duration::MAX,
            rate => self.grace.saturating_add(Duration::from_millis(self.bytes.saturating_mul(1000) / rate)),
        };
        self.pause.min(earned.min(self.total).saturating_sub(self.waited))
    }

    /// Waits for the client as long as it may take, and remembers how long it took.
    pub async fn wait<T>(&mut self, operation: impl Future<Output = T>) -> Result<T, TooSlow> {
        let mut operation = pin!(operation);
        // Mostly there is nothing to wait for: no clock, no timer.
        if let Poll::Ready(output) = at_once(operation.as_mut()).await {
            return Ok(output);
        }
        let started = Instant::now();
        let outcome = tokio::time::timeout(self.allowance(), operation).await;
        self.waited += started.elapsed();
        outcome.map_err(|_| TooSlow)
    }

    /// Counts bytes that were passed.
    pub const fn passed(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
    }
}

impl From<TooSlow> for std::io::Error {
    fn from(_: TooSlow) -> Self {
        std::io::ErrorKind::TimedOut.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn waiting_is_bounded_by_pause_rate_and_total() {
        let seconds = Duration::from_secs;
        let limits = ServerLimits {
            body_timeout: seconds(30),
            rate_grace: seconds(10),
            min_body_rate: 100,
            body_deadline: seconds(60),
            ..ServerLimits::default()
        };
        let mut pace = Pace::of_body(&limits);
        assert_eq!(pace.allowance(), seconds(10), "the grace");
        pace.passed(500);
        assert_eq!(pace.allowance(), seconds(15), "five seconds earned");
        pace.passed(100_000);
        assert_eq!(pace.allowance(), seconds(30), "the pause");
        pace.waited = seconds(50);
        assert_eq!(pace.allowance(), seconds(10), "the total");
        pace.waited = seconds(61);
        assert_eq!(pace.wait(std::future::pending::<()>()).await, Err(TooSlow));
        // What is there at once is taken however late.
        assert_eq!(pace.wait(std::future::ready(1)).await, Ok(1));
        let mut unbounded = Pace { rate: 0, ..Pace::of_response(&limits) };
        unbounded.waited = seconds(1_000_000);
        assert_eq!(unbounded.allowance(), limits.write_timeout);
    }
}
