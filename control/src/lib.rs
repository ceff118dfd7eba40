//! The control plane: store, planner, API, command line.
//!
//! Joins `proxy`, `runtimes`, `rules` and `waf`; stays out of the request path.
#![forbid(unsafe_code)]
