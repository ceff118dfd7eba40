//! Decides at load what can be decided: rules that no path reaches, rules
//! whose conditions on TX variables have one answer, and jumps over nothing.
//!
//! The rules of a phase are followed once, in order, with what is known about
//! the TX variables. Where paths meet, only what holds on all of them is kept.
//! A paranoia level that is set once and never changed is known everywhere, so
//! the rules above it are not in the program. Nothing here depends on requests.

mod prologue;
mod world;

use std::collections::{BTreeMap, HashMap};

use hop3_seclang::ast::{Collection, SetVarOp, Variable};

use crate::collections::tx::{Slot, SlotNames, Value};
use crate::evaluate::value_of;
use crate::operators::{Operator, number};
use crate::rule::{Action, Condition, Disruptive, Key, Link, Rule, Selector};
use crate::rule_control::RuleSelection;
use crate::scan::answers_only;
use crate::scan::bits::Bits;
use crate::settings::Settings;
use crate::template::{Piece, Template};
use prologue::Prologue;
use world::{Known, World};

/// What a ruleset's folding works on.
pub(crate) struct Folding<'r> {
    /// The rules.
    pub(crate) phases: &'r [Vec<Rule>; 5],
    /// Its settings.
    pub(crate) settings: &'r Settings,
    /// The TX variables that rules mention.
    pub(crate) names: &'r SlotNames,
    /// The variable that the engine itself sets.
    pub(crate) limits: Slot,
}

/// What is left of a ruleset.
#[derive(Debug)]
pub(crate) struct Folded {
    /// For each phase the rules that remain.
    pub(crate) alive: [Bits; 5],
    /// Rules that are taken to run and to match whenever their place is reached.
    /// When a `ctl` removes one, what was folded holds no longer.
    pub(crate) relied_on: RuleSelection,
    /// The TX variables that every transaction begins with, by slot.
    pub(crate) prologue: Vec<Option<Value>>,
    /// What the operators of remaining rules compare with, where the macros in it are known: by phase, place and
    /// link.
    pub(crate) arguments: Arguments,
}

/// Expanded arguments by phase, place in the phase and link.
pub(crate) type Arguments = HashMap<(usize, usize, usize), Vec<u8>>;

/// Folds a ruleset.
pub(crate) fn fold(folding: &Folding<'_>) -> Folded {
    let (relied_on, prologue, arguments) = Default::default();
    Folder { folding, relied_on, prologue, arguments }.phases()
}

struct Folder<'r> {
    folding: &'r Folding<'r>,
    relied_on: RuleSelection,
    prologue: Prologue,
    arguments: Arguments,
}

/// What is known of a rule, or of a link, at its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// It matches, in so many values.
    Always(usize),
    Never,
    Perhaps,
}

impl Folder<'_> {
    fn phases(mut self) -> Folded {
        let folding = self.folding;
        let mut alive: [Bits; 5] = Default::default();
        // A phase begins where one of those before it ended: an `allow` may leave some out.
        let mut start = World::start(folding.names, folding.limits);
        for (phase, alive) in alive.iter_mut().enumerate().take(4) {
            let (remaining, end) = self.phase(phase, start.clone());
            *alive = remaining;
            match (phase, end) {
                (0, Some(end)) => start = end,
                (_, Some(end)) => start.join(&end),
                (_, None) => {}
            }
        }
        // The last phase runs after whatever happened.
        alive[4] = self.phase(4, World::unknown(folding.names)).0;
        let prologue = self.prologue.values(folding.names);
        Folded { alive, relied_on: self.relied_on, prologue, arguments: self.arguments }
    }

    /// Follows a phase. The second value is what is known where it ends, if it can.
    fn phase(&mut self, phase: usize, start: World) -> (Bits, Option<World>) {
        let rules = &self.folding.phases[phase];
        let mut alive = Bits::new(rules.len());
        let mut jumps = Vec::new();
        let mut arriving: BTreeMap<usize, Option<World>> = BTreeMap::new();
        let mut here = Some(start);
        let mut end = None;
        for (position, rule) in rules.iter().enumerate() {
            merge(&mut here, arriving.remove(&position).flatten());
            let Some(world) = &mut here else { continue };
            let outcome = self.outcome(rule, world);
            if outcome == Outcome::Never {
                continue;
            }
            let certain = matches!(outcome, Outcome::Always(_));
            if certain {
                self.relied_on.insert(rule.index);
            }
            self.note_arguments((phase, position), rule, world);
            self.perform(rule, world, certain);
            if certain && leaves_no_trace(rule) {
                jumps.push((position, rule.flow));
            } else if !(phase == 0 && certain && self.prologue.takes(rule, world)) {
                alive.insert(position);
                self.prologue.passes(rule);
            }
            if matches!(rule.disruptive, Disruptive::Allow(_)) {
                merge(&mut end, Some(world.clone()));
            }
            if let Some(target) = rule.flow {
                let world = if certain { here.take() } else { here.clone() };
                let place = if target < rules.len() { arriving.entry(target).or_default() } else { &mut end };
                merge(place, world);
            }
        }
        merge(&mut end, here);
        for (position, flow) in jumps {
            let skipped = position + 1..flow.unwrap_or(position + 1).min(rules.len());
            if skipped.into_iter().any(|position| alive.contains(position)) {
                alive.insert(position);
            }
        }
        (alive, end)
    }
}

