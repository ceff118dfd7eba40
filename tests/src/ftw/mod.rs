//! The regression format of the Core Rule Set (FTW YAML, schema v2).
//!
//! [`schema`] reads the files, [`request`] builds the bytes a client would
//! send, [`backend`] plays the server behind the firewall, [`engine`] runs a stage in
//! process, [`http`] runs it through the proxy over sockets, [`judge`] compares.

pub mod backend;
pub mod engine;
pub mod http;
pub mod judge;
pub mod request;
pub mod schema;
