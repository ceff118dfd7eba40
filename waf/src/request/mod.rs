//! The request: its line, its headers and its body become variables.

mod body;
mod headers;
mod line;
