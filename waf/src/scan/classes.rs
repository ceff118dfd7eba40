//! The byte sets that a scan asks for, numbered.

use hop3_transformations::{ByteClasses, ByteSet};

/// Collects sets until there is no number left.
#[derive(Debug, Default)]
pub(super) struct ClassNumbers {
    sets: Vec<ByteSet>,
}

impl ClassNumbers {
    /// The bit of a set; `None` when all bits are taken.
    pub(super) fn bit(&mut self, set: ByteSet) -> Option<u128> {
        let set = folded(set);
        let index = match self.sets.iter().position(|known| *known == set) {
            Some(index) => index,
            None if self.sets.len() == ByteClasses::CAPACITY => return None,
            None => {
                self.sets.push(set);
                self.sets.len() - 1
            }
        };
        Some(1 << index)
    }

    /// The table that answers all at once.
    pub(super) fn table(&self) -> ByteClasses {
        ByteClasses::new(&self.sets)
    }
}

/// The set with the capital of each of its small letters: texts that differ
/// from the scanned one by `t:lowercase` alone are not scanned again.
pub(super) fn folded(set: ByteSet) -> ByteSet {
    let small = (b'a'..=b'z').filter(|byte| set.contains(*byte));
    small.fold(set, |set, byte| set.with(byte.to_ascii_uppercase()))
}
