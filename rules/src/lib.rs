//! The embedded base ruleset, and installing the OWASP Core Rule Set.
//!
//! Owns where rulesets lie on disk, their verification and their set-up. Leaves
//! evaluation to `hop3-waf`.
#![forbid(unsafe_code)]
