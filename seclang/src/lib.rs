//! SecLang: text → AST → checked rules.
//!
//! Owns the grammar, source positions, diagnostics and the formatter. Reads
//! files only through a [`loader::Loader`] that the caller gives it; knows no
//! regex engine and no HTTP.
#![forbid(unsafe_code)]

pub mod ast;
pub mod diagnostic;
mod glob;
pub mod loader;
pub mod names;
mod render;
pub mod source;
