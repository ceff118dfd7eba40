//! Whether an instance is asked: what its failures say, whose requests they were, and who may try it again.
//!
//! That no connection can be made is the instance's doing, whoever asks. A missing answer may be the request's, so it
//! counts by client: one client's failures lead his own requests to other instances, and only those of several clients
//! lead everybody's away. Times are milliseconds since the instance is known; they come in as values.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::prefix::Prefix;
use crate::upstream::pool::Breaker;

/// Clients that must have got no answer before everybody is led away: more than one person's addresses of IPv4 and IPv6.
const SEVERAL: usize = 3;
/// Most clients that are remembered. The failures of others count as those of new ones.
const REMEMBERED: usize = 64;
/// The least share of an instance that just came up.
const COLDEST: f64 = 0.1;

/// The state of one instance.
#[derive(Debug, Default)]
pub struct Circuit {
    /// Requests in a row for which no connection could be made.
    unreached: AtomicU32,
    /// Clients whose requests, since one was answered, were taken and not answered.
    unanswered: Mutex<Vec<Unanswered>>,
    /// Whether there are any, so that nobody has to look when there are none.
    has_unanswered: AtomicBool,
    /// How often it was set aside since it answered.
    pauses: AtomicU32,
    /// When everybody's pause is over; 0 for none.
    down_until: AtomicU64,
    /// Whether a request of a client without failures is trying it after the pause.
    tried: AtomicBool,
    /// When it last came up.
    up_since: AtomicU64,
    /// What active checks found.
    checked_down: AtomicBool,
}

/// A client whose requests were not answered.
#[derive(Debug)]
struct Unanswered {
    client: Prefix,
    failures: u32,
    /// When this client's pause is over; 0 for none.
    until: u64,
    /// Whether a request of his is trying the instance after the pause.
    tries: bool,
}

/// Who tries an instance after its pause: each client that got no answer for himself, so that he holds up nobody, and
/// all others together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trier {
    /// A client that got no answer.
    Unanswered(Prefix),
    /// Any other.
    Other,
}

impl Circuit {
    /// Whether a client without failures of his own is sent there: not while active checks find it down or it is set
    /// aside. When the pause is over it is up for one request at a time, until one succeeds.
    pub fn is_up(&self, now: u64) -> bool {
        let until = self.down_until.load(Ordering::Relaxed);
        !self.is_checked_down() && (until == 0 || (now >= until && !self.tried.load(Ordering::Relaxed)))
    }

    /// The same for a client.
    pub fn is_up_for(&self, client: IpAddr, now: u64) -> bool {
        let own = self.of_client(client, |own| (own.until, own.tries));
        let Some((own_until, tries)) = own else { return self.is_up(now) };
        let until = self.down_until.load(Ordering::Relaxed).max(own_until);
        !self.is_checked_down() && (until == 0 || (now >= until && !tries))
    }

    /// Whether the last connection to it could be made.
    pub fn is_reached(&self) -> bool {
        self.unreached.load(Ordering::Relaxed) == 0
    }

    /// Begins to try it after the pause, until [`Circuit::tried`] is called. None where nothing is to be tried, or
    /// another request does.
    pub fn try_again(&self, client: IpAddr, now: u64) -> Option<Trier> {
        let until = self.down_until.load(Ordering::Relaxed);
        let own = self.of_client(client, |own| {
            let until = until.max(own.until);
            let due = until != 0 && now >= until && !own.tries;
            own.tries |= due;
            due.then_some(Trier::Unanswered(own.client))
        });
        own.unwrap_or_else(|| {
            let due = until != 0 && now >= until;
            (due && !self.tried.swap(true, Ordering::Relaxed)).then_some(Trier::Other)
        })
    }

    /// Notes that a trial is over, however it ended.
    pub fn tried(&self, trier: Trier) {
        match trier {
            Trier::Other => self.tried.store(false, Ordering::Relaxed),
            Trier::Unanswered(client) => {
                if let Some(own) = self.lock().iter_mut().find(|own| own.client == client) {
                    own.tries = false;
                }
            }
        }
    }

    /// How long a client must not ask it, if so: the circuit is open.
    pub fn open_for(&self, client: IpAddr, breaker: &Breaker, now: u64) -> Option<Duration> {
        if self.is_up_for(client, now) {
            return None;
        }
        if self.is_checked_down() {
            return Some(breaker.first_pause);
        }
        if !self.is_open(breaker) {
            return None;
        }
        let own = self.of_client(client, |own| own.until).unwrap_or(0);
        let left = self.down_until.load(Ordering::Relaxed).max(own).saturating_sub(now);
        Some(Duration::from_millis(left.max(1)))
    }

