//! The request: its connection, line, headers and body become variables.

mod body;
mod connection;
mod headers;
pub(crate) mod line;
