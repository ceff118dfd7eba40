//! What rules look at: single values, and what a target selects.

pub(crate) mod expand;
pub(crate) mod found;
pub(crate) mod origin;
pub(crate) mod scalars;
pub(crate) mod select;
pub(crate) mod time;
