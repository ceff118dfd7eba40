//! The data path: listeners, TLS, routing, the firewall in the path, upstreams, access log, metrics.
//!
//! Reads immutable values that the control plane publishes and never asks it
//! anything; knows hosts and back ends, not users or stores.
