//! The embedded base ruleset, and installing the OWASP Core Rule Set.
//!
//! Owns where rulesets lie on disk ([`Store`]), how they get there
//! ([`Source`]), and the order in which their files are read for one
//! application ([`Selection`]). Leaves evaluation to `hop3-waf`.
#![forbid(unsafe_code)]

mod archive;
mod base;
mod debian;
mod digest;
mod download;
mod error;
mod install;
mod parsed;
mod release;
mod selection;
mod setup;
mod store;
mod tree;
mod version;

pub use error::RulesError;
pub use install::{Installed, Source};
pub use release::{PINNED, Release};
pub use selection::{BodyLimits, Mode, RulesetName, Selection, Snippet};
pub use store::{Assembled, Store, Verification};
pub use version::Version;
