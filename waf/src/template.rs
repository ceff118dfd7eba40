//! Templates: text with macros, prepared for expansion.

use hop3_seclang::ast::{self, MacroName, Part, Variable};

use crate::collections::tx::{Slot, SlotNames};

/// Text with macros; TX names are resolved to slots.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Template {
    pieces: Box<[Piece]>,
}

/// A part of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// Stands for itself.
    Literal(Box<[u8]>),
    /// `%{tx.name}`.
    Tx(Slot),
    /// `%{name}` or `%{name.key}`.
    Variable(Variable, Option<Box<[u8]>>),
}

impl Template {
    /// Prepares a template. Unknown names expand to nothing and are dropped here.
    pub(crate) fn compile(template: &ast::Template, names: &mut SlotNames) -> Self {
        let pieces = template.parts().iter().filter_map(|part| match part {
            Part::Literal(bytes) => Some(Piece::Literal(bytes.clone().into())),
            Part::Macro { name: MacroName::Unknown(_), .. } => None,
            Part::Macro { name: MacroName::Variable(Variable::Tx), key } => {
                key.as_ref().map(|key| Piece::Tx(names.intern(key.as_bytes())))
            }
            Part::Macro { name: MacroName::Variable(variable), key } => {
                Some(Piece::Variable(*variable, key.as_ref().map(|key| key.as_bytes().into())))
            }
        });
        Self { pieces: pieces.collect() }
    }

    /// The parts in order.
    pub(crate) fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// The bytes, when nothing has to be expanded.
    pub(crate) fn as_literal(&self) -> Option<&[u8]> {
        match &*self.pieces {
            [] => Some(&[]),
            [Piece::Literal(bytes)] => Some(bytes),
            _ => None,
        }
    }
}
