//! Rules → scan.

use std::collections::{BTreeMap, BTreeSet};

use hop3_transformations::{ByteSet, Transformation};

use super::bits::Bits;
use super::classes::ClassNumbers;
use super::literals::{Literals, TestId};
use super::needs::{Needs, answers_only};
use super::plan::{Plan, Plans, Step};
use super::source::Source;
use super::strategy::Strategy;
use super::tree::{NodeId, Nodes, Tree};
use super::{Scan, Test};
use crate::rarity;
use crate::rule::{Condition, Link, Rule, Selector, Target};

/// Expected hits per byte above which a set of texts is not worth waiting for.
const COMMON: f32 = 0.02;
/// Sets that a value is asked for before an operator runs.
const SETS_PER_TEST: usize = 3;

/// Builds the scan of a ruleset; `alive` says which rules can run at all.
pub(crate) fn build(phases: &[Vec<Rule>; 5], alive: impl Fn(usize, usize) -> bool) -> Scan {
    let mut builder = Builder::default();
    for (phase, rules) in phases.iter().enumerate() {
        for (position, rule) in rules.iter().enumerate() {
            let strategy =
                if alive(phase, position) { builder.add(phase, position, rule) } else { Strategy::Folded };
            builder.strategies[phase].push(strategy);
        }
    }
    builder.finish()
}

#[derive(Default)]
struct Builder {
    tree: Tree,
    classes: ClassNumbers,
    tests: Vec<Test>,
    drafts: Vec<Draft>,
    strategies: [Vec<Strategy>; 5],
}

/// What a test waits for, and where it looks.
struct Draft {
    needs: Needs,
    trigger: Trigger,
    targets: Vec<(Vec<Source>, Target)>,
}

#[derive(Clone, Copy, PartialEq)]
enum Trigger {
    Literals,
    Class(u128),
    Nothing,
}

impl Builder {
    /// Makes a test of the rule if a link of it can be decided by values alone.
    fn add(&mut self, phase: usize, position: usize, rule: &Rule) -> Strategy {
        for (number, link) in rule.links.iter().enumerate() {
            if let Some(strategy) = self.add_link((phase, position, number), link) {
                return strategy;
            }
            if !is_silent(link) {
                break;
            }
        }
        Strategy::Walked
    }

    fn add_link(
        &mut self,
        (phase, position, number): (usize, usize, usize),
        link: &Link,
    ) -> Option<Strategy> {
        let condition = link.condition.as_ref()?;
        let needs = Needs::of(&condition.operator, condition.negated)?;
        let targets: Vec<_> = condition
            .targets
            .iter()
            .map(|target| Some((Source::of(target)?, target.clone())))
            .collect::<Option<_>>()?;
        let path = self.tree.insert(&condition.transformations)?;
        let nodes: Nodes = match link.multi_match {
            true => path.iter().fold(0, |nodes, node| nodes | 1 << node),
            false => 1 << path[path.len() - 1],
        };
        let (needed, trigger, strategy) = self.trigger(&needs);
        self.tests.push(Test {
            phase: phase as u8,
            position: position as u32,
            link: number as u32,
            nodes,
            classes: needed,
            length: needs.length,
            argument: argument_of(condition),
        });
        self.drafts.push(Draft { needs, trigger, targets });
        Some(strategy)
    }

    /// Chooses what a test waits for: what fewest values have.
    fn trigger(&mut self, needs: &Needs) -> (u128, Trigger, Strategy) {
        let mut sets: Vec<(f32, ByteSet)> =
            needs.sets.iter().map(|set| (rarity::of_bytes(*set), *set)).collect();
        sets.sort_by(|left, right| left.0.total_cmp(&right.0));
        let bits: Vec<(f32, u128)> = sets
            .into_iter()
            .take(SETS_PER_TEST)
            .filter_map(|(chance, set)| Some((chance, self.classes.bit(set)?)))
            .collect();
        let needed = bits.iter().fold(0, |needed, (_, bit)| needed | bit);
        let literals = needs.literals.as_ref().map(|texts| rarity::of_literals(texts));
        let by_class = bits.first().map_or(1.0, |(chance, _)| *chance);
        match (literals, bits.first()) {
            (Some(hits), _) if hits < COMMON && hits * rarity::VALUE_LENGTH < by_class => {
                let count = needs.literals.as_ref().map_or(0, Vec::len);
                (needed, Trigger::Literals, Strategy::Literals(count))
            }
            (_, Some((_, bit))) => (needed, Trigger::Class(*bit), Strategy::Bytes),
            (Some(_), None) => {
                let count = needs.literals.as_ref().map_or(0, Vec::len);
                (needed, Trigger::Literals, Strategy::Literals(count))
            }
            (None, None) => (needed, Trigger::Nothing, Strategy::EachValue),
        }
    }

