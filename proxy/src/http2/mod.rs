//! HTTP/2 from clients (RFC 9113): the connection's streams become requests of the same pipeline as HTTP/1.1's.

pub mod connection;
pub mod request;
pub mod resets;
pub mod sink;
