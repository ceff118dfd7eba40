//! ModSecurity v3's regression tests (`regression/*.json`).
//!
//! [`case`] reads the files, [`mod@run`] drives the engine through one case as
//! v3's own tool drives its library, [`audit_log`] writes what
//! v3 would have written (the debug log is the engine's own), [`parser_error`] maps its loading errors to ours,
//! [`judge`] compares, and [`skip`] says what is not run and why.

pub mod audit_log;
pub mod case;
pub mod judge;
pub mod parser_error;
pub mod pattern;
pub mod run;
pub mod skip;
