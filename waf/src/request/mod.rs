//! The request: its line, its headers and its body become variables.

mod body;
mod headers;
pub(crate) mod line;