    /// Its share of what it gets when it has been up for long, in (0, 1].
    pub fn warmth(&self, slow_start: Duration, now: u64) -> f64 {
        if slow_start.is_zero() {
            return 1.0;
        }
        let up = now.saturating_sub(self.up_since.load(Ordering::Relaxed)) as f64;
        (up / slow_start.as_millis() as f64).clamp(COLDEST, 1.0)
    }

    /// Notes that it answered.
    pub fn succeeded(&self, now: u64) {
        if self.unreached.load(Ordering::Relaxed) != 0 {
            self.unreached.store(0, Ordering::Relaxed);
        }
        if self.has_unanswered.load(Ordering::Relaxed) {
            let mut all = self.lock();
            *all = Vec::new();
            self.has_unanswered.store(false, Ordering::Relaxed);
        }
        if self.pauses.load(Ordering::Relaxed) != 0 {
            self.pauses.store(0, Ordering::Relaxed);
            if self.down_until.swap(0, Ordering::Relaxed) != 0 {
                self.up_since.store(now, Ordering::Relaxed);
            }
        }
    }

    /// Notes that it could not be connected to.
    pub fn unreached(&self, breaker: &Breaker, now: u64) {
        if self.unreached.fetch_add(1, Ordering::Relaxed) + 1 >= breaker.aside_after {
            self.pause(breaker, now);
        }
    }

    /// Notes that it took a client's request and gave no proper answer. `has_others` says whether other instances are
    /// there for the requests that it would get: the last one is not set aside, but its circuit may open.
    pub fn unanswered(&self, client: IpAddr, has_others: bool, breaker: &Breaker, now: u64) {
        // There was a connection.
        self.unreached.store(0, Ordering::Relaxed);
        let mut all = self.lock();
        let is_new = note(&mut all, Prefix::customer(client), breaker, now);
        self.has_unanswered.store(true, Ordering::Relaxed);
        let aside = has_others && fail_several(&all, breaker.aside_after);
        let open = breaker.open_after > 0 && fail_several(&all, breaker.open_after);
        // A client that failed before makes nobody's pause longer but his own.
        if (aside || open) && (is_new || self.down_until.load(Ordering::Relaxed) == 0) {
            self.pause(breaker, now);
        }
    }

    /// Ends all pauses: an active check went well, so the next requests may try.
    pub fn end_pause(&self, now: u64) {
        let now = now.max(1);
        let sooner = |until: u64| (until > now).then_some(now);
        let _ = self.down_until.fetch_update(Ordering::Relaxed, Ordering::Relaxed, sooner);
        if self.has_unanswered.load(Ordering::Relaxed) {
            self.lock().iter_mut().for_each(|own| own.until = own.until.min(now));
        }
    }

    /// Notes what active checks found; true when that is news.
    pub fn checked(&self, up: bool, now: u64) -> bool {
        let was_down = self.checked_down.swap(!up, Ordering::Relaxed);
        if was_down && up {
            self.up_since.store(now, Ordering::Relaxed);
        }
        was_down == up
    }

    fn is_checked_down(&self) -> bool {
        self.checked_down.load(Ordering::Relaxed)
    }

    /// Whether it failed so often that nobody is to ask it while it is set aside, whoever else is there.
    fn is_open(&self, breaker: &Breaker) -> bool {
        let most = breaker.open_after;
        most > 0 && (self.unreached.load(Ordering::Relaxed) >= most || fail_several(&self.lock(), most))
    }

