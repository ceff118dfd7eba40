//! What work costs: time of this thread on a processor, which other work on the machine hardly changes.
//!
//! Also a part of the tests of crates that this one depends on, by its path.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// How often work that took long is tried again: only what is slow each time is slow.
const ATTEMPTS: usize = 3;
/// Eight times the input may cost this many times as much. Linear work costs eight times, quadratic work 64.
pub const MOST_GROWTH: u32 = 20;

/// Processor time of this thread so far.
pub fn now() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// What the work costs, by its own account of it; tried again while it is over `limit`.
pub fn least(limit: Duration, mut cost: impl FnMut() -> Duration) -> Duration {
    let mut least = Duration::MAX;
    for _ in 0..ATTEMPTS {
        least = least.min(cost());
        if least <= limit {
            break;
        }
    }
    least
}

/// What all of the work costs; tried again while it is over `limit`.
pub fn of(limit: Duration, mut work: impl FnMut()) -> Duration {
    least(limit, || {
        let began = now();
        work();
        now().saturating_sub(began)
    })
}

/// Whether the cost of the whole is in proportion to that of an eighth of it: what tells a slow machine from slow work.
pub fn is_linear(mut eighth: impl FnMut() -> Duration, mut whole: impl FnMut() -> Duration) -> bool {
    (0..ATTEMPTS).any(|_| whole() <= eighth() * MOST_GROWTH)
}
