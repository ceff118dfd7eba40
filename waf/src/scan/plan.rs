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
    /// The tree as far as they need it, parents first, without the root.
    pub(super) steps: Box<[Step]>,
    /// Classes of bytes without which no step changes anything.
    pub(super) triggers: u128,
    /// Whether some step changes every value.
    pub(super) always_changes: bool,
    /// Watches for a class of bytes, by the number of its bit.
    pub(super) by_class: Box<[(u32, Box<[WatchId]>)]>,
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
