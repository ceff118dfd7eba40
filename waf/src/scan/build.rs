//! Rules → scan.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hop3_seclang::ast::Variable;
use hop3_transformations::{ByteSet, Transformation};

use super::bits::Bits;
use super::classes::{self, ClassNumbers};
use super::kept::Kept;
use super::literals::{Literals, WatchId};
use super::needs::{Needs, Texts, answers_only};
use super::noted::NotedTest;
use super::plan::{ByClass, Kind, Plan, Plans, Step, only_folds};
use super::privacy::Privacy;
use super::prospect::{Prospect, Way};
use super::source::Source;
use super::strategy::Strategy;
use super::tree::{NodeId, Nodes, Tree};
use super::{Path, Place, Scan, Test, Watch};
use crate::collections::tx::SlotNames;
use crate::fold::Arguments;
use crate::operators::{Operator, PhraseSet};
use crate::parts::Parts;
use crate::rarity;
use crate::rule::{Condition, Link, Rule, Selector, Target};

/// Expected hits per byte above which a set of texts is not worth waiting for.
const COMMON: f32 = 0.02;
/// Masks of classes that are tried before a text is searched for literals; more are not worth trying.
const MASKS_LIMIT: usize = 12;
/// Texts that may be looked for in the forms of one node for it to count among those with few.
const FEW_TEXTS: usize = 200;

/// Builds the scan of a ruleset out of the rules that can run at all.
pub(crate) fn build(
    phases: &[Vec<Rule>; 5],
    alive: &[Bits; 5],
    arguments: &Arguments,
    names: &SlotNames,
    parts: &Parts,
) -> Scan {
    let mut builder = Builder::new(arguments, names, Privacy::of(phases));
    for (phase, rules) in phases.iter().enumerate() {
        for (position, rule) in rules.iter().enumerate() {
            let strategy = if alive[phase].contains(position) {
                builder.add(phase, position, rule)
            } else {
                Strategy::Folded
            };
            builder.strategies[phase].push(strategy);
        }
    }
    builder.finish(phases, parts)
}

struct Builder<'r> {
    arguments: &'r Arguments,
    names: &'r SlotNames,
    privacy: Privacy,
    tree: Tree,
    classes: ClassNumbers,
    tests: Vec<Test>,
    /// For each test where its values come from.
    targets: Vec<Vec<(Vec<Source>, Target)>>,
    watches: Vec<Draft>,
    strategies: [Vec<Strategy>; 5],
    /// Classes that have the space.
    spaces: u128,
}

/// A test that a link could become.
struct LinkTest {
    number: usize,
    argument: Box<[u8]>,
    presence: bool,
    needs: Vec<Needs>,
    targets: Vec<(Vec<Source>, Target)>,
}

/// One way in which a test may match: what it waits for.
struct Draft {
    test: usize,
    needs: Needs,
    /// Bits of the sets that got one.
    classes: u128,
    trigger: Trigger,
    /// What its texts are like, when it waits for texts.
    kept: Option<Kept>,
    /// Its classes, and the rarest bytes of its texts.
    way: Way,
}

#[derive(Clone, Copy, PartialEq)]
enum Trigger {
    Literals,
    Class(u32),
    Nothing,
}

impl<'r> Builder<'r> {
    fn new(arguments: &'r Arguments, names: &'r SlotNames, privacy: Privacy) -> Self {
        let (tree, classes, tests, targets, watches, strategies) = Default::default();
        Self { arguments, names, privacy, tree, classes, tests, targets, watches, strategies, spaces: 0 }
    }

