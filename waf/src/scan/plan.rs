//! What is done with each value of one source: which tests may match in it,
//! what makes them worth running.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use hop3_transformations::Transformation;

use super::bits::Bits;
use super::literals::WatchId;
use super::tree::{NodeId, Nodes};

/// The tests of a source, or of the values of one name in it.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// All watches of its tests.
    pub(super) members: Bits,
    /// Where they look.
    pub(super) nodes: Nodes,
    /// The tree as far as they need it, depth first, without the root.
    pub(super) steps: Box<[Step]>,
    /// Classes of bytes that watches wait for.
    pub(super) class_bits: u128,
    /// The watches of each of these classes, in the order of the bits.
    pub(super) by_class: Vec<Box<[WatchId]>>,
    /// Watches that nothing can be said about beforehand.
    pub(super) every: Box<[WatchId]>,
    /// Nodes with tests that wait for texts, and the classes all of which a text must have for any of them.
    pub(super) literals: Vec<(Nodes, u128)>,
}

/// One transformation of the tree.
#[derive(Clone, Copy, Debug)]
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
    /// The tested nodes from here down.
    pub(super) below: Nodes,
    /// As `triggers` and `always`, for a text to be scanned anew anywhere from here down.
    pub(super) subtree_triggers: u128,
    pub(super) subtree_always: bool,
    /// Index of the first step behind the subtree.
    pub(super) after: usize,
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
            below: 0,
            subtree_triggers: 0,
            subtree_always: false,
            after: 0,
        }
    }
}

/// The plans of a source.
#[derive(Debug, Default)]
pub(super) struct Plans {
    /// For values whose names no rule mentions.
    pub(super) other: Option<Plan>,
    /// For names that rules mention, in lower case.
    pub(super) named: HashMap<Box<[u8]>, Option<Plan>, BuildHasherDefault<Fnv>>,
}

/// Longest name that is looked up.
const NAME_LIMIT: usize = 128;

impl Plans {
    /// The plan for values of that name; `None` when no test looks at them.
    pub(super) fn of(&self, name: &[u8]) -> Option<&Plan> {
        if !self.named.is_empty() && name.len() <= NAME_LIMIT {
            let mut lower = [0; NAME_LIMIT];
            let lower = &mut lower[..name.len()];
            lower.copy_from_slice(name);
            lower.make_ascii_lowercase();
            if let Some(plan) = self.named.get(&*lower) {
                return plan.as_ref();
            }
        }
        self.other.as_ref()
    }

    /// Whether a name can have a plan of its own.
    pub(super) fn is_nameable(name: &[u8]) -> bool {
        name.len() <= NAME_LIMIT
    }
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
