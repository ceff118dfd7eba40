//! What is known at load about the TX variables at one place of the rules.

use crate::collections::tx::{Slot, SlotNames, Value};
use crate::template::{Piece, Template};

/// What is known of one variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// It has no value.
    Unset,
    /// It has this value.
    Is(Value),
    /// It may have any value, or none.
    Anything,
}

/// What is known of all variables that rules mention.
#[derive(Clone, Debug)]
pub(super) struct World {
    slots: Vec<Known>,
}

impl World {
    /// No variable has a value but those that matching sets by itself: of them nothing is known.
    pub(super) fn start(names: &SlotNames, limits: Slot) -> Self {
        let mut slots = vec![Known::Unset; names.len()];
        slots.iter_mut().take(10).for_each(|captured| *captured = Known::Anything);
        if let Some(limits) = slots.get_mut(limits.0 as usize) {
            *limits = Known::Anything;
        }
        Self { slots }
    }

    /// Nothing is known.
    pub(super) fn unknown(names: &SlotNames) -> Self {
        Self { slots: vec![Known::Anything; names.len()] }
    }

    /// What is known of a variable.
    pub(super) fn get(&self, slot: Slot) -> &Known {
        self.slots.get(slot.0 as usize).unwrap_or(&Known::Anything)
    }

    /// Notes a write; captured groups and the engine's own flag stay unknown.
    pub(super) fn set(&mut self, slot: Slot, known: Known, limits: Slot) {
        if slot.0 < 10 || slot == limits {
            return;
        }
        if let Some(place) = self.slots.get_mut(slot.0 as usize) {
            *place = known;
        }
    }

    /// Forgets every variable whose name, in lower case, is accepted.
    pub(super) fn forget(&mut self, names: &SlotNames, accepted: impl Fn(&[u8]) -> bool) {
        for (index, known) in self.slots.iter_mut().enumerate() {
            if accepted(&names.spelling(Slot(index as u32)).to_ascii_lowercase()) {
                *known = Known::Anything;
            }
        }
    }

    /// Keeps what is true in both.
    pub(super) fn join(&mut self, other: &Self) {
        for (known, other) in self.slots.iter_mut().zip(&other.slots) {
            if *known != *other {
                *known = Known::Anything;
            }
        }
    }

    /// The expansion of a template, if everything in it is known.
    pub(super) fn expand(&self, template: &Template) -> Option<Vec<u8>> {
        let mut text = Vec::new();
        for piece in template.pieces() {
            match piece {
                Piece::Literal(bytes) => text.extend_from_slice(bytes),
                Piece::Tx(slot) => match self.get(*slot) {
                    Known::Unset => {}
                    Known::Is(value) => value.write(&mut text),
                    Known::Anything => return None,
                },
                Piece::Variable(..) => return None,
            }
        }
        Some(text)
    }
}
