//! Templates: text with macros, prepared for expansion.

use std::sync::Arc;

use hop3_seclang::ast::{self, MacroName, Part, Variable};

use crate::collections::tx::{Slot, SlotNames};
use crate::regex::{Flags, Pattern};

/// Text with macros; TX names are resolved to slots.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Template {
    /// Shared by templates that are made once and used often, such as tags.
    pieces: Arc<[Piece]>,
}

/// A part of a template.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Piece {
    /// Stands for itself.
    Literal(Box<[u8]>),
    /// `%{tx.name}`.
    Tx(Slot),
    /// `%{name}`, `%{name.key}` or `%{name:/pattern/}`.
    Variable(Variable, Option<MacroKey>),
}

/// Which member of a collection a macro means: the first one that fits.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum MacroKey {
    /// The one of that name, without regard to case.
    Name(Box<[u8]>),
    /// One whose name the pattern matches.
    Pattern(Arc<Pattern>),
}

impl MacroKey {
    /// A key as written. A pattern that does not compile is a name.
    fn compile(text: &[u8]) -> Self {
        if let [b'/', pattern @ .., b'/'] = text
            && let Ok(pattern) = Pattern::new(pattern, Flags { fold: true, ..Flags::default() })
        {
            return MacroKey::Pattern(Arc::new(pattern));
        }
        MacroKey::Name(text.into())
    }

    /// Whether a member of this name is meant.
    pub(crate) fn fits(&self, name: &[u8]) -> bool {
        match self {
            MacroKey::Name(wanted) => wanted.eq_ignore_ascii_case(name),
            MacroKey::Pattern(pattern) => pattern.is_match(name, KEY_BUDGET).unwrap_or(false),
        }
    }
}

/// Budget of a key's pattern on one name.
const KEY_BUDGET: u64 = 10_000;

impl Template {
    /// Prepares a template. Unknown names expand to nothing and are dropped here.
    pub(crate) fn compile(template: &ast::Template, names: &mut SlotNames) -> Self {
        let pieces = template.parts().iter().filter_map(|part| match part {
            Part::Literal(bytes) => Some(Piece::Literal(bytes.clone().into())),
            Part::Macro { name: MacroName::Unknown(_), .. } => None,
            Part::Macro { name: MacroName::Variable(variable), key } => {
                match (variable, key.as_ref().map(|key| MacroKey::compile(key.as_bytes()))) {
                    (Variable::Tx, None) => None,
                    (Variable::Tx, Some(MacroKey::Name(name))) => Some(Piece::Tx(names.intern(&name))),
                    (_, key) => Some(Piece::Variable(*variable, key)),
                }
            }
        });
        Self { pieces: pieces.collect() }
    }

    /// The parts in order.
    pub(crate) fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// What every expansion begins with, in lower case.
    pub(crate) fn literal_prefix(&self) -> Vec<u8> {
        match self.pieces.first() {
            Some(Piece::Literal(bytes)) => bytes.to_ascii_lowercase(),
            _ => Vec::new(),
        }
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
