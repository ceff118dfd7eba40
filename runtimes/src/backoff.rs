//! How long to wait before a crashed process is started again. Pure: time and chance come in as values.

use std::time::Duration;

/// Wait before the first restart. Promise: an app is back within 1 s of its first crash.
pub const FIRST_DELAY: Duration = Duration::from_millis(500);
/// Longest wait, jitter included.
pub const LONGEST_DELAY: Duration = Duration::from_secs(60);
/// A process that lived this long is forgiven its earlier crashes.
pub const FORGIVEN_AFTER: Duration = Duration::from_secs(60);

/// Doubles the wait with each crash in a row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Backoff {
    crashes: u32,
}

impl Backoff {
    /// The wait after a process that lived for `uptime` has ended. `chance` is uniform in 0..1 and spreads the
    /// wait by ±20 %, so that many apps do not start in step.
    pub fn next(&mut self, uptime: Duration, chance: f64) -> Duration {
        if uptime >= FORGIVEN_AFTER {
            self.crashes = 0;
        }
        let exponent = self.crashes.min(16);
        self.crashes = self.crashes.saturating_add(1);
        let spread = 0.8 + 0.4 * chance.clamp(0.0, 1.0);
        FIRST_DELAY.saturating_mul(1 << exponent).min(LONGEST_DELAY).mul_f64(spread).min(LONGEST_DELAY)
    }

    /// Crashes in a row so far.
    #[must_use]
    pub const fn crashes(&self) -> u32 {
        self.crashes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_to_a_minute_and_forgives() {
        let mut backoff = Backoff::default();
        let waits: Vec<u128> = (0..9).map(|_| backoff.next(Duration::ZERO, 0.5).as_millis()).collect();
        assert_eq!(waits, [500, 1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000]);
        assert_eq!(backoff.next(FORGIVEN_AFTER, 0.5), FIRST_DELAY);
        for chance in [0.0, 1.0] {
            let first = Backoff::default().next(Duration::ZERO, chance);
            assert!(first < Duration::from_secs(1) && first >= Duration::from_millis(400), "{first:?}");
        }
    }
}