    /// Begins a pause, unless one is under way: of requests that fail at the same time each says the same, and only what
    /// fails after a pause makes the next one longer.
    fn pause(&self, breaker: &Breaker, now: u64) {
        let earlier = self.pauses.load(Ordering::Relaxed);
        let begin = |until| (now >= until).then(|| end_of_pause(breaker, earlier, now));
        if self.down_until.fetch_update(Ordering::Relaxed, Ordering::Relaxed, begin).is_ok() {
            self.pauses.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// What is remembered of a client that got no answer.
    fn of_client<T>(&self, client: IpAddr, look: impl FnOnce(&mut Unanswered) -> T) -> Option<T> {
        if !self.has_unanswered.load(Ordering::Relaxed) {
            return None;
        }
        let client = Prefix::customer(client);
        self.lock().iter_mut().find(|own| own.client == client).map(look)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Unanswered>> {
        self.unanswered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts a client's failure; whether it is his first.
fn note(all: &mut Vec<Unanswered>, client: Prefix, breaker: &Breaker, now: u64) -> bool {
    let known = all.iter().position(|own| own.client == client);
    if known.is_none() && all.len() < REMEMBERED {
        all.push(Unanswered { client, failures: 0, until: 0, tries: false });
    }
    if let Some(own) = all.iter_mut().find(|own| own.client == client) {
        own.failures = own.failures.saturating_add(1);
        if let Some(more) = own.failures.checked_sub(breaker.aside_after) {
            own.until = end_of_pause(breaker, more, now);
        }
    }
    known.is_none()
}

/// Whether there are so many failures, of several clients: none counts for more than his part of them.
fn fail_several(all: &[Unanswered], failures: u32) -> bool {
    let part = failures.div_ceil(SEVERAL as u32);
    all.len() >= SEVERAL && all.iter().map(|own| own.failures.min(part)).sum::<u32>() >= failures
}

/// When a pause that begins now is over; each is twice as long as the one before.
fn end_of_pause(breaker: &Breaker, earlier: u32, now: u64) -> u64 {
    let pause = breaker.first_pause.saturating_mul(1 << earlier.min(8)).min(breaker.longest_pause);
    now.saturating_add(u64::try_from(pause.as_millis()).unwrap_or(u64::MAX)).max(1)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const PAUSE: Duration = Duration::from_secs(1);

    fn breaker() -> Breaker {
        Breaker { aside_after: 2, first_pause: PAUSE, longest_pause: 4 * PAUSE, open_after: 6 }
    }

    fn client(number: u8) -> IpAddr {
        Ipv4Addr::new(192, 0, 2, number).into()
    }

    /// Failures of these clients, one after the other.
    fn fail(circuit: &Circuit, clients: impl IntoIterator<Item = u8>, has_others: bool, now: u64) {
        clients.into_iter().for_each(|of| circuit.unanswered(client(of), has_others, &breaker(), now));
    }

    #[test]
    fn who_cannot_be_connected_to_is_set_aside_and_comes_back_with_an_answer() {
        let circuit = Circuit::default();
        circuit.unreached(&breaker(), 100);
        assert!(circuit.is_up(100));
        circuit.unreached(&breaker(), 100);
        assert!(!circuit.is_up(100) && !circuit.is_up_for(client(1), 100));
        assert_eq!(circuit.open_for(client(1), &breaker(), 100), None);
        (0..4).for_each(|_| circuit.unreached(&breaker(), 100));
        assert_eq!(circuit.open_for(client(1), &breaker(), 100), Some(PAUSE));
        circuit.succeeded(5_000);
        assert!(circuit.is_up(5_000));
        assert!(circuit.warmth(PAUSE, 5_000) < 0.2 && circuit.warmth(PAUSE, 6_000) > 0.9);
        assert!(circuit.checked(false, 5_000) && !circuit.is_up(5_000) && !circuit.checked(false, 5_000));
        assert_eq!(circuit.open_for(client(1), &breaker(), 5_000), Some(PAUSE));
        assert!(circuit.checked(true, 5_000) && circuit.is_up(5_000));
    }

    #[test]
    fn what_fails_at_the_same_time_leads_to_one_pause_and_each_further_one_is_twice_as_long() {
        let left = |circuit: &Circuit, now| circuit.open_for(client(99), &breaker(), now);
        let unreached = Circuit::default();
        let unanswered = Circuit::default();
        for (round, now, pause) in [(0, 100, 1), (1, 1_100, 2), (2, 3_100, 4), (3, 7_100, 4)] {
            assert!(unreached.is_up(now) && unanswered.is_up(now), "the pause before is over at {now}");
            (0..50).for_each(|_| unreached.unreached(&breaker(), now));
            // Each time others, so that each failure is its client's first.
            fail(&unanswered, round * 12..(round + 1) * 12, false, now);
            assert_eq!(left(&unreached, now), Some(pause * PAUSE));
            assert_eq!(left(&unanswered, now), Some(pause * PAUSE));
            // Those that were under way.
            unreached.unreached(&breaker(), now + 10);
            fail(&unanswered, [200 + round], false, now + 10);
            let rest = Some(pause * PAUSE - Duration::from_millis(10));
            assert_eq!((left(&unreached, now + 10), left(&unanswered, now + 10)), (rest, rest));
        }
        for circuit in [unreached, unanswered] {
            circuit.succeeded(8_000);
            fail(&circuit, 0..12, false, 8_000);
            assert_eq!(left(&circuit, 8_000), Some(PAUSE), "after an answer it begins anew");
        }
    }

    #[test]
    fn failures_of_one_client_are_his_own() {
        let circuit = Circuit::default();
        fail(&circuit, [1; 100], true, 100);
        assert!(circuit.is_up(100) && circuit.is_up_for(client(2), 100));
        assert!(!circuit.is_up_for(client(1), 100), "he is led elsewhere");
        assert_eq!(circuit.open_for(client(1), &breaker(), 100), None, "and loses nothing");
        assert!(circuit.is_up_for(client(1), 4_100), "not for ever");
        // A second one, with many addresses of one network.
        for number in 0..100 {
            let address = format!("2001:db8::{number:x}").parse().unwrap();
            circuit.unanswered(address, true, &breaker(), 100);
        }
        assert!(circuit.is_up(100));
    }

    #[test]
    fn failures_of_several_set_aside_while_there_are_others_and_open_the_circuit_of_the_last() {
        let circuit = Circuit::default();
        fail(&circuit, [1, 2], true, 100);
        assert!(circuit.is_up(100));
        fail(&circuit, [3], true, 100);
        assert!(!circuit.is_up(100) && !circuit.is_up_for(client(9), 100));
        assert_eq!(circuit.open_for(client(9), &breaker(), 100), None);
        let last = Circuit::default();
        fail(&last, [1, 2, 3, 1, 1, 1, 1, 2], false, 100);
        assert!(last.is_up(100), "one counts for no more than his part");
        fail(&last, [3], false, 100);
        for of in [1, 2, 3, 9] {
            let left = last.open_for(client(of), &breaker(), 100);
            assert!(left.is_some_and(|left| left >= PAUSE), "{of}: {left:?}");
        }
        last.succeeded(200);
        assert!((0..9).all(|of| last.is_up_for(client(of), 200)));
        fail(&last, [1, 2, 3, 1, 2], false, 300);
        assert!(last.is_up(300), "in a row");
        let never = Breaker { open_after: 0, ..breaker() };
        (0..200).for_each(|of| last.unanswered(client(of), false, &never, 300));
        assert!(last.is_up(300));
        assert_eq!(last.lock().len(), REMEMBERED);
    }

    #[test]
    fn after_the_pause_one_request_tries() {
        let circuit = Circuit::default();
        assert_eq!(circuit.try_again(client(1), 100), None, "nothing is to be tried");
        circuit.unreached(&breaker(), 100);
        circuit.unreached(&breaker(), 100);
        assert_eq!(circuit.try_again(client(1), 1_099), None, "not yet");
        assert!(circuit.is_up_for(client(1), 1_100));
        let trier = circuit.try_again(client(1), 1_100);
        assert_eq!(trier, Some(Trier::Other));
        assert!(!circuit.is_up_for(client(2), 1_100) && circuit.try_again(client(2), 1_100).is_none());
        circuit.tried(Trier::Other);
        assert!(circuit.is_up(1_100), "one that was given up leaves its place to the next");
        circuit.unreached(&breaker(), 1_200);
        assert!(!circuit.is_up(3_199) && circuit.is_up(3_200), "twice as long");
    }

    /// Who got no answer may hold his trial for as long as he likes: it is not the others'.
    #[test]
    fn who_failed_before_holds_up_nobody() {
        let circuit = Circuit::default();
        fail(&circuit, [1, 2, 3, 1, 2, 3], false, 100);
        assert!(circuit.open_for(client(9), &breaker(), 100).is_some());
        // Theirs fail at once, and make only their own pauses longer.
        fail(&circuit, [1, 2, 3], false, 1_000);
        assert!(!circuit.is_up_for(client(1), 1_100) && circuit.try_again(client(1), 1_100).is_none());
        let slow = circuit.try_again(client(1), 3_000).unwrap();
        assert_eq!(slow, Trier::Unanswered(Prefix::customer(client(1))));
        assert!(circuit.try_again(client(1), 3_000).is_none(), "one at a time");
        assert_eq!(circuit.try_again(client(9), 3_000), Some(Trier::Other));
        circuit.succeeded(3_100);
        circuit.tried(slow);
        assert!(circuit.is_up_for(client(1), 3_100));
    }

    #[test]
    fn a_good_check_ends_all_pauses() {
        let circuit = Circuit::default();
        circuit.end_pause(50);
        fail(&circuit, [1, 2, 3, 1], true, 100);
        assert!(!circuit.is_up(200) && !circuit.is_up_for(client(1), 200));
        circuit.end_pause(200);
        assert!(circuit.is_up(200) && circuit.is_up_for(client(1), 200));
        assert!(circuit.try_again(client(9), 200).is_some());
    }
}
