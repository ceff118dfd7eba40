//! CPU time of the calling thread, and what a row of samples says.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// CPU time that this thread has used so far.
pub fn thread_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Samples of one class, sorted when asked.
#[derive(Debug, Default)]
pub struct Samples(Vec<Duration>);

impl Samples {
    /// Adds one request's time.
    pub fn push(&mut self, time: Duration) {
        self.0.push(time);
    }

    /// The value below which `share` of the samples lie, 0 to 1; zero without samples.
    pub fn quantile(&mut self, share: f64) -> Duration {
        self.0.sort_unstable();
        let last = self.0.len().saturating_sub(1);
        let index = (last as f64 * share.clamp(0.0, 1.0)).round() as usize;
        self.0.get(index).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles() {
        let mut samples = Samples::default();
        (1..=101).rev().for_each(|n| samples.push(Duration::from_micros(n)));
        assert_eq!(samples.quantile(0.5), Duration::from_micros(51));
        assert_eq!(samples.quantile(0.99), Duration::from_micros(100));
        assert_eq!(Samples::default().quantile(0.5), Duration::ZERO);
    }
}
