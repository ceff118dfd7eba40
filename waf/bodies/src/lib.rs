//! Body processors: bytes of a request in, arguments and error flags out.
//!
//! Owns URLENCODED ([`form`]), MULTIPART ([`multipart`]), JSON ([`json`]), XML
//! ([`xml`]) and the `Cookie` header ([`cookies`]). Each processor is one
//! function over a complete buffer: `read` hands out what it finds, piece by
//! piece and without a copy wherever nothing had to be decoded, `parse` gathers
//! it. Knows no rules, collections or variables, reads no clock and opens no
//! file: the engine maps results to SecLang variables.
//!
//! Every processor fails closed: what was understood before an error is kept,
//! so that rules can look at it, and the error is always part of the result.
#![forbid(unsafe_code)]

mod argument;
pub mod cookies;
pub mod form;
pub mod json;
mod limits;
pub mod multipart;
mod white_space;
pub mod xml;

pub use argument::{Argument, Text};
pub use limits::Limits;
