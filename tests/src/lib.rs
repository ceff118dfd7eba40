//! What crosses crates: end-to-end tests and conformance suites.
