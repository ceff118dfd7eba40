//! Content codings of HTTP bodies (RFC 9110, section 8.4): bytes in, bytes out,
//! never more than a limit.
//!
//! Decodes gzip, deflate, brotli and zstd. Knows no headers beyond the value of
//! Content-Encoding, and keeps what could be decoded before an error, so that
//! it can be inspected all the same.
#![forbid(unsafe_code)]

mod decode;
mod list;

pub use decode::{Decoded, decode};
pub use list::{Coding, parse};

/// Why a body cannot be decoded, or not completely.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A coding that is not known; its name, shortened.
    #[error("the content coding `{0}` is not known")]
    Unknown(String),
    /// More codings on top of each other than [`CODINGS_LIMIT`].
    #[error("the body has {0} content codings on top of each other, more than {CODINGS_LIMIT}")]
    TooMany(usize),
    /// The stream is malformed, ends too early, or is followed by other bytes.
    #[error("the body is no complete {0} stream")]
    Damaged(Coding),
}

/// Most codings of one body. Nobody needs two; each costs a pass over the data.
pub const CODINGS_LIMIT: usize = 3;