    /// Makes a test of the rule if a link of it can be decided by values alone: of that which fewest requests pass.
    fn add(&mut self, phase: usize, position: usize, rule: &Rule) -> Strategy {
        let mut best: Option<(f32, LinkTest)> = None;
        for (number, link) in rule.links.iter().enumerate() {
            if let Some(test) = self.link_test((phase, position, number), link) {
                let chance = test.chance();
                if best.as_ref().is_none_or(|(least, _)| chance < *least) {
                    best = Some((chance, test));
                }
            }
            if !is_silent(link) {
                break;
            }
        }
        match best.and_then(|(_, test)| self.add_test((phase, position), rule, test)) {
            // Which kind it is comes out when the classes are numbered.
            Some(()) => Strategy::EachValue,
            None => Strategy::Walked,
        }
    }

    /// What a test of a link would be.
    fn link_test(&self, place: (usize, usize, usize), link: &Link) -> Option<LinkTest> {
        let condition = link.condition.as_ref()?;
        let argument = argument_of(condition, self.arguments.get(&place));
        let presence = is_presence(condition, argument);
        let needs = if presence {
            vec![Needs::default()]
        } else {
            Needs::of(&condition.operator, condition.negated, argument)?
        };
        let sources = |target: &Target| Source::of(target).filter(|_| target.count == presence);
        let targets = condition.targets.iter().map(|target| Some((sources(target)?, target.clone())));
        let targets = targets.collect::<Option<_>>()?;
        Some(LinkTest {
            number: place.2,
            argument: argument.unwrap_or_default().into(),
            presence,
            needs,
            targets,
        })
    }

    fn add_test(&mut self, (phase, position): (usize, usize), rule: &Rule, of_link: LinkTest) -> Option<()> {
        let LinkTest { number, argument, presence, needs, targets } = of_link;
        let link = rule.links.get(number)?;
        let path = self.tree.insert(&link.condition.as_ref()?.transformations)?;
        let nodes: Nodes = match link.multi_match {
            true => path.iter().fold(0, |nodes, node| nodes | 1 << node),
            false => 1 << path[path.len() - 1],
        };
        let test = self.tests.len();
        self.tests.push(Test {
            phase: phase as u8,
            position: position as u32,
            link: number as u32,
            nodes,
            argument,
            presence,
            noted: if number == 0 { self.noted((phase, position), rule).map(Box::new) } else { None },
        });
        self.targets.push(targets);
        self.watches.extend(needs.into_iter().map(|needs| Draft {
            test,
            needs,
            classes: 0,
            trigger: Trigger::Nothing,
            kept: None,
            way: Way::OPEN,
        }));
        Some(())
    }

    /// What a rule notes of each value for its second link.
    fn noted(&self, (phase, position): (usize, usize), rule: &Rule) -> Option<NotedTest> {
        let condition = rule.links.get(1)?.condition.as_ref()?;
        let argument = argument_of(condition, self.arguments.get(&(phase, position, 1)))?;
        NotedTest::of(rule, argument, &self.privacy, self.names)
    }

    /// Numbers sets of bytes: first, of each watch that has no rare text, the
    /// set that fewest values have a byte of, then all others; each time those that save most.
    fn number_classes(&mut self) {
        let rarest = |needs: &Needs| {
            let sets = needs.sets.iter().map(|set| classes::folded(*set));
            sets.min_by(|left, right| rarity::of_set(*left).total_cmp(&rarity::of_set(*right)))
        };
        let is_common = |texts: &Texts| rarity::of_texts(texts.iter()) >= COMMON;
        let without_text = |needs: &&Needs| needs.literals.as_ref().is_none_or(is_common);
        let needs = || self.watches.iter().map(|watch| &watch.needs);
        let first = savings(needs().filter(without_text).filter_map(rarest));
        let others = savings(needs().flat_map(|needs| &needs.sets).map(|set| classes::folded(*set)));
        for set in first.into_iter().chain(others) {
            self.classes.bit(set);
        }
    }

