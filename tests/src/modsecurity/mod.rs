//! ModSecurity v3's regression tests (`regression/*.json`).
//!
//! [`case`] reads the files, [`mod@run`] drives the engine through one case as
//! v3's own tool drives its library, [`audit_log`] and [`debug_log`] write what
//! v3 would have written, [`parser_error`] maps its loading errors to ours,
//! [`judge`] compares, and [`skip`] says what is not run and why.

pub mod audit_log;
pub mod body_log;
pub mod case;
pub mod debug_log;
pub mod judge;
pub mod parser_error;
pub mod pattern;
pub mod run;
pub mod skip;
