//! The entry functions, taken from the tests' own source: so the fuzzer builds
//! the firewall and its rules, and not all else that the test suites need.

#[path = "../../src/fuzz_inputs/mod.rs"]
pub mod fuzz_inputs;
