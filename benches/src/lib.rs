//! Every published number comes from here.
//!
//! [`traffic`] makes the requests, [`measure`] takes the time of one thread's
//! CPU, so that other work on the machine does not count. The programs in
//! `src/bin` print one table each; `README.md` holds what they printed.
#![forbid(unsafe_code)]

pub mod measure;
pub mod traffic;
