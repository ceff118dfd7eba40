//! The firewall engine: compiled rulesets, transactions and verdicts.
//!
//! Owns collections, operators, macros, actions and the evaluation of phases
//! 1 to 5. Has no clock, socket, file or async runtime: the caller hands in
//! bytes and time, and takes verdicts and audit records.
#![forbid(unsafe_code)]
