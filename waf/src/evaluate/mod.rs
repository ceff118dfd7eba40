//! Walks the rules of a phase over a transaction.

mod actions;
mod link;
mod outcome;
mod reference;

pub(crate) use actions::value_of;

use std::ops::Range;

use hop3_seclang::ast::{AllowScope, EngineMode, Phase};

use crate::trace::{Event, Skipped};

use crate::ruleset::Ruleset;
use crate::scan::Place;
use crate::state::State;
use crate::verdict::{Disruption, Interruption, Verdict};

/// What the walk does after a rule.
enum Next {
    Rule,
    /// The rule of that position in the phase.
    Jump(usize),
    /// No further rule of this phase.
    End,
}

impl State {
    /// Runs a phase. Phase 5 always runs and never interrupts.
    pub(crate) fn run_phase(&mut self, ruleset: &Ruleset, phase: Phase) -> Verdict {
        self.scans &= self.trace.is_none() && self.follows(phase);
        self.trace(|state| Event::Phase { number: phase.number(), runs: state.engine != EngineMode::Off });
        if self.engine == EngineMode::Off || (phase != Phase::Logging && self.is_decided(phase)) {
            return self.verdict();
        }
        let rules = ruleset.phase(phase);
        if self.scans {
            if phase == Phase::RequestHeaders {
                self.tx.begin_with(ruleset.prologue.clone());
            }
            self.scan(ruleset);
        }
        let (of_phase, mut at) = (usize::from(phase.number() - 1), 0);
        while let Some(position) = if self.scans { self.next_candidate(ruleset, phase, at) } else { Some(at) }
            && let Some(rule) = rules.get(position)
        {
            self.note_left_out(ruleset, of_phase, at..position);
            at = position + 1;
            self.place = (of_phase, position);
            if !self.progress.left_out.is_empty() && ruleset.scan.readers.contains(&self.place) {
                self.catch_up(ruleset, self.place);
            }
            if self.changes.is_removed(rule.index) {
                self.trace(|_| Event::Skipped { rule_id: rule.id, why: Skipped::Control });
                continue;
            }
            match self.evaluate(ruleset, rule) {
                Next::Rule => {}
                Next::Jump(target) => {
                    for skipped in rules.get(at..target.min(rules.len())).unwrap_or_default() {
                        self.trace(|_| Event::Skipped { rule_id: skipped.id, why: Skipped::Jump });
                    }
                    at = target.max(at);
                }
                Next::End => {
                    if self.allowance.is_some() {
                        for skipped in &rules[at..] {
                            self.trace(|_| Event::Skipped { rule_id: skipped.id, why: Skipped::Allow });
                        }
                    }
                    at = rules.len();
                    break;
                }
            }
            if self.engine == EngineMode::Off {
                break;
            }
        }
        self.note_left_out(ruleset, of_phase, at..rules.len());
        if self.allowance == Some(AllowScope::Phase) {
            self.allowance = None;
        }
        self.refuse_what_does_not_fit(phase);
        if phase == Phase::Logging { Verdict::Pass } else { self.verdict() }
    }

    /// Notes the rules that capture among those that the scan leaves out here.
    fn note_left_out(&mut self, ruleset: &Ruleset, phase: usize, passed: Range<usize>) {
        if !self.scans {
            return;
        }
        for &position in ruleset.scan.noting[phase].iter().filter(|position| passed.contains(position)) {
            if !self.changes.is_removed(ruleset.phases[phase][position].index) {
                self.progress.left_out.push((phase, position));
            }
        }
    }

    /// Evaluates rules that the scan left out although they capture, when the
    /// rule at `reader` would see it.
    fn catch_up(&mut self, ruleset: &Ruleset, reader: Place) {
        for place in std::mem::take(&mut self.progress.left_out) {
            if Some(place) > self.captured_at {
                self.place = place;
                // Its chain does not match: that is why it was left out.
                let _ = self.evaluate(ruleset, &ruleset.phases[place.0][place.1]);
            }
        }
        self.place = reader;
    }

    /// Notes that a phase begins; whether those before it did, which is what folding takes for granted.
    fn follows(&mut self, phase: Phase) -> bool {
        let bit = 1 << (phase.number() - 1);
        self.begun |= bit;
        phase == Phase::Logging || self.begun & (bit - 1) == bit - 1
    }

    /// The next rule that may match.
    fn next_candidate(&self, ruleset: &Ruleset, phase: Phase, from: usize) -> Option<usize> {
        let phase = usize::from(phase.number() - 1);
        ruleset.walked[phase].next_in_either(&self.progress.candidates[phase], from)
    }

    /// The verdict so far.
    pub(crate) fn verdict(&self) -> Verdict {
        match &self.interruption {
            Some(interruption) => Verdict::Interrupt(interruption.clone()),
            None => Verdict::Pass,
        }
    }

    /// Interrupts on behalf of the engine itself, when it may.
    pub(crate) fn refuse(&mut self, phase: Phase, status: u16, reason: &str) {
        if self.engine == EngineMode::On && self.interruption.is_none() && phase != Phase::Logging {
            self.interruption = Some(Interruption {
                rule_id: 0,
                action: Disruption::Deny,
                status,
                url: None,
                log: reason.to_owned(),
                phase: phase.number(),
            });
        }
    }

    fn is_decided(&self, phase: Phase) -> bool {
        self.interruption.is_some()
            || match self.allowance {
                Some(AllowScope::All) => true,
                Some(AllowScope::Request) => phase <= Phase::RequestBody,
                _ => false,
            }
    }

    /// A transaction whose texts did not fit into memory was not inspected completely.
    fn refuse_what_does_not_fit(&mut self, phase: Phase) {
        if self.texts.is_exhausted() {
            self.refuse(phase, 413, "The transaction needs more memory than an inspection may take.");
        }
    }
}
