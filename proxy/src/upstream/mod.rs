//! Towards the back ends: connections and their pools, choosing an instance, sending requests and reading answers.

pub mod attempt;
pub mod balancer;
pub mod connection;
pub mod http;
pub mod instance;
pub mod tunnel;
pub mod uwsgi;
