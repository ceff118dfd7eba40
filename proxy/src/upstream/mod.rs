//! Towards the back ends: connections and their pools, choosing an instance, sending requests and reading answers.
//!
//! A request goes `attempt` → `balancer` (which instance) → `instance` (idle or new connection) → the protocol:
//! `http`, `uwsgi` and `fastcgi` share one reader and writer pair, `http2` has its own streams. Whatever answers
//! becomes an `answer`. `circuit` knows which instances failed whom, `health` asks them on its own account.

mod addresses;
pub mod affinity;
mod ahead;
pub mod answer;
pub mod attempt;
pub mod balancer;
pub mod cgi;
pub mod circuit;
pub mod connection;
pub mod fastcgi;
pub mod health;
pub mod http;
pub mod http2;
pub mod instance;
pub mod pool;
pub mod tls;
pub mod tunnel;
pub mod upload;
pub mod uwsgi;
