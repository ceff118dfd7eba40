//! What is done with each value of one source: which tests may match in it,
//! what makes them worth running.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use hop3_transformations::{ByteClasses, ByteSet, Transformation};

use super::bits::Bits;
use super::kept::Kept;
use super::literals::WatchId;
use super::prospect::{Prospect, Way};
use super::tree::{NodeId, Nodes};
use super::well_known::WellKnown;
use crate::rarity;

/// The tests of a source, or of the values of one name in it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// All watches of its tests.
    pub(super) members: Bits,
    /// Where they look.
    pub(super) nodes: Nodes,
    /// The tree as far as they need it, depth first, without the root.
    pub(super) steps: Box<[Step]>,
    /// For each step whether anything may come of it.
    pub(super) prospects: Box<[Option<Prospect>]>,
    /// The transformations in it, each once, without those that only fold case.
    pub(super) kinds: Box<[Kind]>,
    /// The watches that wait for a class of bytes.
    pub(super) by_class: ByClass,
    /// Watches that nothing can be said about beforehand.
    pub(super) every: Box<[WatchId]>,
    /// Nodes for whose tests few texts are looked for, or none.
    pub(super) few: Nodes,
    /// Nodes with tests that wait for texts, and the classes all of which a text must have for any of them.
    pub(super) literals: Vec<(Nodes, u128)>,
    /// A watch for each way in which tests that wait for texts may match, and at which nodes they do.
    pub(super) ways: Box<[(Nodes, WatchId)]>,
}

/// Watches by the class of bytes that they wait for, in one piece of memory.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ByClass {
    /// The classes, one bit each.
    pub(super) bits: u128,
    /// For each bit up to the highest the number of its class here.
    numbers: Box<[u8]>,
    /// Where the watches of each class begin; one more at the end.
    starts: Box<[u32]>,
    watches: Box<[WatchId]>,
}

/// All steps with one transformation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kind {
    pub(super) transformation: Transformation,
    /// As those of its steps.
    pub(super) triggers: u128,
    pub(super) always: bool,
    /// The least of its steps.
    pub(super) result: usize,
    /// The tested nodes from any of its steps down.
    pub(super) below: Nodes,
    /// The triggers of this and of all that follow; `None` when one of them may change every value.
    pub(super) rest: Option<u128>,
}

/// One transformation of the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) node: NodeId,
    pub(super) parent: NodeId,
    pub(super) transformation: Transformation,
    /// Classes of which a value must have a byte to be changed.
    pub(super) triggers: u128,
    /// Whether every value may be changed.
    pub(super) always: bool,
    /// Bytes of the shortest text in whose form here, or below, a test can match.
    pub(super) length: usize,
    /// Bytes of the shortest result in which, here or below, a test can match.
    pub(super) result: usize,
    /// The tested nodes from here down.
    pub(super) below: Nodes,
    /// As `triggers` and `always`, for a text to be scanned anew anywhere from here down.
    pub(super) subtree_triggers: u128,
    pub(super) subtree_always: bool,
    /// Index of the first step behind the subtree.
    pub(super) after: usize,
    /// When what is found here and below is found in the parent's text.
    pub(super) kept: Option<Kept>,
}

impl Default for Step {
    fn default() -> Self {
        Self {
            node: 0,
            parent: 0,
            transformation: Transformation::Lowercase,
            triggers: 0,
            always: false,
            length: 0,
            result: 0,
            below: 0,
            subtree_triggers: 0,
            subtree_always: false,
            after: 0,
            kept: None,
        }
    }
}

impl Plan {
    /// Whether a text that tests wait for may occur at one of these nodes, in a text with these classes of bytes and these bytes.
    pub(super) fn may_find(&self, nodes: Nodes, (classes, bytes): (u128, ByteSet), ways: &[Way]) -> bool {
        let bytes = bytes.fold_case();
        let is_open =
            |watch: &WatchId| ways.get(*watch as usize).is_some_and(|way| way.is_open(classes, bytes));
        self.ways.iter().any(|(at, watch)| at & nodes != 0 && is_open(watch))
    }

    /// Whether a test may match in what becomes of a text with these bytes from a step on, by its place.
    pub(super) fn may_come_of(
        &self,
        step: usize,
        bytes: ByteSet,
        classes: &ByteClasses,
        ways: &[Way],
    ) -> bool {
        let prospect = self.prospects.get(step).and_then(Option::as_ref);
        prospect.is_none_or(|prospect| prospect.is_open(bytes, classes, ways))
    }
}

