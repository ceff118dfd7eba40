//! Ids of transactions: unique over restarts and machines, sortable by time.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Makes ids: 11 hexadecimal digits of milliseconds since 1970, 8 of a counter with a random start, 8 that are random
/// for this process. 27 characters.
#[derive(Debug)]
pub struct TransactionIds {
    process: u32,
    counter: AtomicU32,
}

impl TransactionIds {
    /// A generator with a random part of its own.
    pub fn new(random: u64) -> Self {
        Self { process: (random >> 32) as u32, counter: AtomicU32::new(random as u32) }
    }

    /// The next id, at this time since 1970.
    pub fn next(&self, now: Duration) -> String {
        let counter = self.counter.fetch_add(1, Ordering::Relaxed);
        // A step by an odd constant visits every value once, and neighbours do not look alike.
        let spread = counter.wrapping_mul(0x9E37_79B1);
        format!("{:011x}{spread:08x}{:08x}", now.as_millis() & 0xfff_ffff_ffff, self.process)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn ids_are_unique_and_long_enough() {
        let ids = TransactionIds::new(7 << 40 | 3);
        let made: HashSet<_> =
            (0..10_000).map(|_| ids.next(Duration::from_millis(1_700_000_000_000))).collect();
        assert_eq!(made.len(), 10_000);
        assert!(made.iter().all(|id| id.len() == 27 && id.bytes().all(|byte| byte.is_ascii_hexdigit())));
    }
}
