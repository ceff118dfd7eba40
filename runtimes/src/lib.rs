//! From a source tree to a running process: builders, runtimes, supervisor, log capture.
//!
//! Knows nothing of routing and users.
