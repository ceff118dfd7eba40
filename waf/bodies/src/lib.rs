//! Body processors: bytes of a request body in, arguments and error flags out.
//!
//! Owns URLENCODED, MULTIPART, JSON, XML and the parsing of query strings and
//! cookies. Knows no rules.
#![forbid(unsafe_code)]
