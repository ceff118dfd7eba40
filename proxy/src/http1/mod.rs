//! HTTP/1.1 on the wire (RFC 9112), both sides: heads, framing, bodies, and the connection towards clients.
//!
//! We read and write HTTP/1 ourselves instead of handing connections to
//! pingora's sessions, because a firewall needs what those cannot give: the
//! bytes of the head as they were sent, refusal instead of repair of anything
//! ambiguous, and reading one direction while the other is being written (an
//! early answer to a large upload must neither hang nor be lost).

pub mod body;
pub mod connection;
pub mod field;
pub mod framing;
pub mod refused;
pub mod request;
pub mod response;
pub mod sink;
pub mod source;
pub mod target;