impl Folder<'_> {
    /// Keeps the arguments that are known where the rule stands, and that the rule itself leaves alone.
    fn note_arguments(&mut self, (phase, position): (usize, usize), rule: &Rule, world: &World) {
        let mut written: Vec<Slot> = Vec::new();
        let mut prefixes: Vec<Vec<u8>> = Vec::new();
        for (number, link) in rule.links.iter().enumerate() {
            for action in &link.actions {
                match action {
                    Action::SetVar { key: Key::Slot(slot), .. } => written.push(*slot),
                    Action::SetVar { key: Key::Name(name), .. } => prefixes.push(name.literal_prefix()),
                    _ => {}
                }
            }
            let Some(template) = link.condition.as_ref().and_then(|condition| condition.operator.argument())
            else {
                continue;
            };
            let is_written = |piece: &Piece| match piece {
                Piece::Tx(slot) => {
                    let name = self.folding.names.spelling(*slot).to_ascii_lowercase();
                    written.contains(slot) || prefixes.iter().any(|prefix| name.starts_with(prefix))
                }
                _ => false,
            };
            if template.as_literal().is_none()
                && !template.pieces().iter().any(is_written)
                && let Some(argument) = world.expand(template)
            {
                self.arguments.insert((phase, position, number), argument);
            }
        }
    }

    fn outcome(&self, rule: &Rule, world: &World) -> Outcome {
        let mut whole = Outcome::Always(1);
        let mut silent = true;
        for link in &rule.links {
            match self.link_outcome(link, world) {
                // What the links before did is done all the same.
                Outcome::Never if !silent => return Outcome::Perhaps,
                Outcome::Never => return Outcome::Never,
                Outcome::Perhaps => whole = Outcome::Perhaps,
                Outcome::Always(_) => {}
            }
            silent &= is_silent(link);
        }
        whole
    }

    fn link_outcome(&self, link: &Link, world: &World) -> Outcome {
        let Some(condition) = &link.condition else { return Outcome::Always(1) };
        if link.multi_match {
            return Outcome::Perhaps;
        }
        match self.matches(condition, world) {
            Some(0) => Outcome::Never,
            Some(count) => Outcome::Always(count),
            None => Outcome::Perhaps,
        }
    }

    /// In how many values a condition matches, if that is known.
    fn matches(&self, condition: &Condition, world: &World) -> Option<usize> {
        if matches!(condition.operator, Operator::Never) && !condition.negated {
            return Some(0);
        }
        if !answers_only(&condition.operator) {
            return None;
        }
        let argument = match condition.operator.argument() {
            Some(template) => world.expand(template)?,
            None => Vec::new(),
        };
        let context = self.folding.settings.transformation_context();
        let mut count = 0;
        for target in &condition.targets {
            let (Variable::Tx, Selector::Slot(slot), true) =
                (target.variable, &target.selector, target.exclusions.is_empty())
            else {
                return None;
            };
            let mut value = Vec::new();
            match (target.count, world.get(*slot)) {
                (_, Known::Anything) => return None,
                (true, known) => value.push(if *known == Known::Unset { b'0' } else { b'1' }),
                (false, Known::Unset) => continue,
                (false, Known::Is(known)) => known.write(&mut value),
            }
            for transformation in &condition.transformations {
                let mut changed = Vec::new();
                if transformation.apply(&value, &mut changed, &context) {
                    value = changed;
                }
            }
            let budget = self.folding.settings.pcre_match_limit;
            let matched = condition.operator.test(&value, &argument, budget, None).ok()?;
            count += usize::from(matched != condition.negated);
        }
        Some(count)
    }

    /// Applies what the actions of a rule do to TX; when it may not match, or
    /// not with all its links, what was known before stays possible.
    fn perform(&self, rule: &Rule, world: &mut World, certain: bool) {
        let before = (!certain).then(|| world.clone());
        for link in &rule.links {
            let times = match self.link_outcome(link, world) {
                Outcome::Always(times) => Some(times),
                _ => None,
            };
            if let Some(condition) = &link.condition
                && condition.operator.touches_tx()
            {
                world.forget(self.folding.names, |_| true);
            }
            link.actions.iter().for_each(|action| self.act(action, world, times));
        }
        if let Some(before) = before {
            world.join(&before);
        }
    }

    /// `times` is how often the action runs, if that is known.
    fn act(&self, action: &Action, world: &mut World, times: Option<usize>) {
        match action {
            Action::SetVar { collection: Collection::Tx, key, op, value } => {
                let slot = match key {
                    Key::Slot(slot) => *slot,
                    Key::Name(name) => match world.expand(name) {
                        // A name that no rule mentions is read by none.
                        Some(name) => match self.folding.names.find(&name.to_ascii_lowercase()) {
                            Some(slot) => slot,
                            None => return,
                        },
                        None => return self.forget_like(name, world),
                    },
                };
                let known = self.written(world, slot, *op, value, times);
                world.set(slot, known, self.folding.limits);
            }
            Action::SetVar { .. }
            | Action::ExpireVar { .. }
            | Action::DeprecateVar { .. }
            | Action::InitCol { .. }
            | Action::SetEnv { .. }
            | Action::Control(_)
            | Action::Sanitise(_) => {}
            #[allow(unreachable_patterns, reason = "what is not known to leave TX alone may write all of it")]
            _ => world.forget(self.folding.names, |_| true),
        }
    }

    /// The value of a variable after `setvar`.
    fn written(
        &self,
        world: &World,
        slot: Slot,
        op: SetVarOp,
        value: &Template,
        times: Option<usize>,
    ) -> Known {
        let operand = world.expand(value);
        let sum = |sign: i64| match (world.get(slot), &operand, times) {
            (Known::Anything, ..) | (_, None, _) => Known::Anything,
            (known, Some(operand), Some(1)) => {
                let current = if let Known::Is(value) = known { value.number() } else { 0 };
                Known::Is(Value::Number(current.saturating_add(number(operand).saturating_mul(sign))))
            }
            _ => Known::Anything,
        };
        match op {
            SetVarOp::Unset => Known::Unset,
            SetVarOp::Set => operand.map_or(Known::Anything, |operand| Known::Is(value_of(&operand))),
            SetVarOp::Add => sum(1),
            SetVarOp::Sub => sum(-1),
        }
    }

    /// Forgets the variables that a name with macros in it may mean.
    fn forget_like(&self, name: &Template, world: &mut World) {
        let end = match name.pieces().last() {
            Some(Piece::Literal(bytes)) => bytes.to_ascii_lowercase(),
            _ => Vec::new(),
        };
        let start = name.literal_prefix();
        world.forget(self.folding.names, |name| name.starts_with(&start) && name.ends_with(&end));
    }
}

/// Joins what arrives on another path.
fn merge(here: &mut Option<World>, other: Option<World>) {
    match (here, other) {
        (Some(here), Some(other)) => here.join(&other),
        (here @ None, other) => *here = other,
        (_, None) => {}
    }
}

/// Whether a match of the rule changes nothing but where the phase goes on.
fn leaves_no_trace(rule: &Rule) -> bool {
    leaves_no_trace_but_actions(rule) && rule.links.iter().all(is_silent)
}

/// Whether a match of the rule, its actions aside, changes nothing but where the phase goes on.
fn leaves_no_trace_but_actions(rule: &Rule) -> bool {
    let is_told = rule.log || rule.audit || rule.severity.is_some();
    !is_told && matches!(rule.disruptive, Disruptive::Pass)
}

/// Whether a link that matches changes nothing.
fn is_silent(link: &Link) -> bool {
    link.actions.is_empty() && is_silent_but_for_actions(link)
}

/// Whether a link that matches, its actions aside, changes nothing.
fn is_silent_but_for_actions(link: &Link) -> bool {
    let answers = link.condition.as_ref().is_none_or(|condition| answers_only(&condition.operator));
    !link.capture && answers
}
