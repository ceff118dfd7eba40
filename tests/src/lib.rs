//! What crosses crates: end-to-end tests and conformance suites.
//!
//! The library holds what several suites share: where the foreign test data
//! lie ([`data`]), the regression format of the Core Rule Set ([`ftw`]), and
//! the one-line-a-suite report ([`report`]). The suites themselves are the
//! integration tests in `tests/`.
#![forbid(unsafe_code)]

pub mod apps;
pub mod corpus;
pub mod data;
pub mod ftw;
pub mod modsecurity;
pub mod report;
pub mod server;
