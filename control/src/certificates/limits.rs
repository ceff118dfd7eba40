//! Pauses after failures, and bounds that stay below what authorities allow.
//!
//! Let's Encrypt's rate limits are the measure, since others are wider: 5 failed validations per account, name and
//! hour; 5 certificates for the same set of names in 7 days; 300 new orders per account in 3 hours
//! (<https://letsencrypt.org/docs/rate-limits/>). `Retry-After` is obeyed whatever these say.

use std::time::Duration;

use super::holding::{Holding, Trouble};
use crate::model::Timestamp;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const WEEK: Duration = Duration::from_secs(7 * 86_400);

/// Failed validations of a name within an hour.
const FAILURES_AN_HOUR: usize = 4;
/// Certificates for the same names within a week.
const SAME_NAMES_A_WEEK: usize = 4;
/// Orders within three hours.
const ORDERS_IN_THREE_HOURS: usize = 200;
/// How many failures are remembered by their time.
const REMEMBERED: usize = 8;
/// Longest pause that an authority may ask for by `Retry-After`.
const LONGEST_RETRY_AFTER: Duration = WEEK;

/// Pauses after the first, second, … failure to prove a name, in minutes; the last one repeats.
const AFTER_A_NAME: [u32; 8] = [1, 15, 30, 60, 180, 360, 720, 1440];
/// The same after an order or a whole authority failed.
const AFTER_AN_ORDER: [u32; 8] = [1, 2, 5, 10, 20, 40, 60, 60];

impl Trouble {
    /// One more failure at `now`: the pause grows, and is never shorter than `retry_after`.
    fn again(
        &mut self,
        pauses: &[u32; 8],
        reason: &str,
        retry_after: Option<Duration>,
        now: Timestamp,
        random: u64,
    ) {
        let index = usize::try_from(self.failures).unwrap_or(usize::MAX).min(pauses.len() - 1);
        self.failures = self.failures.saturating_add(1);
        self.recent.push(now);
        let excess = self.recent.len().saturating_sub(REMEMBERED);
        self.recent.drain(..excess);
        let asked = retry_after.unwrap_or_default().min(LONGEST_RETRY_AFTER);
        let pause = jittered(MINUTE * pauses[index], random).max(asked + asked_jitter(asked, random));
        self.retry = now.after(pause);
        self.asked = !asked.is_zero();
        self.reason = reason.chars().filter(|character| !character.is_control()).take(500).collect();
    }

    /// A name was not proved.
    pub(super) fn name_failed(&mut self, reason: &str, now: Timestamp, random: u64) {
        self.again(&AFTER_A_NAME, reason, None, now, random);
    }

    /// An order or an authority failed.
    pub(super) fn order_failed(
        &mut self,
        reason: &str,
        retry_after: Option<Duration>,
        now: Timestamp,
        random: u64,
    ) {
        self.again(&AFTER_AN_ORDER, reason, retry_after, now, random);
    }

    /// Whether it has gone on for about a day, through all pauses up to the longest.
    pub(super) const fn is_lasting(&self) -> bool {
        self.failures as usize >= AFTER_A_NAME.len()
    }

    /// When it may be tried again at the earliest: after its pause and within the hourly limit.
    pub(super) fn may_retry(&self, now: Timestamp) -> Timestamp {
        let within: Vec<_> = self.recent.iter().filter(|failure| now.since(**failure) < HOUR).collect();
        let room = match within.len().checked_sub(FAILURES_AN_HOUR) {
            Some(excess) => within[excess].after(HOUR),
            None => Timestamp(0),
        };
        self.retry.max(room)
    }
}

/// When a certificate for these names may be had again: the limit for duplicates.
pub(super) fn same_names_again(holding: &Holding, names: &[String], now: Timestamp) -> Timestamp {
    let same: Vec<_> = holding
        .issuances
        .iter()
        .filter(|issuance| issuance.names == names && now.since(issuance.at) < WEEK)
        .collect();
    match same.len().checked_sub(SAME_NAMES_A_WEEK) {
        Some(excess) => same[excess].at.after(WEEK),
        None => Timestamp(0),
    }
}

/// When an authority may be given another order.
pub(super) fn next_order(orders: &[Timestamp], now: Timestamp) -> Timestamp {
    let within: Vec<_> = orders.iter().filter(|order| now.since(**order) < 3 * HOUR).collect();
    match within.len().checked_sub(ORDERS_IN_THREE_HOURS) {
        Some(excess) => within[excess].after(3 * HOUR),
        None => Timestamp(0),
    }
}

