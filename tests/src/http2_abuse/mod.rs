//! HTTP/2 by hand: raw frames over TLS, so that a test can break any rule of RFC 9113 and see the answer.
//!
//! Nothing here knows a connection's rules; what is sent is what the test wrote.

pub mod attacks;
pub mod frame;
pub mod hpack;
pub mod inspected;
pub mod memory;
pub mod peer;

pub use frame::{Frame, Kind, flags};
pub use peer::{Peer, Reply};
