//! SQL and script injection detection with the exact answers of libinjection 3.10.
#![forbid(unsafe_code)]