/// Notes an order, and forgets those that no limit looks at any more.
pub(super) fn note_order(orders: &mut Vec<Timestamp>, now: Timestamp) {
    orders.retain(|order| now.since(*order) < 3 * HOUR);
    orders.push(now);
}

/// Issuances that a limit may still look at.
pub(super) fn keep_recent(holding: &mut Holding, now: Timestamp) {
    holding.issuances.retain(|issuance| now.since(issuance.at) < WEEK);
}

/// A pause made up to 20 % shorter or longer, so that servers that failed together do not return together.
pub(super) fn jittered(pause: Duration, random: u64) -> Duration {
    let thousandths = u32::try_from(800 + random % 401).unwrap_or(1000);
    pause * thousandths / 1000
}

/// Up to a tenth, at least a second, on top of what an authority asks for.
fn asked_jitter(asked: Duration, random: u64) -> Duration {
    let thousandths = u32::try_from(random % 100).unwrap_or(0);
    if asked.is_zero() { asked } else { asked * thousandths / 1000 + Duration::from_secs(1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp(1_800_000_000_000);

    #[test]
    fn pauses_grow_and_are_scattered() {
        for random in [0, 200, 400, u64::MAX] {
            let mut trouble = Trouble::default();
            let mut longest = Duration::ZERO;
            for failure in 0..20 {
                trouble.name_failed("no", START, random);
                let pause = trouble.retry.since(START);
                assert!(pause >= longest, "{failure}");
                longest = pause;
            }
            assert!(longest >= 18 * HOUR && longest <= 29 * HOUR, "{longest:?}");
            assert_eq!((trouble.failures, trouble.recent.len()), (20, REMEMBERED));
        }
        assert_eq!(jittered(MINUTE, 0), Duration::from_secs(48));
        assert_eq!(jittered(MINUTE, 400), Duration::from_secs(72));
    }

    #[test]
    fn a_name_never_fails_five_times_within_an_hour() {
        for random in [0, 133, 400] {
            let mut trouble = Trouble::default();
            let (mut now, mut failures) = (START, Vec::new());
            while now.since(START) < 30 * HOUR {
                if now >= trouble.may_retry(now) {
                    trouble.name_failed("no", now, random);
                    failures.push(now);
                }
                now = now.after(Duration::from_secs(10));
            }
            for window in failures.windows(5) {
                assert!(window[4].since(window[0]) >= HOUR, "{random}");
            }
            assert!(failures.len() >= 7, "it goes on trying: {}", failures.len());
        }
        // Even when somebody clears the pauses by hand.
        let mut trouble = Trouble::default();
        for minute in 0..4 {
            trouble.name_failed("no", START.after(MINUTE * minute), 0);
        }
        trouble.retry = Timestamp(0);
        assert_eq!(trouble.may_retry(START.after(4 * MINUTE)), START.after(HOUR));
    }

    #[test]
    fn retry_after_is_obeyed_and_bounded() {
        let mut trouble = Trouble::default();
        trouble.order_failed("busy", Some(2 * HOUR), START, 50);
        let pause = trouble.retry.since(START);
        assert!(pause > 2 * HOUR && pause < 2 * HOUR + 15 * MINUTE, "{pause:?}");
        trouble.order_failed("busy", Some(1000 * WEEK), START, 0);
        assert!(trouble.retry.since(START) < 2 * WEEK);
        trouble.order_failed("a\nb", Some(Duration::ZERO), START, 0);
        assert!(trouble.retry.since(START) > MINUTE && trouble.reason == "ab");
    }

    #[test]
    fn orders_and_duplicates_are_counted() {
        let mut orders = Vec::new();
        for number in 0..250_u32 {
            let now = START.after(Duration::from_secs(number.into()));
            let free = next_order(&orders, now);
            assert_eq!(free > now, number >= 200, "{number}");
            if number < 200 {
                note_order(&mut orders, now);
            }
        }
        assert_eq!(next_order(&orders, START.after(4 * HOUR)), Timestamp(0));
        let names = vec!["a.org".to_owned()];
        let mut holding = Holding::default();
        for day in 0..4_u32 {
            assert_eq!(same_names_again(&holding, &names, START.after(24 * HOUR * day)), Timestamp(0));
            let at = START.after(24 * HOUR * day);
            holding.issuances.push(super::super::holding::Issuance { at, names: names.clone() });
        }
        assert_eq!(same_names_again(&holding, &names, START.after(96 * HOUR)), START.after(WEEK));
        assert_eq!(same_names_again(&holding, &["b.org".to_owned()], START.after(96 * HOUR)), Timestamp(0));
        keep_recent(&mut holding, START.after(WEEK));
        assert_eq!(holding.issuances.len(), 3);
    }
}