    /// Chooses for each watch what it waits for: what fewest values have.
    fn choose_triggers(&mut self) {
        for watch in &mut self.watches {
            let mut bits: Vec<(f32, u128)> = Vec::new();
            for set in &watch.needs.sets {
                if let Some(bit) = self.classes.bit(*set) {
                    bits.push((rarity::of_set(*set), bit));
                }
            }
            bits.sort_by(|left, right| left.0.total_cmp(&right.0));
            watch.classes = bits.iter().fold(0, |classes, (_, bit)| classes | bit);
            let literals = watch.needs.literals.as_ref().map(|texts| rarity::of_texts(texts.iter()));
            watch.trigger = match (literals, bits.first()) {
                (Some(hits), None) if hits < COMMON => Trigger::Literals,
                (Some(hits), Some((chance, _))) if hits < COMMON && hits * rarity::VALUE_LENGTH < *chance => {
                    Trigger::Literals
                }
                (_, Some((_, bit))) => Trigger::Class(bit.trailing_zeros()),
                (_, None) => Trigger::Nothing,
            };
            let texts = watch.needs.literals.as_ref().filter(|_| watch.trigger == Trigger::Literals);
            watch.kept = texts.and_then(Kept::of);
            watch.way = Way::new(watch.classes, watch.needs.literals.as_ref());
        }
    }

    /// Tells for each tested rule how it is decided, by its weakest watch.
    fn tell_strategies(&mut self) {
        // The watches of a test stand together, in the order of the tests.
        let mut rest = self.watches.as_slice();
        for (number, test) in self.tests.iter().enumerate() {
            let count = rest.iter().take_while(|watch| watch.test == number).count();
            let (watches, others) = rest.split_at(count);
            rest = others;
            let strategy = if watches.iter().any(|watch| watch.trigger == Trigger::Nothing) {
                Strategy::EachValue
            } else if watches.iter().any(|watch| watch.trigger != Trigger::Literals) {
                Strategy::Bytes
            } else {
                let texts = watches.iter().filter_map(|watch| watch.needs.literals.as_ref());
                Strategy::Literals(texts.map(Texts::len).sum())
            };
            self.strategies[usize::from(test.phase)][test.position as usize] = strategy;
        }
    }

    /// Rules that read what others captured, and rules whose captures are left undone until then.
    fn capture_rules(&self, phases: &[Vec<Rule>; 5]) -> (Vec<Place>, [Vec<usize>; 5]) {
        let places = phases.iter().enumerate().flat_map(|(phase, rules)| {
            rules.iter().enumerate().map(move |(position, rule)| ((phase, position), rule))
        });
        let readers = places.filter(|(_, rule)| self.privacy.reads_captures(rule.id)).map(|(place, _)| place);
        let mut noting: [Vec<usize>; 5] = Default::default();
        for test in self.tests.iter().filter(|test| test.noted.is_some()) {
            noting[usize::from(test.phase)].push(test.position as usize);
        }
        (readers.collect(), noting)
    }

