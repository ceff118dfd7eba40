//! What a deployment becomes, decided without doing anything: `step(terms, phase, event, now)`.
//!
//! ```text
//! Building ──Built──▶ Starting ──Healthy──▶ Draining ──Drained, or its time is over──▶ Live
//!    │                   │        commit point: the new release is stored as current, then routed
//!    └──────Failed───────┴──▶ Failed: new instances stopped, artifact discarded, old release untouched
//! ```
//!
//! The executor performs the effects in order and stores the phase before it does; after a crash it feeds
//! [`Event::Recovered`] to the stored phase.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::Timestamp;

/// What is fixed when a deployment begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// Whether there is something to build; a change of configuration and a rollback use an artifact that exists.
    pub builds: bool,
    /// Whether another release serves until this one does.
    pub replaces: bool,
    /// How long the first good probe may take.
    pub start_timeout: Duration,
    /// How long requests to the old release may take to finish.
    pub drain: Duration,
}

/// How far a deployment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// The artifact is being made.
    Building,
    /// New instances are on their way up; the old release serves.
    Starting {
        /// When waiting ends.
        deadline: Timestamp,
    },
    /// The new release serves; the old one finishes what it has begun.
    Draining {
        /// When the old one is stopped in any case.
        until: Timestamp,
    },
    /// The new release serves alone.
    Live,
    /// It failed; the old release serves, if there was one.
    Failed,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The artifact is there.
    Built,
    /// The build, the start or a probe failed for good.
    Failed,
    /// Every new instance answered its probe.
    Healthy,
    /// No request to the old release is in flight any more.
    Drained,
    /// Time passed.
    Tick,
    /// The operator wants it no longer: the app is stopped or destroyed.
    Cancelled,
    /// The server found this deployment when it started.
    Recovered,
}

/// What must be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Make the artifact.
    Build,
    /// Start the new instances and probe them.
    Start,
    /// Store the new release as the current one, then publish its route.
    Commit,
    /// Stop the old release's instances.
    StopOld,
    /// Stop the new instances.
    StopNew,
    /// Remove what was built and mark the release as failed.
    Discard,
    /// The deployment is over; forget its record.
    Forget,
}

impl Phase {
    /// Whether nothing more will happen.
    pub fn is_over(self) -> bool {
        matches!(self, Phase::Live | Phase::Failed)
    }
}

/// The first phase and what to do in it.
pub fn begin(terms: &Terms, now: Timestamp) -> (Phase, Vec<Effect>) {
    if terms.builds { (Phase::Building, vec![Effect::Build]) } else { starting(terms, now) }
}

/// The next phase and what to do on the way. An event that does not matter in a phase changes nothing.
pub fn step(terms: &Terms, phase: Phase, event: Event, now: Timestamp) -> (Phase, Vec<Effect>) {
    match (phase, event) {
        (Phase::Building, Event::Built) => starting(terms, now),
        (Phase::Building, Event::Failed | Event::Cancelled | Event::Recovered) => {
            (Phase::Failed, vec![Effect::Discard, Effect::Forget])
        }
        (Phase::Starting { .. }, Event::Healthy) if terms.replaces => {
            (Phase::Draining { until: now.after(terms.drain) }, vec![Effect::Commit])
        }
        (Phase::Starting { .. }, Event::Healthy) => (Phase::Live, vec![Effect::Commit, Effect::Forget]),
        (Phase::Starting { deadline }, Event::Tick) if now >= deadline => give_up(),
        (Phase::Starting { .. }, Event::Failed | Event::Cancelled | Event::Recovered) => give_up(),
        (Phase::Draining { until }, Event::Tick) if now >= until => retire(),
        (Phase::Draining { .. }, Event::Drained | Event::Cancelled | Event::Recovered) => retire(),
        (phase, _) => (phase, Vec::new()),
    }
}

fn starting(terms: &Terms, now: Timestamp) -> (Phase, Vec<Effect>) {
    (Phase::Starting { deadline: now.after(terms.start_timeout) }, vec![Effect::Start])
}

fn give_up() -> (Phase, Vec<Effect>) {
    (Phase::Failed, vec![Effect::StopNew, Effect::Discard, Effect::Forget])
}

