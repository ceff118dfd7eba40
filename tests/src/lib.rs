//! What crosses crates: end-to-end tests and conformance suites.
//!
//! The library holds what several suites share: where the foreign test data
//! lie ([`data`]), the formats of the suites ([`ftw`], [`corpus`],
//! [`modsecurity`], [`secrules`]), the one-line-a-suite report ([`report`]), what work costs
//! ([`processor_time`]), a real server process with applications to deploy
//! ([`server`], [`apps`]) beside others ([`pebble`], [`name_server`],
//! [`gate`]), and a proxy alone with
//! what is hard on it ([`front`], [`framing`], [`http2_abuse`],
//! [`slow_clients`], [`streaming`]) or what it is for ([`clients`]). The
//! suites themselves are the integration tests in `tests/`.
#![forbid(unsafe_code)]
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a suite ends at the first surprise of its own set-up"
)]

pub mod apps;
pub mod clients;
pub mod corpus;
pub mod data;
pub mod differential;
pub mod framing;
pub mod front;
pub mod ftw;
pub mod fuzz_inputs;
pub mod gate;
pub mod http2_abuse;
pub mod modsecurity;
pub mod name_server;
pub mod pebble;
pub mod processor_time;
pub mod report;
pub mod secrules;
pub mod server;
pub mod slow_clients;
pub mod streaming;