impl Kind {
    /// The transformations of a plan's steps: those first that most values may be changed by.
    pub(super) fn all(steps: &[Step]) -> Box<[Self]> {
        let mut kinds: Vec<Self> = Vec::new();
        for step in steps.iter().filter(|step| !only_folds(step.transformation)) {
            match kinds.iter_mut().find(|kind| kind.transformation == step.transformation) {
                Some(kind) => {
                    kind.triggers |= step.triggers;
                    kind.always |= step.always;
                    kind.result = kind.result.min(step.result);
                    kind.below |= step.below;
                }
                None => kinds.push(Self {
                    transformation: step.transformation,
                    triggers: step.triggers,
                    always: step.always,
                    result: step.result,
                    below: step.below,
                    rest: None,
                }),
            }
        }
        kinds.sort_by(|left, right| right.commonness().total_cmp(&left.commonness()));
        let mut rest = Some(0);
        for kind in kinds.iter_mut().rev() {
            rest = rest.filter(|_| !kind.always).map(|rest| rest | kind.triggers);
            kind.rest = rest;
        }
        kinds.into()
    }
}

impl Kind {
    /// The part of values, roughly, that it may change.
    fn commonness(&self) -> f32 {
        if self.always { 1.0 } else { rarity::of_set(self.transformation.triggers()) }
    }
}

impl ByClass {
    /// Of lists in the order of their bits.
    pub(super) fn new(lists: &BTreeMap<u32, Vec<WatchId>>) -> Self {
        let highest = lists.keys().next_back().map_or(0, |bit| *bit as usize + 1);
        let mut numbers = vec![0; highest];
        let (mut bits, mut starts, mut watches) = (0, vec![0], Vec::new());
        for ((bit, list), number) in lists.iter().zip(0..) {
            bits |= 1 << bit;
            numbers[*bit as usize] = number;
            watches.extend(list);
            starts.push(watches.len() as u32);
        }
        Self { bits, numbers: numbers.into(), starts: starts.into(), watches: watches.into() }
    }

    /// The watches of a class that has some.
    #[inline]
    pub(super) fn watches(&self, bit: u32) -> &[WatchId] {
        let number = self.numbers.get(bit as usize).copied().map_or(0, usize::from);
        match self.starts.get(number..number + 2) {
            Some(&[start, end]) => self.watches.get(start as usize..end as usize).unwrap_or_default(),
            _ => &[],
        }
    }
}

/// The plans of a source.
#[derive(Debug, Default)]
pub(super) struct Plans {
    /// For values whose names no rule mentions.
    other: Reading,
    /// For names that rules mention, in lower case.
    named: HashMap<Box<[u8]>, Reading, BuildHasherDefault<Fnv>>,
    /// The lengths of those names, one bit each, short of [`NAME_LIMIT`].
    lengths: u128,
}

/// How values of one name are read.
#[derive(Debug, Default)]
pub(super) struct Reading {
    /// `None` when no test looks at them.
    plan: Option<Arc<Plan>>,
    /// Values in which no test matches.
    silent: WellKnown,
}

/// Longest name that is looked up.
const NAME_LIMIT: usize = 127;

impl Plans {
    /// With the plan for all names.
    pub(super) fn new(other: Option<Arc<Plan>>) -> Self {
        Self { other: Reading { plan: other, ..Reading::default() }, ..Self::default() }
    }

    /// The plan for values of that name, and values in which no test of it matches; `None` when no test looks at them.
    pub(super) fn of(&self, name: &[u8]) -> Option<(&Plan, &WellKnown)> {
        let mut reading = &self.other;
        if name.len() <= NAME_LIMIT && self.lengths >> name.len() & 1 == 1 {
            let mut lower = [0; NAME_LIMIT];
            let lower = &mut lower[..name.len()];
            lower.copy_from_slice(name);
            lower.make_ascii_lowercase();
            reading = self.named.get(&*lower).unwrap_or(reading);
        }
        reading.plan.as_deref().map(|plan| (plan, &reading.silent))
    }

    /// Notes that no test matches in that value of that name, nor in the same value of any other name with its plan.
    pub(super) fn note_silent(&mut self, name: &[u8], value: &[u8]) {
        let reading = self.named.get_mut(&*name.to_ascii_lowercase()).unwrap_or(&mut self.other);
        reading.silent.insert(value);
    }

    /// All of them.
    pub(super) fn all(&self) -> impl Iterator<Item = &Plan> {
        std::iter::once(&self.other).chain(self.named.values()).filter_map(|reading| reading.plan.as_deref())
    }

    /// Adds the plan for a name in lower case that can have one.
    pub(super) fn insert(&mut self, name: Vec<u8>, plan: Option<Arc<Plan>>) {
        if Self::is_nameable(&name) {
            self.lengths |= 1 << name.len();
            self.named.insert(name.into(), Reading { plan, ..Reading::default() });
        }
    }

    /// Whether a name can have a plan of its own.
    pub(super) fn is_nameable(name: &[u8]) -> bool {
        name.len() <= NAME_LIMIT
    }
}

/// Whether a transformation only makes capitals small.
pub(super) fn only_folds(transformation: Transformation) -> bool {
    transformation == Transformation::Lowercase
}

/// Fowler–Noll–Vo: the keys are names out of rules, so nobody can choose them to collide.
#[derive(Debug)]
pub(super) struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for Fnv {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
