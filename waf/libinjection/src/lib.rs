//! SQL and script injection detection with the exact answers of libinjection 3.10.
//!
//! Two questions are answered about one value of a request, as bytes: is it SQL injection
//! ([`is_sqli`]), and is it script injection ([`is_xss`]). Nothing is allocated, nothing recurses,
//! the time is linear in the length of the value, and no value makes it panic.
//!
//! The layers beneath are public so that they can be tested and explained: [`tokens`] and [`fold`]
//! for SQL, [`Html5Tokens`] for markup. Decoding a value (URL, entities, Unicode) is left to the
//! caller's transformations.
//!
//! The list of SQL words and of the fingerprints that mean injection is libinjection's; `build.rs`
//! takes it as data from the crate `libinjectionrs`.
#![forbid(unsafe_code)]

mod sqli;
mod xss;

pub use sqli::fingerprint::Fingerprint;
pub use sqli::folding::{Folded, fold};
pub use sqli::is_sqli;
pub use sqli::kind::Kind;
pub use sqli::token::Token;
pub use sqli::tokenizer::{Context, Dialect, Quote, Tokens, tokens};
pub use sqli::value::Value;
pub use xss::html5::{Html5Kind, Html5Start, Html5Token, Html5Tokens};
pub use xss::is_xss;
