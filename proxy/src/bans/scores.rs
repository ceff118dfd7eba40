//! How much each client has against it: a sliding window per client that did something, in fixed memory.
//!
//! A flood of addresses forgets those first that have the least against them, and no attacker who is nearly banned.

use std::sync::OnceLock;
use std::time::Duration;

use crate::prefix::Prefix;
use crate::sets::Sets;

/// Sets of clients; with eight clients each, 65,536 clients in less than two MiB.
const SETS: usize = 8192;

/// The scores of all clients.
#[derive(Debug, Default)]
pub struct Scores {
    /// Made with the first offence.
    sets: OnceLock<Sets<Score>>,
}

/// A client and what it did within one length of window: apps that look back differently far keep scores apart, because
/// what has faded for one still counts for another. A counter over a sliding window, of which two halves are kept.
#[derive(Clone, Copy, Debug, Default)]
struct Score {
    /// Hash of the client.
    key: u64,
    /// Length of the window in seconds.
    window: u32,
    /// Seconds since 1970 at which the present window began.
    start: u32,
    /// Parts of the threshold in the window before; they count as far as they lie within one window's length.
    before: f32,
    /// Parts of the threshold in the present window.
    present: f32,
}

impl Score {
    /// The same at `now`.
    fn at(self, now: u32) -> Self {
        match now.saturating_sub(self.start) / self.window.max(1) {
            0 => self,
            1 => Self { start: self.start + self.window, before: self.present, present: 0.0, ..self },
            _ => Self { start: now, before: 0.0, present: 0.0, ..self },
        }
    }

    /// How much there is against the client at `now`.
    fn level(self, now: u32) -> f32 {
        let score = self.at(now);
        let passed = now.saturating_sub(score.start) as f32 / score.window.max(1) as f32;
        score.present + score.before * (1.0 - passed).max(0.0)
    }

    fn is_free(&self) -> bool {
        self.before == 0.0 && self.present == 0.0
    }
}

impl Scores {
    /// Adds `part` of a threshold within `window` to a client at `now` (since 1970). Whether its threshold is reached; its
    /// score begins at zero again then.
    pub fn add(&self, client: &Prefix, part: f32, window: Duration, now: Duration) -> bool {
        let now = u32::try_from(now.as_secs()).unwrap_or(u32::MAX);
        let window = u32::try_from(window.as_secs()).unwrap_or(u32::MAX).max(1);
        let sets = self.sets.get_or_init(|| Sets::new(SETS));
        let key = sets.hash(client);
        let is_it = |score: &Score| score.key == key && score.window == window && !score.is_free();
        // Levels are no less than zero, and such numbers have the order of their bits.
        sets.change(
            key,
            is_it,
            |score| score.level(now).to_bits(),
            |score| {
                *score = score.at(now);
                if score.is_free() {
                    *score = Score { key, window, start: now, ..Score::default() };
                }
                score.present += part.max(0.0);
                // Ten offences of a tenth are one whole, whatever their sum is in binary.
                let reached = score.level(now) >= 0.9999;
                if reached {
                    *score = Score::default();
                }
                reached
            },
        )
    }

    /// Forgets what a client has against it.
    pub fn forget(&self, client: &Prefix) {
        let Some(sets) = self.sets.get() else { return };
        let key = sets.hash(client);
        sets.forget(key, |score| score.key == key);
    }

    /// How many clients have something against them at `now`.
    #[cfg(test)]
    pub fn count(&self, now: Duration) -> usize {
        let now = u32::try_from(now.as_secs()).unwrap_or(u32::MAX);
        let scores = self.sets.get().map(Sets::entries).unwrap_or_default();
        scores.iter().filter(|score| score.level(now) > 0.0).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sets::WAYS;

    const WINDOW: Duration = Duration::from_secs(600);

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(1_800_000_000 + seconds)
    }

    fn client(number: u32) -> Prefix {
        Prefix::host(std::net::Ipv4Addr::from_bits(number).into())
    }

    #[test]
    fn a_threshold_within_a_window_is_reached_and_what_is_older_fades() {
        let scores = Scores::default();
        let reached = |count: usize, second| {
            (0..count).filter(|_| scores.add(&client(1), 0.1, WINDOW, at(second))).count()
        };
        assert_eq!(reached(9, 0), 0);
        assert_eq!(reached(1, 599), 1, "the tenth within a window is one too many");
        assert_eq!(reached(9, 599), 0, "and it begins at zero again");
        assert_eq!(reached(1, 1200), 0, "of nine in the window before, a little less counts");
        assert_eq!(reached(1, 1200), 1);
        assert_eq!(reached(9, 2000), 0);
        assert_eq!(reached(5, 2900), 0, "half of the nine counts after half a window");
        assert_eq!(reached(1, 2900), 1);
        assert_eq!(reached(9, 4000), 0);
        assert_eq!(reached(9, 6000), 0, "all has faded");
        scores.forget(&client(1));
        assert_eq!(reached(9, 6000), 0, "it was forgotten");
        assert_eq!(reached(1, 5000), 1, "a clock that goes back takes nothing away");
    }

    #[test]
    fn less_than_the_threshold_in_every_window_is_never_reached() {
        let scores = Scores::default();
        let reached = (0..10_000).any(|round| scores.add(&client(1), 0.1, WINDOW, at(round * 70)));
        assert!(!reached, "eight or nine within each ten minutes");
        assert!((0..20).any(|round| scores.add(&client(2), 0.1, WINDOW, at(round * 59))));
    }

    #[test]
    fn clients_do_not_count_for_each_other() {
        let scores = Scores::default();
        for number in 0..1000 {
            assert!(!scores.add(&client(number), 0.6, WINDOW, at(0)), "{number}");
        }
        assert_eq!(scores.count(at(1)), 1000);
        assert_eq!(scores.count(at(1200)), 0);
    }

    #[test]
    fn a_short_window_forgets_nothing_of_a_long_one() {
        let scores = Scores::default();
        let (short, long) = (Duration::from_secs(60), Duration::from_secs(3600));
        assert!(!scores.add(&client(1), 0.9, long, at(0)));
        assert!(!scores.add(&client(1), 0.1, short, at(1000)), "nine of ten count elsewhere");
        assert!(!scores.add(&client(1), 0.8, short, at(1001)));
        assert!(scores.add(&client(1), 0.1, long, at(1002)), "the nine still count within their hour");
        assert!(scores.add(&client(1), 0.1, short, at(1003)));
        // Nor does it make room of what has only faded by its own measure.
        assert!(!scores.add(&client(7), 0.95, long, at(2000)));
        for number in 0..1_000_000 {
            scores.add(&client(0x0A00_0000 + number), 0.01, short, at(2900));
        }
        assert!(scores.add(&client(7), 0.05, long, at(2901)));
        assert!(
            !scores.add(&client(8), 0.9, long, at(2901)) && !scores.add(&client(8), 0.9, short, at(2901))
        );
        scores.forget(&client(8));
        assert!(
            !scores.add(&client(8), 0.9, long, at(2901)) && !scores.add(&client(8), 0.9, short, at(2901))
        );
    }

    #[test]
    fn a_flood_of_clients_forgets_the_innocent_first() {
        let scores = Scores::default();
        let attacker = client(7);
        assert!(!scores.add(&attacker, 0.95, WINDOW, at(0)));
        for number in 0..1_000_000 {
            scores.add(&client(0x0A00_0000 + number), 0.01, WINDOW, at(0));
        }
        assert_eq!(scores.count(at(0)), SETS * WAYS, "memory is what it was");
        assert!(scores.add(&attacker, 0.05, WINDOW, at(1)));
    }
}
