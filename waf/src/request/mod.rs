//! The request: its connection, line, headers and body become variables.

mod body;
mod connection;
pub(crate) mod headers;
pub(crate) mod line;