    fn finish(mut self, phases: &[Vec<Rule>; 5], parts: &Parts) -> Scan {
        let (readers, noting) = self.capture_rules(phases);
        let steps = self.steps();
        self.number_classes();
        self.choose_triggers();
        self.tell_strategies();
        self.spaces = self.classes.table().present(b" ");
        let mut plans: Vec<(Source, Plans)> = Vec::new();
        for (source, names) in self.names() {
            let mut of_source = Plans::new(self.shared_plan(source, None, &steps, parts));
            for name in names {
                let plan = self.shared_plan(source, Some(&name), &steps, parts);
                of_source.insert(name, plan);
            }
            plans.push((source, of_source));
        }
        let (targets, watches) = (&self.targets, &self.watches);
        let waiting = |response: bool| {
            watches.iter().enumerate().filter_map(move |(number, watch)| {
                let mut sources = targets[watch.test].iter().flat_map(|(sources, _)| sources);
                let wanted = watch.trigger == Trigger::Literals
                    && sources.any(|source| source.is_response() == response);
                Some((number as WatchId, watch.needs.literals.as_ref().filter(|_| wanted)?.iter()))
            })
        };
        match (Literals::new(waiting(false), parts), Literals::new(waiting(true), parts)) {
            (Some(mut request), Some(mut response)) => {
                request.set_few(self.few_texts(&plans, false));
                response.set_few(self.few_texts(&plans, true));
                for (test, phrases) in self.phrases(phases) {
                    request.add_phrases(test, phrases);
                    response.add_phrases(test, phrases);
                }
                let (lists, singles) = Default::default();
                let tests = &self.tests;
                let watch = |draft: &Draft| Watch {
                    test: draft.test as u32,
                    nodes: tests[draft.test].nodes,
                    classes: draft.classes,
                    length: u32::try_from(draft.needs.length).unwrap_or(u32::MAX),
                };
                let watches = self.watches.iter().map(watch).collect();
                let mut scan = Scan {
                    readers,
                    noting,
                    paths: paths(&self.tree, &steps),
                    tree: self.tree,
                    classes: self.classes.table(),
                    tests: self.tests.into(),
                    watches,
                    ways: self.watches.iter().map(|watch| watch.way).collect(),
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

    /// The tests of phrases that wait for texts, in ascending order.
    fn phrases<'p>(&self, phases: &'p [Vec<Rule>; 5]) -> Vec<(u32, &'p Arc<PhraseSet>)> {
        let waiting = self.watches.iter().filter(|watch| watch.trigger == Trigger::Literals);
        let tests = waiting.filter_map(|watch| {
            let test = &self.tests[watch.test];
            let rule = phases[usize::from(test.phase)].get(test.position as usize)?;
            let condition = rule.links.get(test.link as usize)?.condition.as_ref()?;
            match &condition.operator {
                Operator::Phrases(phrases) => Some((watch.test as u32, phrases)),
                _ => None,
            }
        });
        tests.collect()
    }

    /// Tells for each step how long a text must be for a test at or below it to match.
    fn set_lengths(&self, plan: &mut Plan, looks: &[bool]) {
        let mut shortest = vec![usize::MAX; self.tree.len()];
        for watch in self.watches.iter().filter(|watch| looks[watch.test]) {
            let nodes = self.tests[watch.test].nodes;
            for node in (0..self.tree.len()).filter(|node| nodes >> node & 1 == 1) {
                shortest[node] = shortest[node].min(watch.needs.length);
            }
        }
        // Children come after their parents.
        for step in plan.steps.iter_mut().rev() {
            let length = shortest[usize::from(step.node)];
            step.result = length;
            step.length = shortest_input(step.transformation, length);
            let parent = &mut shortest[usize::from(step.parent)];
            *parent = (*parent).min(step.length);
        }
    }

    /// Tells for each `cmdLine` what the texts sought in its result and below are like, if that spares all of them a
    /// search.
    fn set_kept(&self, plan: &mut Plan, looks: &[bool]) {
        let kept: Option<Vec<(usize, Kept)>> = (0..plan.steps.len())
            .filter(|index| plan.steps[*index].transformation == Transformation::CmdLine)
            .map(|index| Some((index, self.kept(&plan.steps[index..plan.steps[index].after], looks)?)))
            .collect();
        for (index, kept) in kept.into_iter().flatten() {
            plan.steps[index].kept = Some(kept);
        }
    }

    /// What the texts sought in the results of the first of these steps, and of the others, which stand below it, are like.
    fn kept(&self, steps: &[Step], looks: &[bool]) -> Option<Kept> {
        let below = steps.first()?.below;
        let triggers = steps[1..].iter().fold(0, |triggers, step| triggers | step.triggers);
        let mut kept = Kept::default().waiting_for(triggers & self.spaces);
        for watch in self.watches.iter().filter(|watch| looks[watch.test]) {
            if self.tests[watch.test].nodes & below == 0 {
                continue;
            }
            let texts = if watch.trigger == Trigger::Literals { watch.kept? } else { Kept::default() };
            kept = kept.and(texts.waiting_for(watch.classes & self.spaces));
        }
        Some(kept)
    }

    /// What the tests at each step and below it wait for.
    fn prospects(&self, steps: &[Step], looks: &[bool]) -> Box<[Option<Prospect>]> {
        let watches = || (0..).zip(&self.watches).filter(|(_, watch)| looks[watch.test]);
        let of_step = |(index, step): (usize, &Step)| {
            let transformations = steps[index..step.after].iter().map(|step| step.transformation);
            let below = watches().filter(|(_, watch)| self.tests[watch.test].nodes & step.below != 0);
            Prospect::of(transformations, below.map(|(number, watch)| (number, watch.way)))
        };
        steps.iter().enumerate().map(of_step).collect()
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
                length: 0,
                ..Step::default()
            })
        });
        steps.collect()
    }

    /// All sources, each with the names that some target mentions.
    fn names(&self) -> BTreeMap<Source, BTreeSet<Vec<u8>>> {
        let mut names: BTreeMap<Source, BTreeSet<Vec<u8>>> = BTreeMap::new();
        for (sources, target) in self.targets.iter().flatten() {
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

    /// [`Builder::plan`]; plans that are the same are one.
    fn shared_plan(
        &self,
        source: Source,
        name: Option<&[u8]>,
        steps: &[Step],
        parts: &Parts,
    ) -> Option<Arc<Plan>> {
        Some(parts.plan(self.plan(source, name, steps)?))
    }

    /// The plan of a source for one name, or for all names that are not mentioned.
    fn plan(&self, source: Source, name: Option<&[u8]>, steps: &[Step]) -> Option<Plan> {
        let looks: Vec<bool> = self
            .targets
            .iter()
            .map(|targets| {
                targets.iter().any(|(sources, target)| sources.contains(&source) && may_select(target, name))
            })
            .collect();
        let mut plan = Plan { members: Bits::new(self.watches.len()), ..Plan::default() };
        let mut every = Vec::new();
        let mut by_class: BTreeMap<u32, Vec<WatchId>> = BTreeMap::new();
        for (number, watch) in self.watches.iter().enumerate().filter(|(_, watch)| looks[watch.test]) {
            let nodes = self.tests[watch.test].nodes;
            plan.members.insert(number);
            plan.nodes |= nodes;
            match watch.trigger {
                Trigger::Literals => {
                    match plan.literals.iter_mut().find(|(_, classes)| *classes == watch.classes) {
                        Some((known, _)) => *known |= nodes,
                        None => plan.literals.push((nodes, watch.classes)),
                    }
                }
                Trigger::Class(bit) => by_class.entry(bit).or_default().push(number as WatchId),
                Trigger::Nothing => every.push(number as WatchId),
            }
        }
        if plan.nodes == 0 {
            return None;
        }
        let needed = self.tree.with_parents(plan.nodes);
        plan.steps = steps.iter().filter(|step| needed >> step.node & 1 == 1).copied().collect();
        self.set_lengths(&mut plan, &looks);
        plan.steps = in_depth(&plan.steps, plan.nodes);
        self.set_kept(&mut plan, &looks);
        plan.prospects = self.prospects(&plan.steps, &looks);
        plan.kinds = Kind::all(&plan.steps);
        plan.every = every.into();
        plan.by_class = ByClass::new(&by_class);
        plan.few = self.nodes_of_few_texts(&plan);
        plan.ways = self.ways(&plan);
        if plan.literals.iter().any(|(_, classes)| *classes == 0) || plan.literals.len() > MASKS_LIMIT {
            plan.literals = vec![(plan.literals.iter().fold(0, |all, (nodes, _)| all | nodes), 0)];
        }
        Some(plan)
    }

    /// The nodes whose tests wait for few texts together.
    fn nodes_of_few_texts(&self, plan: &Plan) -> Nodes {
        let mut counts = vec![0; self.tree.len()];
        for (_, watch) in self.waiting_in(plan) {
            let nodes = self.tests[watch.test].nodes;
            let texts = watch.needs.literals.as_ref().map_or(0, Texts::len);
            (0..counts.len()).filter(|node| nodes >> node & 1 == 1).for_each(|node| counts[node] += texts);
        }
        let few = counts.iter().enumerate().filter(|(_, count)| **count <= FEW_TEXTS);
        few.fold(0, |nodes, (node, _)| nodes | 1 << node)
    }

    /// A watch for each way in which tests that wait for texts may match, and the nodes where they do.
    fn ways(&self, plan: &Plan) -> Box<[(Nodes, WatchId)]> {
        let mut ways: Vec<(Nodes, WatchId)> = Vec::new();
        for (number, watch) in self.waiting_in(plan) {
            let nodes = self.tests[watch.test].nodes;
            match ways.iter_mut().find(|(_, known)| self.watches[*known as usize].way == watch.way) {
                Some((known, _)) => *known |= nodes,
                None => ways.push((nodes, number)),
            }
        }
        ways.into()
    }

    /// The watches of a plan that wait for texts, each with its number.
    fn waiting_in(&self, plan: &Plan) -> impl Iterator<Item = (WatchId, &Draft)> {
        let waiting = (0..).zip(&self.watches).filter(|(_, watch)| watch.trigger == Trigger::Literals);
        waiting.filter(|(number, _)| plan.members.contains(*number as usize))
    }

    /// The texts that the forms at nodes of few texts may have to be searched for.
    fn few_texts<'b>(
        &'b self,
        plans: &'b [(Source, Plans)],
        response: bool,
    ) -> impl Iterator<Item = &'b [u8]> {
        let sources = plans.iter().filter(move |(source, _)| source.is_response() == response);
        let plans = sources.flat_map(|(_, plans)| plans.all());
        plans.flat_map(|plan| {
            let waiting = self.waiting_in(plan);
            let of_few = waiting.filter(|(_, watch)| self.tests[watch.test].nodes & plan.few != 0);
            of_few.filter_map(|(_, watch)| watch.needs.literals.as_ref()).flat_map(Texts::iter)
        })
    }
}

