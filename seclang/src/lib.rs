//! SecLang: text → AST → checked rules.
//!
//! Owns the grammar, source positions, diagnostics and the formatter. Reads
//! files only through a [`loader::Loader`] that the caller gives it; knows no
//! regex engine and no HTTP.
//!
//! ```
//! use hop3_seclang::{loader::MemoryLoader, parse_str};
//!
//! let rules = r#"SecRule ARGS "@contains attack" "id:1,phase:2,deny""#;
//! let document = parse_str("site.conf", rules, &MemoryLoader::new()).unwrap();
//! assert_eq!(document.rules().count(), 1);
//!
//! let wrong = rules.replace("contains", "contain");
//! let error = parse_str("site.conf", &wrong, &MemoryLoader::new()).unwrap_err();
//! assert!(error.to_string().contains("hint: did you mean `@contains`?"));
//! ```
#![forbid(unsafe_code)]

pub mod ast;
pub mod diagnostic;
pub mod directives;
pub mod format;
mod glob;
mod lexer;
pub mod lint;
pub mod loader;
pub mod names;
mod parser;
pub mod refused;
mod render;
pub mod source;
mod text;

use std::path::Path;

pub use ast::Document;
pub use diagnostic::{Diagnostic, Diagnostics};
pub use loader::Loader;
pub use parser::{Dialect, Fragment, Parser};

/// Reads one file and everything it includes.
pub fn parse(path: impl AsRef<Path>, loader: &dyn Loader) -> Result<Document, Diagnostics> {
    let mut parser = Parser::new(loader);
    parser.file(path.as_ref());
    parser.finish()
}

/// Reads text as if it were a file of that name; relative paths start at the name's folder.
pub fn parse_str(name: impl AsRef<Path>, text: &str, loader: &dyn Loader) -> Result<Document, Diagnostics> {
    let mut parser = Parser::new(loader);
    parser.text(name.as_ref(), text);
    parser.finish()
}
