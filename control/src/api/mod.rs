//! The API: HTTP/1.1 and JSON over the Unix socket of the data directory.
//!
//! Owns what travels (`wire`), who may speak (`peer`), the routes and their handlers, and the client the command line
//! uses. What the calls do is the server's.

pub mod client;
mod handlers;
mod peer;
mod router;
pub mod wire;

pub use peer::Peer;
pub use router::{ApiError, router};