    fn finish(mut self) -> Scan {
        let steps = self.steps();
        let mut plans: Vec<(Source, Plans)> = Vec::new();
        for (source, names) in self.names() {
            let mut of_source = Plans { other: self.plan(source, None, &steps), ..Plans::default() };
            for name in names {
                let plan = self.plan(source, Some(&name), &steps);
                of_source.named.insert(name.into(), plan);
            }
            plans.push((source, of_source));
        }
        let waiting = |response: bool| {
            self.drafts.iter().enumerate().filter_map(move |(test, draft)| {
                let wanted = draft.trigger == Trigger::Literals
                    && draft
                        .targets
                        .iter()
                        .flat_map(|(sources, _)| sources)
                        .any(|source| source.is_response() == response);
                Some((test as TestId, draft.needs.literals.as_deref().filter(|_| wanted)?))
            })
        };
        match (Literals::new(waiting(false)), Literals::new(waiting(true))) {
            (Ok(request), Ok(response)) => {
                let (lists, singles) = Default::default();
                let mut scan = Scan {
                    tree: self.tree,
                    classes: self.classes.table(),
                    tests: self.tests,
                    lists,
                    singles,
                    request,
                    response,
                    strategies: self.strategies,
                };
                plans.into_iter().for_each(|(source, plans)| scan.set_plans(source, plans));
                scan
            }
            // More texts than an automaton can hold: everything is walked.
            _ => Scan::without_tests(self.strategies),
        }
    }

    /// The steps of the whole tree with what triggers them.
    fn steps(&mut self) -> Vec<Step> {
        let steps = (1..self.tree.len()).filter_map(|node| {
            let (parent, transformation) = self.tree.step(node as NodeId)?;
            let needed = transformation.triggers();
            let bit = if needed == ByteSet::ALL { None } else { self.classes.bit(needed) };
            Some(Step {
                node: node as NodeId,
                parent,
                transformation,
                triggers: bit.unwrap_or(0),
                always: bit.is_none(),
            })
        });
        steps.collect()
    }

    /// All sources, each with the names that some target mentions.
    fn names(&self) -> BTreeMap<Source, BTreeSet<Vec<u8>>> {
        let mut names: BTreeMap<Source, BTreeSet<Vec<u8>>> = BTreeMap::new();
        for (sources, target) in self.drafts.iter().flat_map(|draft| &draft.targets) {
            for source in sources {
                let of_source = names.entry(*source).or_default();
                for selector in std::iter::once(&target.selector).chain(&target.exclusions) {
                    if let Selector::Name(name) = selector
                        && Plans::is_nameable(name)
                    {
                        of_source.insert(name.to_ascii_lowercase());
                    }
                }
            }
        }
        names
    }

    /// The plan of a source for one name, or for all names that are not mentioned.
    fn plan(&self, source: Source, name: Option<&[u8]>, steps: &[Step]) -> Option<Plan> {
        let mut plan = Plan { members: Bits::new(self.tests.len()), ..Plan::default() };
        let mut every = Vec::new();
        let mut by_class: BTreeMap<u32, Vec<TestId>> = BTreeMap::new();
        for (test, draft) in self.drafts.iter().enumerate() {
            let looks = draft
                .targets
                .iter()
                .any(|(sources, target)| sources.contains(&source) && may_select(target, name));
            if !looks {
                continue;
            }
            plan.members.insert(test);
            plan.nodes |= self.tests[test].nodes;
            match draft.trigger {
                Trigger::Literals => plan.has_literals = true,
                Trigger::Class(bit) => by_class.entry(bit.trailing_zeros()).or_default().push(test as TestId),
                Trigger::Nothing => every.push(test as TestId),
            }
        }
        if plan.nodes == 0 {
            return None;
        }
        let needed = self.tree.with_parents(plan.nodes);
        plan.steps = steps.iter().filter(|step| needed >> step.node & 1 == 1).copied().collect();
        plan.triggers = plan.steps.iter().fold(0, |triggers, step| triggers | step.triggers);
        plan.always_changes = plan.steps.iter().any(|step| step.always);
        plan.every = every.into();
        plan.by_class = by_class.into_iter().map(|(bit, tests)| (bit, tests.into())).collect();
        Some(plan)
    }
}

/// Whether a link that matches without the rest of its chain leaves no trace.
fn is_silent(link: &Link) -> bool {
    let answers_only = link.condition.as_ref().is_none_or(|condition| answers_only(&condition.operator));
    link.actions.is_empty() && !link.capture && answers_only
}

/// Whether a target may select values of a name, or with `None` of some name that nobody mentions.
fn may_select(target: &Target, name: Option<&[u8]>) -> bool {
    let Some(name) = name else {
        return !matches!(target.selector, Selector::Name(_))
            && !target.exclusions.iter().any(|exclusion| matches!(exclusion, Selector::All));
    };
    target.selector.selects(name) && !target.exclusions.iter().any(|exclusion| exclusion.excludes(name))
}

/// The text an operator compares with, when it has one.
fn argument_of(condition: &Condition) -> Box<[u8]> {
    let template = condition.operator.argument();
    template.and_then(|template| template.as_literal()).unwrap_or_default().into()
}

/// Whether a transformation only makes capitals small.
pub(super) fn only_folds(transformation: Transformation) -> bool {
    transformation == Transformation::Lowercase
}
