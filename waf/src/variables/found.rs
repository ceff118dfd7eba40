//! A value that a rule looks at, with its name.

use hop3_seclang::ast::Variable;

use crate::text::{TextId, TextStore};

/// A value of a variable.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    pub(crate) variable: Variable,
    /// The name within a collection.
    pub(crate) name: Option<TextId>,
    /// Whether the value is the number of values.
    pub(crate) count: bool,
    pub(crate) value: TextId,
}

impl Found {
    /// Appends `ARGS:id`, `&ARGS`, `REQUEST_URI`.
    pub(crate) fn write_name(&self, texts: &TextStore, out: &mut Vec<u8>) {
        if self.count {
            out.push(b'&');
        }
        out.extend_from_slice(self.variable.name().as_bytes());
        if let Some(name) = self.name {
            out.push(b':');
            out.extend_from_slice(texts.bytes(name));
        }
    }
}