fn retire() -> (Phase, Vec<Effect>) {
    (Phase::Live, vec![Effect::StopOld, Effect::Forget])
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENTS: [Event; 7] = [
        Event::Built,
        Event::Failed,
        Event::Healthy,
        Event::Drained,
        Event::Tick,
        Event::Cancelled,
        Event::Recovered,
    ];

    fn terms(builds: bool, replaces: bool) -> Terms {
        Terms { builds, replaces, start_timeout: Duration::from_secs(60), drain: Duration::from_secs(30) }
    }

    #[test]
    fn the_straight_way() {
        let terms = terms(true, true);
        let (phase, effects) = begin(&terms, Timestamp(0));
        assert_eq!((phase, effects), (Phase::Building, vec![Effect::Build]));
        let (phase, effects) = step(&terms, phase, Event::Built, Timestamp(1_000));
        assert_eq!(phase, Phase::Starting { deadline: Timestamp(61_000) });
        assert_eq!(effects, [Effect::Start]);
        let (phase, effects) = step(&terms, phase, Event::Healthy, Timestamp(2_000));
        assert_eq!(phase, Phase::Draining { until: Timestamp(32_000) });
        assert_eq!(effects, [Effect::Commit]);
        let (phase, effects) = step(&terms, phase, Event::Drained, Timestamp(3_000));
        assert_eq!((phase, effects), (Phase::Live, vec![Effect::StopOld, Effect::Forget]));
    }

    #[test]
    fn deadlines_count_from_their_phase_and_only_when_reached() {
        let terms = terms(false, true);
        let (phase, _) = begin(&terms, Timestamp(5_000));
        assert_eq!(step(&terms, phase, Event::Tick, Timestamp(64_999)).0, phase);
        assert_eq!(step(&terms, phase, Event::Tick, Timestamp(65_000)).0, Phase::Failed);
        let draining = Phase::Draining { until: Timestamp(9) };
        assert_eq!(step(&terms, draining, Event::Tick, Timestamp(8)), (draining, vec![]));
        assert_eq!(step(&terms, draining, Event::Tick, Timestamp(9)).0, Phase::Live);
    }

    /// Walks every sequence of events up to length 6 from every beginning, at times before and after all deadlines.
    #[test]
    fn no_sequence_of_events_breaks_the_promises() {
        let mut walked = 0_u32;
        for (builds, replaces) in [(true, true), (true, false), (false, true), (false, false)] {
            let terms = terms(builds, replaces);
            for late in [false, true] {
                let (phase, effects) = begin(&terms, Timestamp(0));
                let now = if late { Timestamp(1_000_000) } else { Timestamp(1) };
                walk(&terms, phase, &effects, now, 6, &mut walked);
            }
        }
        assert!(walked > 30_000, "only {walked} sequences were walked");
    }

    fn walk(terms: &Terms, phase: Phase, done: &[Effect], now: Timestamp, left: u32, walked: &mut u32) {
        *walked += 1;
        let count = |effect| done.iter().filter(|&&one| one == effect).count();
        let committed = count(Effect::Commit) == 1;
        assert!(count(Effect::Commit) <= 1 && count(Effect::Start) <= 1 && count(Effect::Build) <= 1);
        assert!(!(committed && count(Effect::Discard) > 0), "what serves is never discarded: {done:?}");
        assert!(!(committed && count(Effect::StopNew) > 0), "what serves is never stopped: {done:?}");
        assert!(committed || count(Effect::StopOld) == 0, "the old release outlives a failure: {done:?}");
        assert_eq!(phase.is_over(), count(Effect::Forget) == 1, "{phase:?} {done:?}");
        if phase == Phase::Failed {
            assert_eq!(count(Effect::Discard), 1);
            assert_eq!(count(Effect::Start), count(Effect::StopNew), "what was started is stopped: {done:?}");
        }
        if phase == Phase::Live {
            assert!(committed);
            assert_eq!(count(Effect::StopOld), usize::from(terms.replaces));
        }
        // Recovery ends every deployment at once.
        assert!(step(terms, phase, Event::Recovered, now).0.is_over());
        if left == 0 {
            return;
        }
        for event in EVENTS {
            let (next, effects) = step(terms, phase, event, now);
            if phase.is_over() {
                assert_eq!((next, effects.len()), (phase, 0), "an end is an end");
                continue;
            }
            walk(terms, next, &[done, &effects].concat(), now, left - 1, walked);
        }
    }
}
