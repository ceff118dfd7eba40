//! SecLang transformations: bytes in, bytes out, never an error.
#![forbid(unsafe_code)]
