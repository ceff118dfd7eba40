//! The control plane: store, planner, API, command line.
//!
//! Joins `proxy`, `runtimes`, `rules` and `waf`; stays out of the request path.
//!
//! - [`model`]: apps, releases, configuration, audit records as plain values
//! - [`store`]: what survives, in one file, one writer, audited
//! - [`control`]: what the operations do; deployments as a state machine
//! - [`firewall`]: from `[waf]` to compiled rules, and what they reported
//! - [`traffic`]: from `[proxy]` to what the proxy is given
//! - [`bans`]: banned clients in the kernel's packet filter
//! - [`doctor`]: what is in order and what is not
//! - [`source`]: packing and unpacking source trees
//! - [`certificates`]: ordering, renewing and importing certificates
//! - [`api`]: HTTP over the Unix socket, and its client
//! - [`settings`], [`data`]: the server's configuration and its directory
//! - [`server`]: `hop3 serve`
//! - [`cli`]: the command line
#![forbid(unsafe_code)]

pub mod api;
pub mod bans;
pub mod certificates;
pub mod cli;
pub mod control;
mod conversation;
pub mod data;
pub mod doctor;
mod executable;
pub mod failure;
pub mod firewall;
pub mod model;
pub mod server;
pub mod settings;
pub mod source;
pub mod store;
pub mod traffic;