impl LinkTest {
    /// How many values of an ordinary request, roughly, its operator would have to run on.
    fn chance(&self) -> f32 {
        let needs = self.needs.iter().map(Needs::chance).sum::<f32>().min(1.0);
        let values = self.targets.iter().flat_map(|(sources, target)| {
            sources.iter().map(|source| match (source, &target.selector) {
                // One of a few words: which of them are frequent, their letters do not tell.
                (Source::Single(Variable::RequestMethod | Variable::RequestProtocol), _) => 1.0,
                (Source::Single(_), _) => needs,
                // What rules ask for by name is missing more often than not.
                (Source::List(..), Selector::Name(_)) => 0.5 * needs,
                (Source::List(..), _) => 8.0 * needs,
            })
        });
        values.sum::<f32>()
    }
}

/// The different sets, those first that keep most values from most watches.
fn savings(sets: impl Iterator<Item = ByteSet>) -> Vec<ByteSet> {
    let mut savings: Vec<(ByteSet, f32)> = Vec::new();
    for set in sets {
        let saved = 1.0 - rarity::of_set(set);
        match savings.iter_mut().find(|(known, _)| *known == set) {
            Some((_, sum)) => *sum += saved,
            None => savings.push((set, saved)),
        }
    }
    savings.sort_by(|left, right| right.1.total_cmp(&left.1));
    savings.into_iter().map(|(set, _)| set).collect()
}

