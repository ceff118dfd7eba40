//! Values in, candidate rules out: one pass over each value instead of one
//! evaluation for each pair of rule and value.
//!
//! A rule whose head (or, behind heads that leave no trace, a later link) reads
//! only what the request and the response hold becomes a *test*. Each value is
//! looked at once: which classes of bytes it has, which texts of the tests occur
//! in it, which transformations would change it. Only tests whose needs are met
//! run their operator, and only rules with a test that matched are evaluated,
//! then exactly as without a scan. So a scan may only err towards running a
//! rule in vain; the tests hold it against the plain walk.

pub(crate) mod bits;
mod build;
mod classes;
mod kept;
mod literals;
mod machine;
mod needs;
mod noted;
mod plan;
mod privacy;
mod prospect;
mod run;
mod seen;
mod source;
mod strategy;
mod tree;
mod trie;
mod well_known;

use hop3_transformations::ByteClasses;

pub(crate) use build::build;
pub(crate) use literals::Dictionary;
pub(crate) use needs::answers_only;
pub(crate) use plan::Plan;
pub(crate) use run::Progress;
pub use strategy::Strategy;

use literals::Literals;
use noted::NotedTest;
use plan::Plans;
use prospect::Way;
use source::{List, SINGLES, Side, Source};
use tree::{Nodes, Tree};

use crate::ruleset::Ruleset;

/// Everything a ruleset's values are scanned with.
#[derive(Debug)]
pub(crate) struct Scan {
    tree: Tree,
    /// By node.
    paths: Vec<Path>,
    classes: ByteClasses,
    tests: Box<[Test]>,
    watches: Box<[Watch]>,
    /// What the matching texts of each watch have.
    ways: Box<[Way]>,
    /// By list, then by side.
    lists: [[Option<Plans>; 2]; List::ALL.len()],
    singles: [Option<Plans>; SINGLES.len()],
    /// Texts to find in what the client sent.
    request: Literals,
    /// Texts to find in what the back end sent.
    response: Literals,
    strategies: [Vec<Strategy>; 5],
    /// Rules that read what rules before them captured.
    pub(crate) readers: Vec<Place>,
    /// Rules whose second link is tested without running the first; what that captures is made up for before a
    /// rule of `readers` runs. By phase the places in it.
    pub(crate) noting: [Vec<usize>; 5],
}

/// Phase, from 0, and place in it.
pub(crate) type Place = (usize, usize);

/// What is needed for a value to be changed on the way to a node.
#[derive(Clone, Copy, Debug, Default)]
struct Path {
    /// A byte of one of these classes.
    triggers: u128,
    /// Nothing.
    always: bool,
}

/// One operator that may match in a value.
#[derive(Debug)]
struct Test {
    /// Number of the phase, from 0.
    phase: u8,
    /// The rule's place in its phase.
    position: u32,
    /// The link whose operator it is.
    link: u32,
    /// The forms of a value that are tested.
    nodes: Nodes,
    /// What the operator compares with.
    argument: Box<[u8]>,
    /// Whether it only matters that there is a value.
    presence: bool,
    /// What the next link looks at instead of the value itself.
    noted: Option<Box<NotedTest>>,
}

/// One way in which a test may match: what a text must hold for its operator to be run.
#[derive(Debug)]
struct Watch {
    /// Classes of which a matching text has a byte each.
    classes: u128,
    /// Those of its test.
    nodes: Nodes,
    test: u32,
    /// Bytes of the shortest matching text.
    length: u32,
}

impl Scan {
    /// How each rule of a phase (from 0) is decided, in order.
    pub(crate) fn strategies(&self, phase: usize) -> &[Strategy] {
        &self.strategies[phase]
    }

    /// A scan that finds nothing, for rules that are then walked.
    fn without_tests(mut strategies: [Vec<Strategy>; 5]) -> Self {
        let tested = |strategy: &&mut Strategy| **strategy != Strategy::Folded;
        strategies.iter_mut().flatten().filter(tested).for_each(|strategy| *strategy = Strategy::Walked);
        Self {
            tree: Tree::default(),
            paths: Vec::new(),
            classes: ByteClasses::new(&[]),
            tests: Box::default(),
            watches: Box::default(),
            ways: Box::default(),
            lists: Default::default(),
            singles: Default::default(),
            request: Literals::default(),
            response: Literals::default(),
            strategies,
            readers: Vec::new(),
            noting: Default::default(),
        }
    }

    fn plans(&self, source: Source) -> Option<&Plans> {
        match source {
            Source::List(list, side) => self.lists[list as usize][side as usize].as_ref(),
            Source::Single(variable) => {
                self.singles[SINGLES.iter().position(|single| *single == variable)?].as_ref()
            }
        }
    }

    fn plans_mut(&mut self, source: Source) -> Option<&mut Plans> {
        match source {
            Source::List(list, side) => self.lists[list as usize][side as usize].as_mut(),
            Source::Single(variable) => {
                self.singles[SINGLES.iter().position(|single| *single == variable)?].as_mut()
            }
        }
    }

    fn set_plans(&mut self, source: Source, plans: Plans) {
        match source {
            Source::List(list, side) => self.lists[list as usize][side as usize] = Some(plans),
            Source::Single(variable) => {
                if let Some(index) = SINGLES.iter().position(|single| *single == variable) {
                    self.singles[index] = Some(plans);
                }
            }
        }
    }
}

/// Finds out in which well-known names and values of header fields no test matches; they are passed over from now on.
pub(crate) fn note_well_known(ruleset: &mut Ruleset) {
    let values = Source::List(List::RequestHeaders, Side::Values);
    let names = Source::List(List::RequestHeaders, Side::Names);
    let fields = well_known::fields()
        .flat_map(|(name, known)| known.iter().map(move |value| (values, name, value.as_bytes())))
        .chain(well_known::names().map(|name| (names, name, name)));
    for (source, name, value) in fields {
        let plan = ruleset.scan.plans(source).and_then(|plans| plans.of(name));
        let is_silent = plan.is_some_and(|(plan, _)| run::is_silent(ruleset, source, value, plan));
        if is_silent && let Some(plans) = ruleset.scan.plans_mut(source) {
            plans.note_silent(name, value);
        }
    }
}

impl Side {
    const ALL: [Self; 2] = [Self::Values, Self::Names];
}
