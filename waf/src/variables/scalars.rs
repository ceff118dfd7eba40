//! Variables with a single value.

use hop3_seclang::ast::Variable;

use crate::text::TextId;

/// The single values of one transaction; absent ones were never set.
#[derive(Debug)]
pub(crate) struct Scalars {
    values: [Option<TextId>; Variable::ALL.len()],
}

impl Scalars {
    pub(crate) fn new() -> Self {
        Self { values: [None; Variable::ALL.len()] }
    }

    pub(crate) fn get(&self, variable: Variable) -> Option<TextId> {
        self.values.get(variable as usize).copied().flatten()
    }

    pub(crate) fn set(&mut self, variable: Variable, text: TextId) {
        if let Some(value) = self.values.get_mut(variable as usize) {
            *value = Some(text);
        }
    }
}