/// Whether a link that matches without the rest of its chain leaves no trace.
fn is_silent(link: &Link) -> bool {
    let answers_only = link.condition.as_ref().is_none_or(|condition| answers_only(&condition.operator));
    link.actions.is_empty() && !link.capture && answers_only
}

/// Whether a target may select values of a name, or with `None` of some name that nobody mentions.
fn may_select(target: &Target, name: Option<&[u8]>) -> bool {
    let Some(name) = name else {
        // Names that are too long for a plan of their own are among those that are not mentioned.
        return !matches!(&target.selector, Selector::Name(name) if Plans::is_nameable(name))
            && !target.exclusions.iter().any(|exclusion| matches!(exclusion, Selector::All));
    };
    // The plan is that of the name in any case.
    let minds_case =
        |selector: &Selector| matches!(selector, Selector::Pattern(pattern) if pattern.minds_case());
    let is_excluded = |exclusion: &Selector| !minds_case(exclusion) && exclusion.excludes(name);
    (minds_case(&target.selector) || target.selector.selects(name))
        && !target.exclusions.iter().any(is_excluded)
}

/// The text an operator compares with: empty when it needs none, `None` when it is not known at load.
fn argument_of<'a>(condition: &'a Condition, known: Option<&'a Vec<u8>>) -> Option<&'a [u8]> {
    match condition.operator.argument() {
        None => Some(&[]),
        Some(template) => template.as_literal().or(known.map(Vec::as_slice)),
    }
}

