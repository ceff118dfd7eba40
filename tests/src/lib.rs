//! What crosses crates: end-to-end tests and conformance suites.
//!
//! The library holds what several suites share: where the foreign test data
//! lie ([`data`]), the formats of the suites ([`ftw`], [`corpus`]), the
//! one-line-a-suite report ([`report`]), and a real server process with
//! applications to deploy ([`server`], [`apps`]). The suites themselves are
//! the integration tests in `tests/`.
#![forbid(unsafe_code)]
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a suite ends at the first surprise of its own set-up"
)]

pub mod apps;
pub mod corpus;
pub mod data;
pub mod differential;
pub mod ftw;
pub mod fuzz_inputs;
pub mod modsecurity;
pub mod report;
pub mod server;