/// Whether a condition counts values and cannot match when there are none: then it waits for the first.
fn is_presence(condition: &Condition, argument: Option<&[u8]>) -> bool {
    let (Some(argument), true) = (argument, condition.targets.iter().all(|target| target.count)) else {
        return false;
    };
    let none = condition.transformations.is_empty() && answers_only(&condition.operator);
    none && condition.operator.test(b"0", argument, 0, None) == Ok(condition.negated)
}

/// For each node the classes without which nothing on the way to it changes a value.
fn paths(tree: &Tree, steps: &[Step]) -> Vec<Path> {
    let mut paths = vec![Path::default(); tree.len()];
    // Parents come before their children.
    for step in steps {
        let above = paths[usize::from(step.parent)];
        paths[usize::from(step.node)] =
            Path { triggers: above.triggers | step.triggers, always: above.always || step.always };
    }
    paths
}

/// The steps depth first, each with what its subtree needs to change anything. What folds case comes after the others: a
/// text that is another one in small letters is not scanned again.
fn in_depth(steps: &[Step], tested: Nodes) -> Box<[Step]> {
    fn visit(parent: NodeId, steps: &[Step], tested: Nodes, out: &mut Vec<Step>) {
        let children = |folds| {
            let of_parent = steps.iter().filter(move |step| step.parent == parent);
            of_parent.filter(move |step| only_folds(step.transformation) == folds)
        };
        for step in children(false).chain(children(true)) {
            let index = out.len();
            out.push(*step);
            visit(step.node, steps, tested, out);
            let (mut below, mut triggers, mut always) = (0, 0, false);
            for step in &out[index..] {
                below |= 1 << step.node;
                // What only folds case is never scanned again.
                if !only_folds(step.transformation) {
                    triggers |= step.triggers;
                    always |= step.always;
                }
            }
            let after = out.len();
            if let Some(step) = out.get_mut(index) {
                (step.below, step.subtree_triggers, step.subtree_always, step.after) =
                    (below & tested, triggers, always, after);
            }
        }
    }
    let mut out = Vec::new();
    visit(0, steps, tested, &mut out);
    out.into()
}

/// The shortest text of which a transformation can make one of that length.
fn shortest_input(transformation: Transformation, length: usize) -> usize {
    use Transformation as T;
    match transformation {
        T::Base64Decode => length.saturating_mul(4) / 3,
        T::Lowercase
        | T::Uppercase
        | T::CmdLine
        | T::CompressWhitespace
        | T::HtmlEntityDecode
        | T::JsDecode
        | T::CssDecode
        | T::NormalizePath
        | T::NormalizePathWin
        | T::RemoveNulls
        | T::RemoveWhitespace
        | T::RemoveCommentsChar
        | T::ReplaceComments
        | T::UrlDecode
        | T::UrlDecodeUni => length,
        _ => 0,
    }
}
